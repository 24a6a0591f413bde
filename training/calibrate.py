"""Stage `calibrate`: on the held-back authors, logits become probabilities, and every label gets its threshold and unsure band."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_from_disk
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

from svcnorm.bundle import Bundle
from svcnorm.calibration import Calibration
from svcnorm.evaluation import evaluate_matrix, expected_calibration_error
from svcnorm.labels import LABELS
from svcnorm.lexical import Lexical
from training.lexical import FILE
from training.metrics import multilabel_f1
from training.stage import stage

TAKES = ("taboo_precision",)
PRIOR, PRIOR_WEIGHT = 0.5, 120  # a threshold of a label with so many held-back positives lies half way to this (docs/log.md)
PARENT_WEIGHT = 400  # a retrained model's are drawn to its parent's: nearly the same sentences set both, and a jump between them is chance
WITH_RULE = 0.1  # of the threshold: rules are right nearly always, so with a hit the model need only not rule the label out
BAND = (0.8, 0.1)  # unsure from this share of the threshold to this share of the way from it to 1


def platt(logit: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Slope and offset that make sigmoid(slope * logit + offset) a probability. Shape of both arguments: (n,).

    The offset alone is fitted where a label has fewer than ten positives.
    """
    if true.sum() < 10 or true.all():
        return 1.0, 0.0
    fitted = LogisticRegression(C=1.0).fit(logit[:, None], true)
    slope = float(fitted.coef_[0, 0])
    return (slope, float(fitted.intercept_[0])) if slope > 0 else (1.0, 0.0)


def threshold(p: np.ndarray, true: np.ndarray, target_precision: float | None, start: float = PRIOR, weight: float = PRIOR_WEIGHT) -> float:
    """The threshold of best F1, or the lowest with the target precision (F1's where none reaches it), drawn to `start` where positives are few."""
    positives = int(true.sum())
    if not positives:
        return start
    precision, recall, cuts = precision_recall_curve(true, p)
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = float(cuts[np.argmax(f1)])
    if target_precision is not None:
        good = np.flatnonzero((precision >= target_precision) & (recall > 0.2))
        best = max(best, float(cuts[good[0]])) if len(good) else best
    return float(np.clip((positives * best + weight * start) / (positives + weight), 0.1, 0.9))


def fit(logits: np.ndarray, true: np.ndarray, taboo_precision: float, parent: np.ndarray | None = None) -> Calibration:
    """Calibration from held-back logits and labels, 0, 1 or NaN for unknown. Shape of both: (n, len(LABELS)).

    `parent`: the thresholds of the model that was retrained, shape (len(LABELS),), NaN for labels that it does not know.
    """
    rows = []
    for i, label in enumerate(LABELS):
        known = ~np.isnan(true[:, i])
        logit, so = logits[known, i], true[known, i]
        slope, offset = platt(logit, so)
        start = () if parent is None or np.isnan(parent[i]) else (float(parent[i]), PARENT_WEIGHT)
        cut = threshold(1 / (1 + np.exp(-(slope * logit + offset))), so, taboo_precision if label.taboo else None, *start)
        rows.append((slope, offset, cut, WITH_RULE * cut, BAND[0] * cut, cut + BAND[1] * (1 - cut)))
    return Calibration(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def cross_fitted(
    logits: np.ndarray, true: np.ndarray, authors: Sequence[str], taboo_precision: float, parent: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and decisions on the sentences of each author by a calibration fitted on the other authors. Shapes: (n, len(LABELS)).

    A single author has no others: its own calibration is all there is.
    """
    p, decided = np.zeros(logits.shape, np.float32), np.zeros(logits.shape, bool)
    authors = np.array(authors)
    for author in set(authors.tolist()):
        part = authors == author
        others = ~part if not part.all() else part
        other = fit(logits[others], true[others], taboo_precision, parent)
        p[part] = other.probabilities(logits[part])
        decided[part] = p[part] >= other.threshold
    return p, decided


def measured(decided: np.ndarray, true: np.ndarray, in_call: np.ndarray) -> dict[str, dict[str, Any]]:
    """How often each label is right, of the model alone, and the false alarms in 1,000 sentences of whole calls (the natural label mix)."""
    everywhere, calls = (evaluate_matrix(decided[part], true[part] > 0) for part in (in_call | True, in_call))
    counts, alarms = ({**e.labels, "any taboo": e.taboo} for e in (everywhere, calls))
    per_1000 = lambda c: round(1000 * c.fp / calls.sentences, 2) if calls.sentences else None  # noqa: E731
    return {
        name: {"support": c.support, "precision": c.precision, "recall": c.recall, "false_alarms_per_1000": per_1000(alarms[name])}
        for name, c in counts.items()
    }


def run(config: dict, prepared: Path, trained: Path, lexical: Path, out: Path, parent: Bundle | None = None) -> None:
    """`parent`: the bundle that was retrained, if one was: the thresholds start from its own."""
    files = [prepared / "dataset", trained / "held.npz", lexical / FILE, *([parent.file("calibration.json")] if parent else [])]
    with stage(out, inputs={k: config[k] for k in TAKES}, code=[Path(__file__)], files=files) as done:
        if done is None:
            return
        held, saved = load_from_disk(str(prepared / "dataset"), keep_in_memory=True)["held"], np.load(trained / "held.npz")
        logits = saved["logits"] + Lexical.load(lexical / FILE).logits(list(held["text"]))
        true, target = saved["labels"], config["taboo_precision"]
        start = np.where(np.arange(len(LABELS)) < parent.labels, parent.calibration.threshold, np.nan) if parent else None
        calibration = fit(logits, true, target, start)
        p, decided = cross_fitted(logits, true, held["author"], target, start)
        true = np.nan_to_num(true)
        rates = measured(decided, true, np.array(held["in_call"]))
        content = {**calibration.to_dict(), "measured": rates}
        (out / "calibration.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        unsure = ((p >= calibration.low) & (p < calibration.high)).any(axis=1).mean()
        done.update(ece=round(expected_calibration_error(p, true), 4), share_unsure=round(float(unsure), 3),
                    **{k: round(v, 4) for k, v in multilabel_f1(decided, true).items()}, taboo=rates["any taboo"])  # fmt: skip
