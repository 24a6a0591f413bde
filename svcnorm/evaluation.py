"""How often labels are right: counts per label, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from svcnorm.labels import LABELS, NAMES


@dataclass(frozen=True, slots=True)
class Counts:
    """True and false positives and false negatives. A ratio with nothing to divide by is `None`: no support, not zero."""

    tp: int
    fp: int
    fn: int

    @property
    def support(self) -> int:
        return self.tp + self.fn

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.support else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "support": self.support,
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predicted against true label sets."""

    sentences: int
    labels: Mapping[str, Counts]
    taboo: Counts
    """Of the question whether a sentence carries any taboo label."""
    exact: int
    """Sentences whose set is wholly right."""

    @property
    def micro(self) -> Counts:
        return Counts(*(sum(getattr(c, k) for c in self.labels.values()) for k in ("tp", "fp", "fn")))

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the labels that have support."""
        found = [c.f1 for c in self.labels.values() if c.f1 is not None]
        return sum(found) / len(found) if found else None

    def to_dict(self) -> dict[str, Any]:
        return {"sentences": self.sentences, "micro": self.micro.to_dict(), "micro_f1": self.micro.f1, "macro_f1": self.macro_f1, "exact_match": self.exact / self.sentences if self.sentences else None,
                "taboo": self.taboo.to_dict(), "labels": {name: c.to_dict() for name, c in self.labels.items()}}  # fmt: skip


def evaluate(predicted: Iterable[Iterable[str]], true: Iterable[Iterable[str]]) -> Evaluation:
    """Compare label sets, pair by pair. Raises `ValueError` if there is not one prediction for each true set."""
    pairs = [(frozenset(p), frozenset(t)) for p, t in zip(predicted, true, strict=True)]
    taboo = frozenset(label.name for label in LABELS if label.taboo)

    def count(members: list[tuple[bool, bool]]) -> Counts:
        return Counts(sum(p and t for p, t in members), sum(p and not t for p, t in members), sum(t and not p for p, t in members))

    labels = {name: count([(name in p, name in t) for p, t in pairs]) for name in NAMES}
    return Evaluation(len(pairs), labels, count([(bool(p & taboo), bool(t & taboo)) for p, t in pairs]), sum(p == t for p, t in pairs))
