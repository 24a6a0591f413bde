"""Stage `prepare`: the labelled sentences of data/train, normalised, split by author into what trains and what is held back.

The held-back authors give the thresholds, the calibration and every choice between recipes. data/gold and data/contrast are never read.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict

from svcnorm.evaluation import indicator
from svcnorm.examples import Example, read_examples
from svcnorm.text import normalise
from training.stage import stage

TAKES = ("data", "held_out", "source", "sentences", "seed")
SOURCES = {"all": lambda e: True, "calls": lambda e: "call_id" in e.fields, "targeted": lambda e: "call_id" not in e.fields}


def read_folder(folder: Path) -> list[Example]:
    """All agent sentences of the JSONL files in `folder`, files in the order of their names. Raises `DataError` for a bad line."""
    files = sorted(folder.rglob("*.jsonl"))
    if not files:
        raise SystemExit(f"{folder}: no .jsonl file with labelled sentences")
    return [example for file in files for example in read_examples(file)]


def targets(examples: Iterable[Example]) -> np.ndarray:
    """Label sets as a 0/1 matrix. Shape: (n, len(LABELS))."""
    return indicator(e.labels for e in examples).astype(np.float32)


def to_dataset(examples: list[Example]) -> Dataset:
    return Dataset.from_dict({
        "id": [e.id for e in examples], "text": [normalise(e.text) for e in examples], "labels": targets(examples).tolist(),
        "author": [e.fields.get("author", "") for e in examples], "kind": [e.fields.get("kind", "") for e in examples],
        "in_call": ["call_id" in e.fields for e in examples],
    })  # fmt: skip


def sample(examples: list[Example], source: str, number: int | None, seed: int) -> list[Example]:
    """`number` of the sentences from `source` (a key of SOURCES), drawn at random, in their order; all of them if `None`."""
    found = [e for e in examples if SOURCES[source](e)]
    if number is None:
        return found
    if number > len(found):
        raise SystemExit(f"sentences: {number} are wanted, {source} has {len(found)}")
    return [found[i] for i in sorted(random.Random(seed).sample(range(len(found)), number))]


def run(config: dict, out: Path) -> None:
    folder = Path(config["data"])
    with stage(out, inputs={k: config[k] for k in TAKES}, code=[Path(__file__)], files=[folder]) as done:
        if done is None:
            return
        examples = read_folder(folder)
        authors = config["held_out"]
        if unknown := set(authors) - {e.fields.get("author") for e in examples}:
            raise SystemExit(f"held_out: {folder} has no sentences by {', '.join(sorted(unknown))}")
        parts = {
            "train": sample([e for e in examples if e.fields["author"] not in authors], *(config[k] for k in TAKES[2:])),
            "held": sorted((e for e in examples if e.fields["author"] in authors), key=lambda e: len(e.text)),  # little padding when scored
        }
        DatasetDict({name: to_dataset(part) for name, part in parts.items()}).save_to_disk(str(out / "dataset"))
        done.update({name: len(part) for name, part in parts.items()}, held_out=authors)
