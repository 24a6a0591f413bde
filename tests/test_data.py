"""The corpus: well-formed, and nothing of what trains in what tests."""

from collections import defaultdict
from pathlib import Path

import pytest

from svcnorm.examples import read_examples, read_rows
from svcnorm.labels import NAMES
from svcnorm.text import normalise

DATA = Path(__file__).parents[1] / "data"
PARTS = {part: sorted((DATA / part).rglob("*.jsonl")) for part in ("train", "gold")}
FILES = [f for files in PARTS.values() for f in files]
SIMILAR = 0.8  # share of character trigrams that two sentences have in common


def sentences(part: str):
    found = [e for f in PARTS[part] for e in read_examples(f)]
    assert found, f"data/{part} is empty"
    return found


def grams(text: str) -> frozenset[str]:
    bare = "".join(c for c in normalise(text) if c.isalnum())
    return frozenset(bare[i : i + 3] for i in range(len(bare) - 2)) if len(bare) > 6 else frozenset()


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


def test_train_has_every_label():
    assert {label for e in sentences("train") for label in e.labels} == set(NAMES)


def test_no_sentence_of_gold_stands_in_train_alike_or_nearly_so():
    index = defaultdict(set)
    train = [grams(e.text) for e in sentences("train")]
    for i, found in enumerate(train):
        for g in found:
            index[g].add(i)
    near = []
    for e in sentences("gold"):
        own = grams(e.text)
        counts = defaultdict(int)
        for g in own:
            for i in index[g]:
                counts[i] += 1
        near += [e.text for i, n in counts.items() if n / len(own | train[i]) >= SIMILAR]
    assert near == []


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


def test_no_contrast_sentence_stands_in_train():
    known = {"".join(c for c in normalise(e.text) if c.isalnum()) for e in sentences("train")}
    texts = ["".join(c for c in normalise(row[side]["text"]) if c.isalnum()) for row in contrast() for side in ("first", "second")]
    assert [t for t in texts if len(t) > 6 and t in known] == []


def test_no_real_looking_number_stands_in_the_corpus():
    import re

    real = re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)\d{17}[\dXx](?!\d)")
    assert [row["id"] for f in FILES for _, row in read_rows(f) if real.search(row["text"])] == []


def test_the_training_code_reads_gold_in_its_last_measurement_only():
    training = Path(__file__).parents[1] / "training"
    readers = {
        p.name
        for p in training.glob("*.py")
        if "gold" in p.read_text(encoding="utf-8").replace("data/gold and data/contrast are never read", "")
    }
    assert readers == {"__main__.py", "evaluate.py"}


def test_every_sentence_of_gold_was_labelled_twice_and_carries_the_adjudicated_labels():
    final = {row["id"]: row["final"] for path in (DATA / "annotations").glob("*.jsonl") for _, row in read_rows(path)}
    assert [e.id for e in sentences("gold") if final.get(e.id) != list(e.labels)] == []
