"""Which sentences to label next: those the model is least sure of, those that may carry labels of which there are few, those unlike the rest, or any.

Numpy only; the probabilities are `Classifier.predict_proba`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from svcnorm.labels import NAMES
from svcnorm.lexical import indices
from svcnorm.text import bare

REASONS = ("uncertain", "rare", "diverse", "random")
USUAL = REASONS[:2]  # "diverse" gains least (docs/selection.md); it is for calls that are unlike all before
SOFT = 5  # added to a label's count before its rarity weighs
PLAUSIBLE = 0.1  # a sentence is asked for the sake of a rare label only from this probability on
_SIZE, _WIDTH = 1 << 15, 64  # hashed n-grams, and what they are projected on


def select(
    texts: Sequence[str], probabilities: NDArray[np.float32], budget: int, *, known: Iterable[str] = (),
    counts: dict[str, int] | None = None, strategies: Sequence[str] = USUAL, seed: int = 0,
) -> list[tuple[int, str]]:  # fmt: skip
    """Indices of at most `budget` sentences to label, each with its reason, the most wanted first; the strategies take turns.

    `probabilities`: shape (len(texts), len(LABELS)). `known`: sentences labelled already; these, and repetitions, are passed over
    whatever their marks. `counts`: how many labelled sentences each label has: "uncertain" and "rare" favour labels that have few.
    """
    seen, pool = {bare(t) for t in known}, []
    for i, text in enumerate(texts):
        if (plain := bare(text)) and plain not in seen:
            seen.add(plain)
            pool.append(i)
    pool = np.array(pool, int)
    if not len(pool):
        return []
    p = probabilities[pool]
    makers = {
        "uncertain": lambda: uncertain(p, counts or {}),
        "rare": lambda: rare(p, counts or {}),
        "diverse": lambda: diverse([texts[i] for i in pool], budget, seed),
        "random": lambda: np.random.default_rng(seed).permutation(len(pool)).tolist(),
    }
    queues = [(reason, iter(makers[reason]())) for reason in strategies]
    chosen: dict[int, str] = {}
    while queues and len(chosen) < min(budget, len(pool)):
        reason, queue = queues.pop(0)
        found = next((i for i in queue if i not in chosen), None)
        if found is not None:
            chosen[found] = reason
            queues.append((reason, queue))
    return [(int(pool[i]), reason) for i, reason in chosen.items()]


def uncertain(p: NDArray[np.float32], counts: dict[str, int]) -> list[int]:
    """All rows, by how many of a row's decisions are expected to be wrong: the sum of min(p, 1 - p) of calibrated probabilities.

    A decision weighs 1 / sqrt(count + 5): one on a rare label teaches more (docs/selection.md).
    """
    weight = 1 / np.sqrt(np.array([counts.get(name, 0) for name in NAMES]) + SOFT)
    return np.argsort(-(np.minimum(p, 1 - p) @ weight), kind="stable").tolist()


def rare(p: NDArray[np.float32], counts: dict[str, int]) -> list[int]:
    """Rows that plausibly have a label, the labels taking turns by how few sentences they have, each with its likeliest rows first."""
    have = np.array([counts.get(name, 0) for name in NAMES], float)
    order, at, rows = np.argsort(-p, axis=0, kind="stable"), np.zeros(len(NAMES), int), []
    open_ = (p >= PLAUSIBLE).sum(axis=0)
    while (at < open_).any():
        label = int(np.argmin(np.where(at < open_, have, np.inf)))
        rows.append(int(order[at[label], label]))
        have[label] += p[rows[-1], label]
        at[label] += 1
    return list(dict.fromkeys(rows))


def diverse(texts: Sequence[str], number: int, seed: int = 0) -> list[int]:
    """Farthest-first traversal (Gonzalez 1985) of the n-grams of the sentences: each is the one least like those before it."""
    projection = np.random.default_rng(seed).standard_normal((_SIZE, _WIDTH)).astype(np.float32)
    vectors = np.stack([projection[indices(t, _SIZE)].sum(axis=0) for t in texts])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    mean = vectors.mean(axis=0)
    rows, nearest = [int(np.argmax(vectors @ mean))], np.full(len(texts), -np.inf, np.float32)  # begins in the middle
    for _ in range(min(number, len(texts)) - 1):
        nearest = np.maximum(nearest, vectors @ vectors[rows[-1]])
        nearest[rows] = np.inf
        rows.append(int(np.argmin(nearest)))
    return rows
