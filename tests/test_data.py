"""The corpus: well-formed, and nothing of what trains in what tests."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from svcnorm.datacheck import near
from svcnorm.examples import read_examples, read_rows
from svcnorm.labels import LABELS, NAMES
from svcnorm.text import normalise

DATA = Path(__file__).parents[1] / "data"
PARTS = {part: sorted((DATA / part).rglob("*.jsonl")) for part in ("train", "gold")}
FILES = [f for files in PARTS.values() for f in files]


@cache
def sentences(part: str):
    found = [e for f in PARTS[part] for e in read_examples(f)]
    assert found, f"data/{part} is empty"
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_line_has_the_fields_of_the_schema(file):
    ids = set()
    for number, row in read_rows(file):
        where = f"{file}:{number}"
        assert {"id", "text", "labels", "domain", "kind", "author"} <= set(row), where
        assert row["id"] not in ids, where
        ids.add(row["id"])
        assert row["author"] == file.stem, where
        if "call_id" in row:
            assert {"turn", "role"} <= set(row), where
        assert row.get("role") != "customer" or row["labels"] == [], where
    assert list(read_examples(file))


def test_authors_of_gold_wrote_nothing_for_train():
    assert not {f.stem for f in PARTS["train"]} & {f.stem for f in PARTS["gold"]}


def texts(part: str) -> dict[str, str]:
    if part == "contrast":
        return {f"{row['id']}/{side}": row[side]["text"] for row in contrast() for side in ("first", "second")}
    return {e.id: e.text for e in sentences(part)}


@pytest.mark.parametrize(("one", "other"), [("gold", "train"), ("contrast", "train"), ("contrast", "gold")])
def test_nothing_that_tests_stands_elsewhere_alike_or_nearly_so(one, other):
    assert near(texts(one), texts(other)) == []


def test_near_duplicates_are_found_where_there_are_some():
    assert near({"a": "请问您还有别的问题要咨询吗？"}, {"b": "请问您还有别的问题要咨询吗", "c": "请问您贵姓"}) == [("a", "b")]
    assert near({"a": "好的好的"}, {"b": "好的好的", "c": "请问您还有别的问题要咨询吗"}) == []


def test_no_sentence_pattern_is_used_over_and_over():
    """Families of alike sentences: with half of the trigrams in common, none has more than one longer sentence of train in five hundred."""
    longer = {i: t for i, t in texts("train").items() if len(t) > 12}
    family = Counter(i for i, j in near(longer, longer, 0.5))
    assert family.most_common(1)[0][1] <= len(longer) / 500
    skeletons = Counter(skeleton(t) for t in longer.values())
    assert skeletons.most_common(1)[0][1] <= len(longer) / 500


def skeleton(text: str) -> str:
    """The sentence with everything but the characters that speech is built from turned into gaps."""
    return re.sub("·+", "·", "".join(c if c in BUILDERS else "·" for c in normalise(text) if c.isalnum()))


BUILDERS = frozenset("的了是我您你们这那个就不没有在也都还要会能可以吗呢吧啊请问给帮把被对为什么怎样好看说下来去到上里一和跟")


def test_the_corpus_has_the_size_and_the_coverage_that_it_promises():
    counts = {part: Counter(label for e in sentences(part) for label in e.labels) for part in PARTS}
    assert len(sentences("train")) >= 10_000
    assert len(sentences("gold")) >= 1_600
    assert [x.name for x in LABELS if counts["train"][x.name] < (350 if x.taboo else 250)] == []
    assert [x.name for x in LABELS if counts["gold"][x.name] < (60 if x.taboo else 40)] == []
    calls = {part: {e.fields["call_id"] for e in sentences(part) if "call_id" in e.fields} for part in PARTS}
    assert len(calls["gold"]) >= 40
    assert len(calls["train"]) + len(calls["gold"]) >= 320
    assert sum("call_id" in e.fields for e in sentences("train")) >= 6_000
    assert len({e.fields["author"] for part in PARTS for e in sentences(part)}) >= 40


@pytest.mark.slow
def test_most_taboo_sentences_of_train_have_no_giveaway_word():
    subtle_share = pytest.importorskip("scripts.data_report").subtle_share

    taboos = [x.name for x in LABELS if x.taboo]
    assert sum(subtle_share(n) for n in taboos) / len(taboos) >= 0.5


def test_the_calls_look_like_real_speech_within_the_stated_distances():
    report = pytest.importorskip("scripts.data_report")
    cells = [cell for row in report.real_speech_rows() + report.label_mix_rows() for cell in row]
    assert len(cells) > 100
    assert [cell for cell in cells if cell.endswith("!")] == []


def contrast():
    return [row for _, row in read_rows(DATA / "contrast.jsonl")]


def test_contrast_pairs_differ_in_their_labels_unless_their_capability_is_to_keep_them():
    keeping = {"homophone_slip", "missing_punctuation", "traditional", "nin_ni_swap", "name_number_swap"}
    pairs = contrast()
    assert len(pairs) >= 500
    for row in pairs:
        first, second = row["first"], row["second"]
        assert first["text"] != second["text"], row["id"]
        assert set(first["labels"]) | set(second["labels"]) <= set(NAMES), row["id"]
        assert (first["labels"] == second["labels"]) == (row["capability"] in keeping), row["id"]


def test_no_real_looking_number_stands_in_the_corpus():
    real = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)\d{17}[\dXx](?!\d)")
    assert [row["id"] for f in FILES for _, row in read_rows(f) if real.search(row["text"])] == []


def test_the_training_code_reads_gold_when_a_model_is_finished_only():
    training = Path(__file__).parents[1] / "training"
    readers = {
        p.name
        for p in training.glob("*.py")
        if "gold" in p.read_text(encoding="utf-8").replace("data/gold and data/contrast are never read", "")
    }
    # card.py prints what evaluate.py has measured; retrain.py judges a finished model by its gates
    assert readers == {"evaluate.py", "card.py", "retrain.py"}


def test_gold_and_contrast_were_labelled_twice_and_a_third_of_train_and_all_carry_the_adjudicated_labels():
    final = {row["id"]: row["final"] for path in (DATA / "annotations").glob("*.jsonl") for _, row in read_rows(path)}
    given = {e.id: list(e.labels) for part in PARTS for e in sentences(part)}
    given |= {f"{row['id']}/{side}": row[side]["labels"] for row in contrast() for side in ("first", "second")}
    assert {i for i in final if i not in given} == set()
    assert [i for i in final if final[i] != given[i]] == []
    assert {e.id for e in sentences("gold")} | set(texts("contrast")) <= set(final)
    assert sum(e.id in final for e in sentences("train")) >= len(sentences("train")) / 3
