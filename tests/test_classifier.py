import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import FakeScorer
from hypothesis import given, settings
from hypothesis import strategies as st

from svcnorm import LABELS, Classifier, DataError, Norm, SvcnormError
from svcnorm.labels import NAMES

TEXTS = [
    "您好，很高兴为您服务。",
    "对不起，让您久等了。我帮您查一下。",
    "嗯",
    "",
    "这个我也没办法呀_您找他们吧",
    "请问您贵姓",
    "祝您生活愉快，再见",
]


def fake() -> Classifier:
    return Classifier(FakeScorer({"您好": {"greeting": 0.9}, "辦法": {"pushback": 0.4}}), Norm.load("base"))


def test_a_call_is_labelled_with_places_in_the_callers_text():
    text = "嗯，您好。這個我也沒辦法"
    first, second = fake().predict(text)
    assert first.labels[:1] == ("greeting",)
    assert [s.span.of(text) for s in (first, second)] == [s.text for s in (first, second)] == ["嗯，您好。", "這個我也沒辦法"]
    (finding,) = [f for f in second.findings if f.label == "pushback"]
    assert (finding.source, finding.breach, finding.taboo) == ("rule", True, True)
    assert all(e.span.of(text) == e.text for s in (first, second) for f in s.findings for e in f.evidence)


def test_without_a_model_every_finding_says_rule_and_has_no_probability():
    prediction = Classifier.from_rules().predict("对不起，这个我也没办法")
    assert prediction.model is None
    assert {(f.source, f.probability) for s in prediction for f in s.findings} == {("rule", None)}


def test_predict_and_predict_many_agree_in_order(classifier):
    many, one = list(classifier.predict_many(TEXTS)), [classifier.predict(t) for t in TEXTS]
    assert [(p.text, [s.span for s in p], p.labels) for p in many] == [(p.text, [s.span for s in p], p.labels) for p in one]


def test_what_shares_the_batch_changes_no_probability_by_more_than_rounding(classifier):
    """Each token's inputs are quantised by themselves (training/export.py)."""
    texts = [t for t in TEXTS if t] * 8
    together, alone = classifier.predict_proba(texts), np.concatenate([classifier.predict_proba([t]) for t in texts])
    assert np.abs(together - alone).max() < 0.005


def test_split_false_takes_the_text_as_one_sentence(classifier):
    (whole,) = classifier.predict("您好。请问您贵姓？", split=False)
    assert whole.text == "您好。请问您贵姓？"


@pytest.mark.parametrize("text", ["", "   ", "。。。！", "_ _", "😀", "\u200b\n\t"])
def test_a_text_without_words_has_no_sentences(classifier, text):
    assert classifier.predict(text).sentences == ()
    assert classifier.predict(text, split=False).sentences == ()


@pytest.mark.parametrize("text", ["好\ud800的", "您好\x00\x07再见", "谢谢您🙏", "ＡＢＣ１２３", "𠀀𠀁", "x" * 500])
def test_odd_characters_are_labelled_like_any_text(classifier, text):
    assert classifier.predict(text).text == text
    json.dumps(classifier.predict(text.replace("\ud800", "")).to_dict()).encode()


@pytest.mark.parametrize("cut", [True, False])
def test_a_hundred_thousand_characters_are_read_to_their_end(classifier, cut):
    text = "就是说这个套餐" * 14_000 + "对不起" * 700
    prediction = classifier.predict(text, split=cut)
    assert prediction.sentences[-1].span.end == len(text)
    assert "apology" in prediction.sentences[-1].labels


@pytest.mark.parametrize("value", [None, 7, b"\xc4\xe3\xba\xc3"])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(DataError, match="a text must be str"):
        fake().predict(value)
    with pytest.raises(DataError, match="a text must be str"):
        list(fake().predict_many(["您好", value]))


def test_one_text_where_many_are_expected_is_refused(classifier):
    with pytest.raises(SvcnormError, match="for one text there is predict"):
        next(classifier.predict_many("您好"))
    with pytest.raises(SvcnormError, match="put the one sentence into a list"):
        classifier.predict_proba("您好")


def test_probabilities_have_a_column_for_each_label(classifier):
    p = classifier.predict_proba(["您好", "再见"])
    assert (p.shape, p.dtype) == ((2, len(LABELS)), np.float32)
    assert ((p >= 0) & (p <= 1)).all()
    assert p[0, NAMES.index("greeting")] > 0.5
    assert p[1, NAMES.index("farewell")] > 0.5
    assert classifier.predict_proba([]).shape == (0, len(LABELS))


def test_rules_have_no_probabilities():
    with pytest.raises(SvcnormError, match="rules give no probabilities"):
        Classifier.from_rules().predict_proba(["您好"])


def test_several_threads_get_what_one_gets(classifier):
    expected = [classifier.predict(t) for t in TEXTS]
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: [classifier.predict(t) for t in TEXTS], range(16)):
            assert got == expected


def test_a_stream_is_not_read_to_its_end_at_once():
    seen = []

    def endless():
        while True:
            seen.append(1)
            yield "您好"

    next(fake().predict_many(endless()))
    assert len(seen) <= 16 * 64


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_any_string_is_labelled_and_every_span_fits(text):
    for s in fake().predict(text):
        assert s.span.of(text) == s.text
        assert all(e.span.of(text) == e.text for f in s.findings for e in f.evidence)


def test_a_norm_of_ones_own_judges(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text(
        "format: 1\nname: ours\nextends: base\njudge:\n  greeting: {severity: forbidden, clause: O-1, say_instead: 欢迎致电}\n",
        encoding="utf-8",
    )
    (sentence,) = Classifier(fake().scorer, Norm.load(path)).predict("您好")
    (finding,) = [f for f in sentence.findings if f.label == "greeting"]
    assert (finding.severity, finding.clause, finding.say_instead, finding.breach) == ("forbidden", "O-1", "欢迎致电", True)
