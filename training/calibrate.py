"""Stage `calibrate`: on the held-back authors, logits become probabilities, and every label gets its threshold and unsure band."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_recall_curve

from svcnorm.calibration import Calibration
from svcnorm.labels import LABELS
from training.stage import stage

TAKES = ("taboo_precision",)
PRIOR_WEIGHT = 20  # a threshold of a label with this many held-back positives lies half way to 0.5: few examples, little say
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


def threshold(p: np.ndarray, true: np.ndarray, target_precision: float | None) -> float:
    """The threshold of best F1, or the lowest with the target precision (F1's where none reaches it), drawn to 0.5 where positives are few."""
    positives = int(true.sum())
    if not positives:
        return 0.5
    precision, recall, cuts = precision_recall_curve(true, p)
    precision, recall = precision[:-1], recall[:-1]
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = float(cuts[np.argmax(f1)])
    if target_precision is not None:
        good = np.flatnonzero((precision >= target_precision) & (recall > 0.2))
        best = max(best, float(cuts[good[0]])) if len(good) else best
    return float(np.clip((positives * best + PRIOR_WEIGHT * 0.5) / (positives + PRIOR_WEIGHT), 0.1, 0.9))


def fit(logits: np.ndarray, true: np.ndarray, taboo_precision: float) -> Calibration:
    """Calibration from held-back logits and 0/1 labels. Shape of both: (n, len(LABELS))."""
    rows = []
    for i, label in enumerate(LABELS):
        slope, offset = platt(logits[:, i], true[:, i])
        p = 1 / (1 + np.exp(-(slope * logits[:, i] + offset)))
        cut = threshold(p, true[:, i], taboo_precision if label.taboo else None)
        rows.append((slope, offset, cut, WITH_RULE * cut, BAND[0] * cut, cut + BAND[1] * (1 - cut)))
    return Calibration(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


def expected_calibration_error(p: np.ndarray, true: np.ndarray, bins: int = 15) -> float:
    """Mean gap between probability and frequency over equal-width bins, weighted by their size, all labels together."""
    p, true = p.ravel(), true.ravel()
    which = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[which == b].mean() - true[which == b].mean()) * (which == b).mean() for b in range(bins) if (which == b).any()))


def run(config: dict, trained: Path, out: Path) -> None:
    with stage(out, inputs={k: config[k] for k in TAKES}, code=[Path(__file__)], files=[trained / "held.npz"]) as done:
        if done is None:
            return
        held = np.load(trained / "held.npz")
        calibration = fit(held["logits"], held["labels"], config["taboo_precision"])
        (out / "calibration.json").write_text(json.dumps(calibration.to_dict(), indent=1) + "\n", encoding="utf-8")
        p = calibration.probabilities(held["logits"])
        unsure = ((p >= calibration.low) & (p < calibration.high)).any(axis=1).mean()
        done.update(ece=round(expected_calibration_error(p, held["labels"]), 4), share_unsure=round(float(unsure), 3))
