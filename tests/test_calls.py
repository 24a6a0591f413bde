import json
from pathlib import Path

import pytest
from fakes import FakeScorer

from svcnorm import Classifier, DataError, Norm
from svcnorm.calls import Call, Turn, audit, read_calls

WORDS = {
    "您好": {"greeting": 0.9},
    "请稍等": {"hold": 0.9},
    "久等": {"apology": 0.9},
    "再见": {"farewell": 0.9},
    "没办法": {"pushback": 0.9},
}
NORM = """format: 1
name: ours
judge:
  pushback: {severity: forbidden, clause: O-9}
steps:
  - {id: greet, title: 问候, clause: O-1, severity: standard, need: {labels: greeting}, where: opening, within: 1}
  - {id: thank, title: 致歉, clause: O-2, need: {labels: apology}, where: after, when: {agent: {labels: hold}}}
  - {id: bye, title: 道别, clause: O-3, need: {labels: farewell}, where: ending, within: 1}
  - {id: you, title: 称您, clause: O-4, never: {says: 你}}
  - {id: soothe, title: 安抚, clause: O-5, need: {labels: apology, says: 理解}, where: after, within: 1, when: {customer: {says: 投诉}}}
  - {id: prompts, title: 提示两次, clause: O-6, need: {says: 听到}, at_least: 2, when: {agent: {says: 挂机}}}
"""


@pytest.fixture
def ours(tmp_path) -> Classifier:
    (tmp_path / "ours.yaml").write_text(NORM, encoding="utf-8")
    return Classifier(FakeScorer(WORDS), Norm.load(tmp_path / "ours.yaml"))


def call(*turns: str) -> Call:
    roles = {"A": "agent", "C": "customer", "U": "unknown"}
    return Call("c", tuple(Turn(roles[t[0]], t[1:]) for t in turns))


def statuses(audited) -> dict[str, str]:
    return {s.step: s.status for s in audited.steps}


def test_a_good_call_passes_and_shows_where(ours):
    a = audit(call("A您好", "C查话费", "A请稍等", "C嗯", "A让您久等了", "C谢谢", "A再见"), ours)
    assert statuses(a) == {
        "greet": "passed",
        "thank": "passed",
        "bye": "passed",
        "you": "passed",
        "soothe": "not_applicable",
        "prompts": "not_applicable",
    }
    assert {s.step: s.turns for s in a.steps}["thank"] == (4,)
    assert a.missed == a.breaches == ()


def test_each_missed_step_cites_its_clause(ours):
    a = audit(call("A请稍等", "C我要投诉", "A你别急", "A听到吗", "A挂机了"), ours)
    assert {s.step: s.clause for s in a.missed} == {
        "greet": "O-1",
        "thank": "O-2",
        "bye": "O-3",
        "you": "O-4",
        "soothe": "O-5",
        "prompts": "O-6",
    }
    assert {s.step: s.turns for s in a.steps}["you"] == (2,)


def test_a_step_without_an_occasion_or_after_which_the_call_ends_is_not_applicable(ours):
    assert statuses(audit(call("A您好", "C喂", "A再见"), ours))["thank"] == "not_applicable"
    assert statuses(audit(call("A您好", "A请稍等"), ours))["thank"] == "not_applicable"


def test_words_satisfy_a_step_as_well_as_labels(ours):
    assert statuses(audit(call("A您好", "C我要投诉", "A我理解", "A再见"), ours))["soothe"] == "passed"


def test_the_customers_words_are_not_labelled(ours):
    a = audit(call("A您好", "C没办法"), ours)
    assert a.predictions[1] is None
    assert a.breaches == ()


def test_a_breach_names_its_turn(ours):
    ((turn, finding),) = audit(call("A您好", "A没办法"), ours).breaches
    assert (turn, finding.label, finding.clause) == (1, "pushback", "O-9")


def test_an_unknown_speaker_gets_the_benefit_of_the_doubt(ours):
    a = audit(call("U您好", "A再见", "U没办法"), ours)
    assert statuses(a)["greet"] == "passed"
    assert a.breaches == ()
    assert a.predictions[0] is not None


def test_a_call_of_the_customer_alone_has_no_steps_to_miss(ours):
    assert set(statuses(audit(call("C喂"), ours)).values()) == {"not_applicable"}
    assert set(statuses(audit(Call("c", ()), ours)).values()) == {"not_applicable"}


def test_an_audit_is_json(ours):
    d = json.loads(json.dumps(audit(call("A您好", "C喂"), ours).to_dict()))
    assert (d["format"], d["call_id"], [t["role"] for t in d["turns"]], len(d["steps"])) == (1, "c", ["agent", "customer"], 6)


CALLS = [Call("c1", (Turn("agent", "您好"), Turn("customer", "喂，查一下"))), Call("c2", (Turn("unknown", "再见"),))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "one.jsonl",
            '{"call_id": "c1", "turns": [{"role": "agent", "text": "您好"}, {"role": "客户", "text": "喂，查一下"}]}\n{"call": "c2", "turns": [{"role": "unknown", "text": "再见"}]}\n',
        ),
        (
            "turns.jsonl",
            '{"call_id": "c1", "role": "坐席", "text": "您好"}\n{"call_id": "c1", "role": "customer", "text": "喂，查一下"}\n{"call_id": "c2", "role": "未知", "text": "再见"}\n',
        ),
        ("x.csv", '\ufeffcall_id,role,text\nc1,agent,您好\nc1,客户,"喂，查一下"\nc2,,再见\n'),
        ("x.tsv", "call_id\trole\ttext\nc1\t客服\t您好\nc1\tcustomer\t喂，查一下\nc2\tunknown\t再见\n"),
    ],
)
def test_calls_are_read_from_the_files_that_users_have(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert list(read_calls(tmp_path / name)) == CALLS


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("x.jsonl", '{"call_id": "c1", "role": "boss", "text": "x"}', "x.jsonl:2: unknown role 'boss': expected agent, customer, unknown"),
        ("x.jsonl", '{"role": "agent", "text": "x"}', "x.jsonl:2: a turn needs the id of its call"),
        ("x.jsonl", '{"call_id": "c1", "role": "agent", "text": 3}', "x.jsonl:2: 'text' of a turn must be a string, got 3"),
        ("x.jsonl", '{"call_id": "c1", "turns": 3}', "x.jsonl:2: 'turns' must be a list"),
        ("x.jsonl", "{", "x.jsonl:2: not JSON"),
        ("x.csv", "c1,agent", "x.csv:3: 3 fields expected"),
        ("x.csv", "c1,boss,x", "x.csv:3: unknown role 'boss'"),
    ],
)
def test_a_bad_line_is_reported_with_its_number_and_the_rest_is_read(tmp_path, name, line, words):
    good = {"x.jsonl": ['{"call_id": "c1", "role": "agent", "text": "您好"}'], "x.csv": ["call_id,role,text", "c1,agent,您好"]}[name]
    path = tmp_path / name
    path.write_text("\n".join([*good, line, good[-1]]), encoding="utf-8")
    problems = []
    calls = list(read_calls(path, problems.append))
    assert sum(len(c.turns) for c in calls) == 2
    (problem,) = problems
    assert words in problem
    with pytest.raises(DataError):
        list(read_calls(path))


def test_turns_of_one_call_must_stand_together(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"call_id": c, "role": "agent", "text": "好"}) for c in ("a", "b", "a")))
    with pytest.raises(DataError, match="x.jsonl:3: call 'a' comes back after another call"):
        list(read_calls(path))


@pytest.mark.parametrize(("content", "words"), [(b"role,text\n\xc4\xe3,x\n", "not UTF-8"), (b"a,b\n1,2\n", "no column role, text")])
def test_a_csv_that_cannot_be_used_says_why(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        list(read_calls(tmp_path / "x.csv"))


def test_the_examples_are_complete_calls(classifier):
    files = sorted((Path(__file__).parents[1] / "examples").glob("*.jsonl"))
    assert len(files) == 4
    for file in files:
        (one,) = read_calls(file)
        assert {t.role for t in one.turns} == {"agent", "customer"}
        assert len(audit(one, classifier).predictions) == len(one.turns) >= 14


def test_predictions_that_are_made_already_are_audited_as_they_are(ours):
    made = call("A您好", "C我要投诉", "A没办法")
    predictions = list(ours.predict_many(["您好", "没办法"]))
    assert audit(made, Classifier.from_rules(norm=ours.norm), predictions).predictions == audit(made, ours).predictions
    with pytest.raises(ValueError, match="shorter"):
        audit(made, ours, predictions[:1])
