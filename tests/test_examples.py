import json

import pytest

from svcnorm import DataError
from svcnorm.examples import Example, read_examples, read_rows, write_rows

GOOD = '{"id": "1", "text": "您好", "labels": ["greeting"], "kind": "asr", "author": "a"}'


def test_examples_survive_a_round_trip_with_all_their_fields(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text(GOOD + "\n", encoding="utf-8")
    examples = list(read_examples(path))
    assert examples == [Example("1", "您好", ("greeting",), {"kind": "asr", "author": "a"})]
    write_rows(path, (e.to_dict() for e in examples))
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(GOOD)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{broken", "not JSON"),
        ("[1]", "a JSON object is expected, got list"),
        ('{"text": "您好", "labels": ["greetings"]}', "unknown label 'greetings'; did you mean greeting"),
        ('{"text": "您好", "labels": "greeting"}', "'labels' must be a list"),
        ('{"text": " ", "labels": []}', "'text' must be a text that is not empty"),
        ('{"labels": []}', "'text' must be a text"),
        ('{"text": "您好", "labels": [], "role": "boss"}', "'role' must be one of agent, customer, unknown, got 'boss'"),
        ('{"text": "您好", "labels": [], "kind": "x"}', "'kind' must be one of"),
    ],
)
def test_a_bad_line_is_reported_with_its_number_and_the_rest_is_read(tmp_path, line, words):
    path = tmp_path / "x.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n{GOOD}\n", encoding="utf-8")
    problems = []
    assert len(list(read_examples(path, problems.append))) == 2
    (problem,) = problems
    assert problem.startswith(f"{path}:3: ")
    assert words in problem
    with pytest.raises(DataError, match="x.jsonl:3: "):
        list(read_examples(path))


def test_a_line_that_is_not_utf8_is_reported_with_what_to_do(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + GOOD.encode("gb18030") + b"\n" + GOOD.encode())
    problems = []
    assert len(list(read_examples(path, problems.append))) == 2
    assert "x.jsonl:2: not UTF-8" in problems[0]
    assert "iconv" in problems[0]


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_examples(tmp_path / "none.jsonl"))


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("old")

    def rows():
        yield {"a": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, rows())
    assert path.read_text() == "old"


def test_the_customers_turns_are_no_examples(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "喂", "labels": [], "role": "customer"}\n' + GOOD, encoding="utf-8")
    assert [e.id for e in read_examples(path)] == ["1"]


def test_half_a_character_is_written_as_an_escape_and_read_back(tmp_path):
    path = tmp_path / "x.jsonl"
    write_rows(path, [{"text": "好\ud800的"}])
    assert [row for _, row in read_rows(path)] == [{"text": "好\ud800的"}]
