"""A classifier measured on labelled sentences, old against new, and gates."""

import json

import numpy as np
import pytest

from svcnorm import assessment
from svcnorm.classifier import Classifier
from svcnorm.errors import DataError
from svcnorm.evaluation import evaluate_matrix
from svcnorm.examples import Example
from svcnorm.labels import NAMES
from svcnorm.norms import Norm
from tests.fakes import FakeScorer

metrics = pytest.importorskip("sklearn.metrics")

TABLE = {"稍等": {"hold": 0.9}, "抱歉": {"apology": 0.8, "pushback": 0.55}, "找物业": {"pushback": 0.7}, "再见": {"farewell": 0.4}}
DATA = [
    ("a", "请稍等", ["hold"], "c1"), ("b", "抱歉", ["apology"], "c1"), ("c", "您找物业去", ["pushback"], "c2"), ("d", "再见", ["farewell"], "c2"),
    ("e", "抱歉稍等", ["hold", "apology"], None), ("f", "嗯", [], None),
]  # fmt: skip


def examples():
    return [Example(i, text, tuple(labels), {"kind": "asr", **({"call_id": call} if call else {})}) for i, text, labels, call in DATA]


def bare_norm() -> Norm:
    return Norm("none", "", "", None, {}, (), ())


@pytest.fixture
def measured():
    return assessment.measure(Classifier(FakeScorer(TABLE), bare_norm()), examples())


def test_every_figure_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    true = rng.random((300, len(NAMES))) < 0.1
    true[:, NAMES.index("survey")] = False
    said = true ^ (rng.random(true.shape) < 0.03)
    e = evaluate_matrix(said, true)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(true, said, zero_division=np.nan)
    for i, name in enumerate(NAMES):
        c = e.labels[name]
        assert c.support == support[i]
        if name != "survey":
            assert (c.precision, c.recall, c.f1) == pytest.approx((precision[i], recall[i], f1[i]))
    used = [i for i, n in enumerate(NAMES) if n != "survey"]
    assert e.macro_f1 == pytest.approx(metrics.f1_score(true[:, used], said[:, used], average="macro"))
    assert e.micro.f1 == pytest.approx(metrics.f1_score(true, said, average="micro"))
    assert e.samples_f1 == pytest.approx(metrics.f1_score(true, said, average="samples", zero_division=1.0))
    assert e.exact / e.sentences == pytest.approx(metrics.accuracy_score(true, said))


def test_a_label_that_the_data_never_uses_has_no_support_rather_than_zero(measured):
    found = assessment.describe(measured, repeats=20)
    assert found["labels"]["survey"]["f1"] is None
    assert found["labels"]["survey"]["interval"] is None
    assert found["labels"]["survey"]["curve"] == []
    assert found["labels"]["farewell"]["f1"] == 0.0
    assert found["macro_f1"] == pytest.approx(np.mean([1, 1, 0.5, 0]))


def test_the_evaluation_holds_no_text_of_the_data_and_survives_json(measured):
    found = json.loads(json.dumps(assessment.describe(measured, repeats=20), ensure_ascii=False))
    assert not any(text in json.dumps(found, ensure_ascii=False) for _, text, _, _ in DATA if len(text) > 1)
    assert found["format"] == assessment.FORMAT
    assert found["model"] == "fake"


def test_curves_are_scikit_learns(measured):
    rng = np.random.default_rng(1)
    p, true = rng.random(500).astype(np.float32), rng.random(500) < 0.3
    found = assessment._curves(metrics, p, true)
    assert found["average_precision"] == pytest.approx(metrics.average_precision_score(true, p))
    assert 0.8 * assessment.CURVE_POINTS <= len(found["curve"]) <= assessment.CURVE_POINTS
    assert np.abs(np.diff([recall for _, _, recall in found["curve"]])).max() < 0.05
    for threshold, precision, recall in found["curve"]:
        said = p >= threshold - 5e-5
        assert precision == pytest.approx((true & said).sum() / said.sum(), abs=0.01)
        assert recall == pytest.approx((true & said).sum() / true.sum(), abs=0.01)


def test_confusions_pair_what_was_missed_with_what_was_given_in_the_same_sentence(measured):
    found = assessment.describe(measured, repeats=20)["confusions"]
    assert {"missed": None, "given": "pushback", "sentences": 2} in found
    assert {"missed": "farewell", "given": None, "sentences": 1} in found


def test_sources_count_what_each_gave_and_how_much_of_it_is_right(measured):
    found = assessment.describe(measured, repeats=20)
    assert found["labels"]["pushback"]["sources"]["model"] == {"given": 3, "right": 1}
    assert sum(s["given"] for s in found["sources"].values()) == measured.said.sum()


def test_slices_are_the_fields_with_few_values_or_those_that_are_asked_for(measured):
    assert set(assessment.describe(measured, repeats=20)["slices"]) == {"length", "call_id"}
    asked = assessment.describe(measured, fields=["kind"], repeats=20)["slices"]
    assert asked["kind"]["asr"]["sentences"] == len(DATA)
    with pytest.raises(DataError, match="no line has the field colour; there are kind, call_id"):
        assessment.describe(measured, fields=["colour"], repeats=20)


def test_errors_come_surest_mistake_first_and_say_what_is_wrong(measured):
    found = assessment.errors(measured)
    assert [row["id"] for row in found] == ["d", "b", "e"]
    assert found[0]["missed"] == ["farewell"]
    assert found[0]["surprise"] == pytest.approx(0.6)
    assert found[1]["extra"] == ["pushback"]
    assert found[1]["probabilities"]["pushback"] == pytest.approx(0.55)


def test_no_sentence_at_all_is_an_error_that_shows_what_a_line_looks_like():
    with pytest.raises(DataError, match="a line looks like"):
        assessment.measure(Classifier.from_rules(), [])


def test_a_sentence_without_a_letter_counts_as_one_without_labels():
    m = assessment.measure(Classifier(FakeScorer(TABLE), bare_norm()), [Example("x", "……", ("hold",))])
    assert assessment.describe(m, repeats=5)["labels"]["hold"]["fn"] == 1


def better():
    return {**TABLE, "抱歉": {"apology": 0.8}, "再见": {"farewell": 0.9}}


def test_comparing_names_what_was_fixed_and_broken_and_who_is_right_about_taboos(measured):
    new = assessment.measure(Classifier(FakeScorer(better()), bare_norm()), examples())
    found = assessment.compare(measured, new, repeats=50)
    assert (found["fixed"], found["broken"]) == (["b", "d", "e"], [])
    assert found["mcnemar"]["new_alone_right"] == 2
    assert found["mcnemar"]["p_value"] == pytest.approx(0.5)
    f = found["figures"]["farewell"]
    assert (f["old"], f["new"], f["difference"]) == (0, 1, 1)
    assert found["figures"]["survey"]["difference"] is None
    back = assessment.compare(new, measured, repeats=50)
    assert back["broken"] == found["fixed"]
    assert back["figures"]["micro_f1"]["interval"] == pytest.approx([-x for x in reversed(found["figures"]["micro_f1"]["interval"])])


def test_other_sentences_are_not_compared(measured):
    with pytest.raises(DataError, match="the same labelled sentences"):
        assessment.compare(measured, assessment.measure(Classifier(FakeScorer(TABLE), bare_norm()), examples()[:3]))


def many(table):
    return assessment.measure(
        Classifier(FakeScorer(table), bare_norm()), [Example(f"{e.id}{k}", e.text, e.labels) for k in range(30) for e in examples()]
    )


def test_a_gate_fails_only_where_the_loss_is_certain():
    worse, same = assessment.compare(many(better()), many(TABLE), repeats=200), assessment.compare(many(TABLE), many(TABLE), repeats=50)
    gates = [{"figure": "label_f1", "max_drop": 0.03}, {"figure": "taboo_recall", "max_drop": 0}, {"figure": "macro_f1", "min": 0.9}]
    rows = assessment.check_gates(gates, worse)
    assert [row["passed"] for row in rows] == [False, True, False]
    assert rows[0]["failed"] == ["farewell", "pushback"]
    assert [row["passed"] for row in assessment.check_gates(gates[:2], same)] == [True, True]


@pytest.mark.parametrize(
    "gate", [{}, {"figure": "macro_f1"}, {"figure": "macro", "min": 1}, {"figure": "macro_f1", "min": 0, "max_drop": 0}, "macro_f1"]
)
def test_a_gate_of_another_form_is_refused(gate, tmp_path):
    file = tmp_path / "gates.yaml"
    file.write_text(json.dumps({"gates": [gate]}))
    with pytest.raises(DataError, match="figure: NAME"):
        assessment.read_gates(file)


def test_a_file_without_gates_is_refused(tmp_path):
    (tmp_path / "g.yaml").write_text("gate: []")
    with pytest.raises(DataError, match="`gates:` with a list is expected"):
        assessment.read_gates(tmp_path / "g.yaml")
    with pytest.raises(DataError, match="cannot be read"):
        assessment.read_gates(tmp_path / "none.yaml")
