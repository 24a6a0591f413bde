"""Intervals and contrast pairs. That the counts agree with scikit-learn is in tests/training/test_pipeline.py."""

import numpy as np
import pytest

from svcnorm.evaluation import check_pairs, evaluate, intervals


def test_an_interval_holds_its_figure_and_narrows_with_more_sentences():
    rng = np.random.default_rng(0)
    true = [["hold"] if rng.random() < 0.5 else ["pushback"] for _ in range(400)]
    said = [labels if rng.random() < 0.8 else ["apology"] for labels in true]
    few, many = intervals(said[:50], true[:50]), intervals(said, true)
    found = evaluate(said, true)
    for name, value in (("micro_f1", found.micro.f1), ("macro_f1", found.macro_f1), ("hold", found.labels["hold"].f1),
                        ("taboo_precision", found.taboo.precision), ("taboo_recall", found.taboo.recall)):  # fmt: skip
        low, high = many[name]
        assert low <= value <= high
    assert np.diff(many["micro_f1"]) < np.diff(few["micro_f1"])
    assert many == intervals(said, true)


def test_sentences_of_one_call_are_drawn_together():
    true = [["hold"]] * 100
    said = [["hold"]] * 50 + [[]] * 50
    alone = intervals(said, true)["hold"]
    by_call = intervals(said, true, ["right"] * 50 + ["wrong"] * 50)["hold"]
    assert alone[1] - alone[0] < 0.3
    assert by_call[1] - by_call[0] == pytest.approx(1)


def test_labels_without_support_have_no_interval():
    assert "survey" not in intervals([["hold"], ["survey"]], [["hold"], ["hold"]])


def pair(capability, first, second):
    return {"capability": capability, "first": {"text": "a", "labels": first}, "second": {"text": "b", "labels": second}}


@pytest.mark.parametrize(
    ("one", "other", "right", "difference"),
    [
        (["request"], ["command"], 1, 1),
        (["request", "hold"], ["command"], 0, 1),  # a label that both lack: the sets are wrong, the difference is seen
        (["request"], ["request"], 0, 0),
        (["request"], ["request", "command"], 0, 0),
    ],
)
def test_a_pair_counts_when_both_sides_are_right(one, other, right, difference):
    found = check_pairs([pair("qing", ["request"], ["command"])], lambda texts: [{"a": one, "b": other}[t] for t in texts])
    assert found == {"qing": {"pairs": 1, "right": right, "difference": difference, "same_labels": 0}}


@pytest.mark.parametrize(("one", "other", "unchanged"), [(["hold"], ["hold"], 1), ([], [], 1), (["hold"], [], 0)])
def test_a_swap_that_keeps_the_labels_must_change_nothing(one, other, unchanged):
    found = check_pairs([pair("swap", ["hold"], ["hold"])], lambda texts: [{"a": one, "b": other}[t] for t in texts])
    assert found["swap"]["difference"] == unchanged
    assert found["swap"]["same_labels"] == 1
