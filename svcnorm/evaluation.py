"""How often labels are right: counts per label, and what follows from them. numpy only; the curves are in svcnorm/assessment.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svcnorm.labels import LABELS, NAMES

TABOO = np.array([label.taboo for label in LABELS])
_COLUMN = {name: i for i, name in enumerate(NAMES)}


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
        return {"support": self.support, "tp": self.tp, "fp": self.fp, "fn": self.fn,
                "precision": self.precision, "recall": self.recall, "f1": self.f1}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Predicted against true label sets."""

    sentences: int
    labels: Mapping[str, Counts]
    taboo: Counts
    """Of the question whether a sentence carries any taboo label."""
    exact: int
    """Sentences whose set is wholly right."""
    samples_f1: float | None
    """Mean over sentences of the F1 between the two sets; two empty sets agree wholly."""

    @property
    def micro(self) -> Counts:
        return Counts(*(sum(getattr(c, k) for c in self.labels.values()) for k in ("tp", "fp", "fn")))

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the labels that have support."""
        found = [c.f1 for c in self.labels.values() if c.f1 is not None]
        return sum(found) / len(found) if found else None

    def to_dict(self) -> dict[str, Any]:
        return {"sentences": self.sentences, "micro": self.micro.to_dict(), "micro_f1": self.micro.f1, "macro_f1": self.macro_f1,
                "samples_f1": self.samples_f1, "exact_match": self.exact / self.sentences if self.sentences else None,
                "taboo": self.taboo.to_dict(), "labels": {name: c.to_dict() for name, c in self.labels.items()}}  # fmt: skip


def indicator(sets: Iterable[Iterable[str]]) -> NDArray[np.bool_]:
    """Label sets as a matrix, columns in the order of `LABELS`. Shape: (n, len(LABELS)). Raises `KeyError` for an unknown label."""
    rows = [[_COLUMN[name] for name in labels] for labels in sets]
    matrix = np.zeros((len(rows), len(NAMES)), bool)
    for row, columns in zip(matrix, rows, strict=True):
        row[columns] = True
    return matrix


def evaluate(predicted: Iterable[Iterable[str]], true: Iterable[Iterable[str]]) -> Evaluation:
    """Compare label sets, pair by pair. Raises `ValueError` if there is not one prediction for each true set."""
    return evaluate_matrix(indicator(predicted), indicator(true))


def evaluate_matrix(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> Evaluation:
    """The same from matrices of `indicator`. Shape of both: (n, len(LABELS))."""
    if said.shape != true.shape:
        raise ValueError(f"one prediction for each true set is expected, got {len(said)} for {len(true)}")
    counts = [Counts(*map(int, c)) for c in np.stack(_outcomes(said, true)).sum(axis=1).T]
    both, size = (said & true).sum(axis=1), said.sum(axis=1) + true.sum(axis=1)
    samples = float(np.where(size == 0, 1.0, 2 * both / np.maximum(size, 1)).mean()) if len(true) else None
    return Evaluation(len(true), dict(zip(NAMES, counts, strict=False)), counts[-1], int((said == true).all(axis=1).sum()), samples)


def _outcomes(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Which decisions are true positives, false positives, false negatives; the last column is taboo-or-not. Shapes: (n, len(LABELS) + 1)."""
    said, true = (np.column_stack([m, m[:, TABOO].any(axis=1)]) for m in (said, true))
    return said & true, said & ~true, ~said & true


def _figures(tp: NDArray, fp: NDArray, fn: NDArray) -> dict[str, NDArray]:
    """micro_f1, macro_f1, taboo_precision, taboo_recall and each label's F1 of many draws; nan where undefined. Shapes: (draws, len(LABELS) + 1)."""
    with np.errstate(invalid="ignore"):
        f1 = np.where(tp + fn > 0, 2 * tp / (2 * tp + fp + fn), np.nan)
        seen = ~np.isnan(f1[:, :-1])
        macro = np.where(seen, f1[:, :-1], 0).sum(1) / seen.sum(1)
        return {"micro_f1": 2 * tp[:, :-1].sum(1) / (2 * tp + fp + fn)[:, :-1].sum(1), "macro_f1": macro,
                "taboo_precision": (tp / (tp + fp))[:, -1], "taboo_recall": (tp / (tp + fn))[:, -1],
                **dict(zip(NAMES, f1.T, strict=False))}  # fmt: skip


def _draws(outcomes: Sequence[NDArray[np.bool_]], groups: Sequence[Any] | None, repeats: int, seed: int) -> Iterator[NDArray]:
    """Sums of the outcomes in samples drawn anew, a block of draws at a time. Yields shape: (len(outcomes), draws, columns)."""
    n = len(outcomes[0])
    _, group = np.unique([str(g) for g in groups] if groups is not None else np.arange(n), return_inverse=True)
    sums = np.zeros((len(outcomes), group.max() + 1, outcomes[0].shape[1]), np.float32)
    for total, outcome in zip(sums, outcomes, strict=True):
        np.add.at(total, group, outcome)
    rng, size = np.random.default_rng(seed), sums.shape[1]
    block = max(1, min(repeats, 10_000_000 // size))
    for at in range(0, repeats, block):
        weights = rng.multinomial(size, np.full(size, 1 / size), min(block, repeats - at)).astype(np.float32)
        yield weights @ sums


def _range(values: NDArray) -> tuple[float, float] | None:
    values = values[~np.isnan(values)]
    return tuple(float(x) for x in np.quantile(values, (0.025, 0.975))) if len(values) else None


def intervals(
    predicted: Iterable[Iterable[str]],
    true: Iterable[Iterable[str]],
    groups: Sequence[Any] | None = None,
    *,
    repeats: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals (Efron and Tibshirani 1993) of micro_f1, macro_f1, taboo_precision, taboo_recall and each label's F1.

    What is drawn again is a group as a whole: sentences of one call are not independent. `groups`: one value a sentence; default: each
    sentence is its own. A figure that is undefined in a draw is left out of it; labels without support have no interval.
    """
    outcomes = _outcomes(indicator(predicted), indicator(true))
    blocks = [_figures(*sums) for sums in _draws(outcomes, groups, repeats, seed)]
    found = {k: _range(np.concatenate([b[k] for b in blocks])) for k in blocks[0]}
    return {k: v for k, v in found.items() if v}


def paired_intervals(
    old: Iterable[Iterable[str]], new: Iterable[Iterable[str]], true: Iterable[Iterable[str]], groups: Sequence[Any] | None = None, *,
    repeats: int = 1000, seed: int = 0,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """The same of the differences new minus old: both are judged on the same draws of the same sentences."""
    so = indicator(true)
    outcomes = (*_outcomes(indicator(old), so), *_outcomes(indicator(new), so))
    blocks = [(_figures(*sums[:3]), _figures(*sums[3:])) for sums in _draws(outcomes, groups, repeats, seed)]
    found = {k: _range(np.concatenate([b[k] - a[k] for a, b in blocks])) for k in blocks[0][0]}
    return {k: v for k, v in found.items() if v}


def reliability(p: NDArray, true: NDArray, number: int = 10) -> list[tuple[float, float, int]]:
    """(mean probability, share that is true, decisions) of each filled bin of equal width. Shape of both: any, the same."""
    p, true = np.ravel(p), np.ravel(true)
    which = np.minimum((p * number).astype(int), number - 1)
    return [
        (float(p[which == b].mean()), float(true[which == b].mean()), int((which == b).sum())) for b in range(number) if (which == b).any()
    ]


def expected_calibration_error(p: NDArray, true: NDArray) -> float:
    """Mean gap between probability and frequency over 15 bins, weighted by their size (Guo et al. 2017)."""
    return sum(abs(mean - share) * n for mean, share, n in reliability(p, true, 15)) / np.size(p)
