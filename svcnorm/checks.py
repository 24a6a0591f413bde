"""Behavioural tests of a model, after CheckList (Ribeiro et al. 2020) and contrast sets (Gardner et al. 2020): capability by capability, and under noise.

A case is a sentence or a pair of sentences with the labels that they should get, in a named capability. Users add files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from svcnorm.errors import DataError, LabelError
from svcnorm.evaluation import evaluate
from svcnorm.examples import Example, raise_problem, read_rows
from svcnorm.labels import ordered

Labeller = Callable[[list[str]], Iterable[Iterable[str]]]
"""Texts to label sets, one each."""
SIDES = ("first", "second")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


def shipped_cases() -> Path:
    """The contrast pairs that come with svcnorm: inside the installed package, or data/ of a source checkout."""
    package = Path(__file__).parent
    return next(p for p in (package / "contrast.jsonl", package.parent / "data" / "contrast.jsonl") if p.is_file())


def read_cases(path: Path, on_problem: Callable[[str], object] = raise_problem) -> Iterator[dict[str, Any]]:
    """Cases of a JSONL file: `{"capability", "text", "labels"}`, or `{"capability", "first": {"text", "labels"}, "second": {…}}`.

    A line of another form goes to `on_problem` as `path:line: …`; by default it raises `DataError`.
    """
    for number, row in read_rows(path, on_problem):
        try:
            if not isinstance(row.get("capability"), str):
                raise DataError(f"'capability' must be the name of what is tested, got {row.get('capability')!r}")
            pair = [row[side] for side in SIDES if side in row]
            if len(pair) not in (0, 2) or not all(isinstance(side, dict) for side in pair):
                raise DataError("a pair has 'first' and 'second', each an object with 'text' and 'labels'")
            for side in pair or [row]:
                Example.from_dict({"text": side.get("text"), "labels": side.get("labels")})
            yield row
        except (DataError, LabelError) as e:
            on_problem(f"{path}:{number}: {e}")


def sides(case: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The sentences of a case, each with "text" and "labels": two of a pair, else the one."""
    return [case[side] for side in SIDES] if "first" in case else [case]


def judge_cases(cases: Sequence[Mapping[str, Any]], label: Labeller) -> list[dict[str, Any]]:
    """What a model makes of each case: "capability", "right", "passed" (as `check_cases` counts them), "same_labels" (a pair with the same ones)."""
    given = iter([frozenset(x) for x in label([side["text"] for case in cases for side in sides(case)])])
    rows = []
    for case in cases:
        own = sides(case)
        said, true = [next(given) for _ in own], [frozenset(side["labels"]) for side in own]
        differ = true[0] ^ true[-1] if len(own) == 2 else true[0] | said[0]
        passed = [s & differ for s in said] == [t & differ for t in true] if differ or len(own) == 1 else said[0] == said[1]
        rows.append(
            {"capability": case["capability"], "right": said == true, "passed": passed, "same_labels": not differ and len(own) == 2}
        )
    return rows


def check_cases(cases: Iterable[Mapping[str, Any]], label: Labeller) -> dict[str, dict[str, Any]]:
    """By capability: how many cases there are, how many have every set wholly right, and how many have what they test right.

    "right": each sentence of the case has exactly its labels. "passed": of a sentence, the same; of a pair with different labels, that
    every label which only one of them has is there or not as it should be; of a pair with the same labels, that both get the same
    ones, right or wrong. "same_labels": whether the capability's cases are pairs of that last kind.
    """
    found: dict[str, dict[str, Any]] = {}
    for case in judge_cases(list(cases), label):
        row = found.setdefault(case["capability"], {"cases": 0, "right": 0, "passed": 0, "same_labels": True})
        row["cases"] += 1
        row["right"] += case["right"]
        row["passed"] += case["passed"]
        row["same_labels"] = row["same_labels"] and case["same_labels"]
    return found


def under_noise(
    examples: Sequence[Example], label: Labeller, *, strengths: Iterable[float] = STRENGTHS, seed: int = 0
) -> list[dict[str, Any]]:
    """How the figures fall as `svcnorm.noise` grows stronger: micro-F1, taboo precision and recall, and the share of sentences whose set
    is what it is without noise. Needs pypinyin (the extra `[evaluate]`)."""
    from svcnorm.noise import noise

    true, rows = [ordered(e.labels) for e in examples], []
    plain = [frozenset(x) for x in label([e.text for e in examples])]
    for strength in strengths:
        said = [frozenset(x) for x in label([noise(e.text, strength, seed=seed) for e in examples])] if strength else plain
        e = evaluate(said, true)
        rows.append({"strength": strength, "micro_f1": e.micro.f1, "taboo_precision": e.taboo.precision, "taboo_recall": e.taboo.recall,
                     "unchanged": sum(a == b for a, b in zip(said, plain, strict=True)) / len(examples)})  # fmt: skip
    return rows
