import pickle
import time
from importlib.resources import files
from pathlib import Path

import pytest

from svcnorm import NormError
from svcnorm.labels import NAMES
from svcnorm.norms import Norm, covered, names

SHIPPED = names()


def norm_file(tmp_path: Path, body: str, name: str = "ours.yaml") -> Path:
    path = tmp_path / name
    path.write_text("format: 1\nname: ours\n" + body, encoding="utf-8")
    return path


RULE = """rules:
  - id: pushback.ours
    labels: pushback
    any: [没…办法]
    unless: [想办法]
    hits: [这个没什么办法]
    misses: [我们想办法]
"""


def test_base_and_one_norm_per_source_document_are_shipped():
    assert SHIPPED == ["base", "counter_service", "expressway_hotline", "gov_hotline_96128", "service_cases", "web_hosting_csr"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_rule_hits_its_hits_and_misses_its_misses(name):
    assert Norm.load(name).problems() == []


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_norm_stands_the_checks_that_it_is_loaded_without(name):
    by_path = Norm.load(files("svcnorm") / "rulebooks" / f"{name}.yaml")
    assert by_path.version == Norm.load(name).version


@pytest.mark.parametrize("name", SHIPPED)
def test_every_rule_brings_examples_of_both_kinds(name):
    assert all(rule.hits and rule.misses for rule in Norm.load(name).rules)


def test_base_has_rules_for_every_label_and_at_least_250_in_all():
    rules = Norm.load("base").rules
    assert len(rules) >= 250
    assert {label for rule in rules for label in rule.labels} == set(NAMES)


def test_every_catalogue_item_that_a_transcript_can_show_is_represented():
    from scripts.norm_coverage import coverage

    for name in SHIPPED:
        if name != "base":
            assert [item["id"] for item, how in coverage(name) if not how] == []


def test_only_clauses_of_the_catalogue_are_cited():
    import json

    catalogue = Path(__file__).parents[1] / "data" / "norms"
    known = {json.loads(line)["id"] for path in catalogue.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()}
    assert {clause for name in SHIPPED for clause, _ in covered(Norm.load(name))} <= known


def test_a_norm_of_ones_own_extends_a_shipped_one_and_overrides_it_by_id(tmp_path):
    first = Norm.load("base").rules[0]
    body = f"extends: base\ndrop: [{Norm.load('base').rules[1].id}]\n" + RULE.replace("pushback.ours", first.id)
    ours = Norm.load(norm_file(tmp_path, body))
    assert len(ours.rules) == len(Norm.load("base").rules) - 1
    assert next(r for r in ours.rules if r.id == first.id).norm == "ours"


def test_a_norm_extends_a_neighbouring_file(tmp_path):
    norm_file(tmp_path, RULE, "parent.yaml")
    child = norm_file(tmp_path, "extends: parent.yaml\njudge:\n  pushback: {severity: avoid}\n", "child.yaml")
    assert [r.id for r in Norm.load(child).rules] == ["pushback.ours"]


def test_a_hit_gives_its_place_in_the_callers_text_and_unless_silences_it(tmp_path):
    ours = Norm.load(norm_file(tmp_path, RULE))
    (hit,) = ours.match("這個我也沒_什么办法啊")
    assert hit.span.of("這個我也沒_什么办法啊") == "沒_什么办法"
    assert ours.match("没办法也要想办法") == []


@pytest.mark.parametrize(
    ("form", "hits", "misses"),
    [
        ("any: [不知道]", ["这个我不知道啊", "不 知_道"], ["知道不"]),
        ("start: [喂]", ["喂_哪位", "嗯，喂"], ["您喂一下猫"]),
        ("whole: [不知道]", ["嗯，不知道啊。", "不知道，先生"], ["我不知道您说的哪一款"]),
        ("pattern: '^不.道$'", ["不知道"], ["不知道啊"]),
    ],
)
def test_the_forms_of_a_rule(tmp_path, form, hits, misses):
    ours = Norm.load(norm_file(tmp_path, RULE.replace("any: [没…办法]", form).replace("    unless: [想办法]\n", "")))
    assert [bool(ours.match(t)) for t in hits] == [True] * len(hits)
    assert [bool(ours.match(t)) for t in misses] == [False] * len(misses)


def test_all_problems_are_reported_at_once_with_their_lines(tmp_path):
    body = """extends: nowhere
colour: red
judge:
  pushbak: {severity: forbidden}
  rudeness: {severity: terrible}
rules:
  - id: a
    labels: [pushback, nonsense]
    any: [x]
    pattern: y
    hits: [x]
    misses: [y]
  - id: b
    labels: pushback
    pattern: '(?=没)办法'
    hits: [没办法]
    misses: [办法]
  - id: c
    labels: pushback
    any: [办法]
    hits: [办法]
steps:
  - {id: s, title: t, where: somewhere}
"""
    path = norm_file(tmp_path, body)
    with pytest.raises(NormError) as caught:
        Norm.load(path)
    message = str(caught.value)
    for line, words in [
        (3, "no norm named 'nowhere'"),
        (4, "unknown key 'colour'"),
        (6, "unknown label 'pushbak'; did you mean pushback"),
        (7, "severity is one of forbidden, avoid"),
        (9, "rule 'a' needs exactly one of any"),
        (17, "not an RE2 pattern"),
        (20, "'misses' is missing"),
        (25, "where is one of"),
        (25, "either `need` or `never`"),
    ]:
        assert any(row.startswith(f"{path}:{line}:") and words in row for row in message.splitlines()), (line, words, message)


def test_a_failing_example_is_reported_with_its_rule(tmp_path):
    ours = Norm.load(norm_file(tmp_path, RULE.replace("[我们想办法]", "[我们没办法]")))
    assert ours.problems() == ["ours:4: rule pushback.ours hits '没办法' in '我们没办法', which it should miss"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"rules: [", ":[12]: not YAML"),
        (b"- a\n- b\n", "a norm is a YAML mapping"),
        ("名字: x".encode("gb18030"), "is not UTF-8"),
        (b"format: 9\nname: x\n", "`format: 1` is expected"),
        (b"format: 1\nname: x\nname: y\n", ":3: 'name' stands twice"),
    ],
)
def test_a_broken_file_says_where(tmp_path, content, words):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(NormError, match=f"{path}.*{words}"):
        Norm.load(path)


def test_a_circle_of_extends_is_found(tmp_path):
    norm_file(tmp_path, "extends: b.yaml\n", "a.yaml")
    norm_file(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(NormError, match="circle"):
        Norm.load(tmp_path / "a.yaml")


def test_an_unknown_name_lists_the_shipped_norms():
    with pytest.raises(NormError, match="no norm named 'bank' comes with svcnorm; there are base, counter_service"):
        Norm.load("bank")


def test_a_hostile_pattern_takes_linear_time(tmp_path):
    ours = Norm.load(
        norm_file(tmp_path, RULE.replace("any: [没…办法]", "pattern: '(a+)+(a+)+(a|aa)+b'").replace("[这个没什么办法]", "[aaab]"))
    )
    start = time.perf_counter()
    assert ours.match("a" * 20_000) == []
    assert time.perf_counter() - start < 5  # a backtracking engine would outlive us


def test_a_norm_travels_to_another_process():
    sent = pickle.loads(pickle.dumps(Norm.load("base")))
    assert [h.rule.id for h in sent.match("您好")] == [h.rule.id for h in Norm.load("base").match("您好")]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_norm_is_the_same_with_and_without_the_compiled_yaml_parser(name, monkeypatch):
    import yaml

    fast = Norm.load(name)
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert Norm.load(name) == fast


def test_a_norm_finds_the_phrases_of_its_own_document(classifier):
    """Rules and model together, under each document's norm: scripts/norm_phrases.py prints the table."""
    from scripts.norm_phrases import found_labels, phrases

    rows = list(phrases())
    found = found_labels(classifier.scorer, rows)
    assert sum(found) / len(rows) >= 0.95
