"""How often labels are right: counts per label, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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


def intervals(
    predicted: Iterable[Iterable[str]], true: Iterable[Iterable[str]], groups: Sequence[Any] | None = None, *, repeats: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals (Efron and Tibshirani 1993) of micro_f1, macro_f1, taboo_precision, taboo_recall and each label's F1.

    What is drawn again is a group as a whole: sentences of one call are not independent. `groups`: one value a sentence; default: each
    sentence is its own. A figure that is undefined in a draw is left out of it; labels without support have no interval.
    """
    said, so = (np.array([[n in labels for n in NAMES] for labels in map(frozenset, sets)], bool) for sets in (predicted, true))
    taboo = np.array([label.taboo for label in LABELS])
    said, so = (np.column_stack([m, m[:, taboo].any(axis=1)]) for m in (said, so))
    _, group = np.unique([str(g) for g in groups] if groups is not None else np.arange(len(so)), return_inverse=True)
    counts = np.zeros((group.max() + 1, 3, len(NAMES) + 1))
    np.add.at(counts, group, np.stack([said & so, said & ~so, ~said & so], axis=1))
    n = len(counts)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), repeats)
    tp, fp, fn = np.einsum("rg,gkl->krl", weights, counts)
    with np.errstate(invalid="ignore"):
        f1 = 2 * tp / (2 * tp + fp + fn)
        f1[:, counts[:, [0, 2]].sum((0, 1)) == 0] = np.nan
        micro = 2 * tp[:, :-1].sum(1) / (2 * tp + fp + fn)[:, :-1].sum(1)
        found = {"micro_f1": micro, "macro_f1": np.nanmean(f1[:, :-1], axis=1), "taboo_precision": (tp / (tp + fp))[:, -1],
                 "taboo_recall": (tp / (tp + fn))[:, -1], **dict(zip(NAMES, f1.T, strict=False))}  # fmt: skip
    return {k: tuple(float(x) for x in np.nanquantile(v, (0.025, 0.975))) for k, v in found.items() if not np.isnan(v).all()}


def check_pairs(pairs: Iterable[Mapping[str, Any]], label: Callable[[list[str]], Iterable[Iterable[str]]]) -> dict[str, dict[str, int]]:
    """Contrast pairs by capability (Gardner et al. 2020): how many there are, how many have both sides right, and how many the difference.

    `pairs`: objects with "capability", and "first" and "second" each with "text" and "labels"; `label` turns texts into label sets. "right":
    both whole sets are. "difference": in both sides every label that only one of them has is there or not as it should be; where both
    have the same labels, both sides are given the same ones, right or wrong.
    """
    pairs = list(pairs)
    given = [frozenset(x) for x in label([pair[side]["text"] for pair in pairs for side in ("first", "second")])]
    found: dict[str, dict[str, int]] = {}
    for pair, one, other in zip(pairs, given[::2], given[1::2], strict=True):
        first, second = frozenset(pair["first"]["labels"]), frozenset(pair["second"]["labels"])
        differ = first ^ second
        row = found.setdefault(pair["capability"], {"pairs": 0, "right": 0, "difference": 0, "same_labels": int(not differ)})
        row["pairs"] += 1
        row["right"] += (one, other) == (first, second)
        row["difference"] += (one & differ, other & differ) == (first & differ, second & differ) if differ else one == other
    return found
