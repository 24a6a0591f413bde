"""Behavioural checks: pairs, single sentences, noise, and files of the user's own."""

import pytest

from svcnorm.checks import check_cases, read_cases, shipped_cases, under_noise
from svcnorm.errors import DataError
from svcnorm.examples import Example


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
    found = check_cases([pair("qing", ["request"], ["command"])], lambda texts: [{"a": one, "b": other}[t] for t in texts])
    assert found == {"qing": {"cases": 1, "right": right, "passed": difference, "same_labels": False}}


@pytest.mark.parametrize(("one", "other", "unchanged"), [(["hold"], ["hold"], 1), ([], [], 1), (["hold"], [], 0)])
def test_a_swap_that_keeps_the_labels_must_change_nothing(one, other, unchanged):
    found = check_cases([pair("swap", ["hold"], ["hold"])], lambda texts: [{"a": one, "b": other}[t] for t in texts])
    assert found["swap"]["passed"] == unchanged
    assert found["swap"]["same_labels"] is True


@pytest.mark.parametrize(("said", "right"), [(["hold"], 1), (["hold", "command"], 0), ([], 0)])
def test_a_single_sentence_counts_when_its_set_is_right(said, right):
    found = check_cases([{"capability": "own", "text": "a", "labels": ["hold"]}], lambda texts: [said for _ in texts])
    assert found == {"own": {"cases": 1, "right": right, "passed": right, "same_labels": False}}


def test_the_shipped_pairs_are_all_readable():
    assert len(list(read_cases(shipped_cases()))) > 500


@pytest.mark.parametrize(("line", "message"), [
    ('{"text": "您好", "labels": []}', "x.jsonl:1: 'capability' must be"),
    ('{"capability": "a", "first": {"text": "您好", "labels": []}}', "x.jsonl:1: a pair has 'first' and 'second'"),
    ('{"capability": "a", "text": "您好", "labels": ["hi"]}', "x.jsonl:1: unknown label 'hi'"),
    ('{"capability": "a", "text": "", "labels": []}', "x.jsonl:1: 'text' must be a text"),
])  # fmt: skip
def test_a_bad_case_is_named_with_its_line_and_the_rest_is_read(tmp_path, line, message):
    path = tmp_path / "x.jsonl"
    path.write_text(line + '\n{"capability": "b", "text": "您好", "labels": ["greeting"]}\n', encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(read_cases(path))
    problems = []
    assert len(list(read_cases(path, problems.append))) == 1
    assert len(problems) == 1


def test_figures_fall_as_noise_grows():
    pytest.importorskip("pypinyin")
    examples = [Example(str(i), f"对不起，请您稍等，我帮您查询一下{i}号单子", ("apology", "hold")) for i in range(60)]
    label = lambda texts: [[n for n, word in (("apology", "对不起"), ("hold", "稍等")) if word in t] for t in texts]  # noqa: E731
    rows = under_noise(examples, label, strengths=(0, 0.5, 1))
    assert rows[0] == {"strength": 0, "micro_f1": 1.0, "taboo_precision": None, "taboo_recall": None, "unchanged": 1.0}
    assert rows[0]["unchanged"] > rows[1]["unchanged"] > rows[2]["unchanged"]
    assert rows[0]["micro_f1"] > rows[2]["micro_f1"]
