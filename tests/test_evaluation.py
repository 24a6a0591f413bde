"""Intervals and calibration error. That the counts agree with scikit-learn is in tests/test_assessment.py."""

import numpy as np
import pytest

from svcnorm.evaluation import evaluate, expected_calibration_error, intervals, paired_intervals


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


def test_expected_calibration_error_is_zero_for_honest_probabilities_and_large_for_boasts():
    rng = np.random.default_rng(2)
    p = rng.random((5000, 2))
    true = rng.random((5000, 2)) < p
    assert expected_calibration_error(p, true) < 0.02
    assert expected_calibration_error(np.full((100, 1), 0.9), np.zeros((100, 1))) == pytest.approx(0.9)


def test_the_interval_of_a_difference_is_narrower_than_those_of_its_two_sides():
    rng = np.random.default_rng(4)
    true = [["hold"] if rng.random() < 0.5 else ["pushback"] for _ in range(300)]
    old = [labels if rng.random() < 0.8 else [] for labels in true]
    new = [labels if rng.random() < 0.1 else was for labels, was in zip(true, old, strict=True)]
    low, high = paired_intervals(old, new, true)["micro_f1"]
    gain = evaluate(new, true).micro.f1 - evaluate(old, true).micro.f1
    assert 0 < low <= gain <= high
    assert high - low < np.diff(intervals(old, true)["micro_f1"])
