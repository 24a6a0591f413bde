"""Reviewers' verdicts become labelled sentences that can be traced back."""

import json

import pytest
from fakes import FakeScorer

from svcnorm import Classifier, DataError, Norm
from svcnorm.verdicts import Verdict, apply_verdicts, read_verdicts

SCORER = FakeScorer({"没办法": {"pushback": 0.9}, "稍等": {"hold": 0.8}})


@pytest.fixture
def predictions():
    classifier = Classifier(SCORER, Norm.load("base"))
    return [p.to_dict() for p in classifier.predict_many(["这个没办法处理。", "您稍等，我看一下。"])]


def ids(predictions):
    return [s["id"] for p in predictions for s in p["sentences"]]


def test_a_wrong_label_goes_a_missing_one_comes_and_the_rest_stays(predictions):
    first, second = ids(predictions)
    made = apply_verdicts(
        predictions, [Verdict(first, "pushback", False, "说明了原因"), Verdict(first, "explanation", False), Verdict(second, "hold", True)]
    )
    assert [(e.id, e.labels) for e in made] == [(first, ("explanation",)), (second, ("hold",))]
    assert made[0].fields["reviewed"] == ["explanation", "pushback"]
    assert made[0].fields["comments"] == ["说明了原因"]
    assert (made[0].fields["model"], made[0].fields["norm"], made[0].fields["norm_version"]) == ("fake", "base", Norm.load("base").version)


def test_sentences_without_a_verdict_become_no_data(predictions):
    assert apply_verdicts(predictions, []) == []


def test_reviewers_who_contradict_each_other_are_reported_and_the_sentence_is_left_out(predictions):
    first, second = ids(predictions)
    problems = []
    made = apply_verdicts(
        predictions, [Verdict(first, "pushback", False), Verdict(first, "pushback", True), Verdict(second, "hold", False)], problems.append
    )
    assert [(e.id, e.labels) for e in made] == [(second, ())]
    assert len(problems) == 1
    assert first in problems[0]
    assert "pushback" in problems[0]


def test_a_verdict_on_an_unknown_sentence_is_reported(predictions):
    with pytest.raises(DataError, match="nowhere: not among the predictions"):
        apply_verdicts(predictions, [Verdict("nowhere", "hold", True)])


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_verdict_files_are_read_and_bad_lines_reported_with_their_number(tmp_path, form):
    rows = [{"sentence": "a1", "label": "hold", "verdict": "wrong", "comment": "x"}, {"sentence": "a2", "label": "holding", "verdict": "right", "comment": ""},
            {"sentence": "a3", "label": "hold", "verdict": "maybe", "comment": ""}, {"sentence": "", "label": "hold", "verdict": "right", "comment": ""}]  # fmt: skip
    path = tmp_path / f"v.{form}"
    if form == "jsonl":
        path.write_text("\n".join(json.dumps(r) for r in rows), encoding="utf-8")
    else:
        path.write_text("\ufeffsentence,label,verdict,comment\n" + "\n".join(",".join(r.values()) for r in rows), encoding="utf-8")
    problems, offset = [], form == "csv"
    assert list(read_verdicts(path, problems.append)) == [Verdict("a1", "hold", False, "x")]
    assert [p.split(": ")[0] for p in problems] == [f"{path}:{n + offset}" for n in (2, 3, 4)]
    assert "did you mean hold" in problems[0]
    assert "right, wrong" in problems[1]


def test_a_csv_without_a_verdict_column_says_so(tmp_path):
    path = tmp_path / "v.csv"
    path.write_text("sentence,label\na1,hold\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"v\.csv:2: 'verdict' must be one of right, wrong"):
        list(read_verdicts(path))
