"""From logits to probabilities to decisions. Fitting is training/calibrate.py; here it is only applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svcnorm.errors import BundleError
from svcnorm.labels import NAMES

FORMAT = 1
_KEYS = ("slope", "offset", "threshold", "with_rule", "low", "high")
_UNKNOWN = (0.0, -60.0, 1.0, 0.0, 1.0, 1.0)  # of a label that the model was not made for: probability 0, and a rule's hit suffices


@dataclass(frozen=True, slots=True)
class Calibration:
    """Per label: Platt scaling (slope and offset of the logit), the thresholds, and the unsure band.

    All arrays have the shape (len(LABELS),). `with_rule` is the probability that suffices where a rule hits; `low` to `high` is the
    unsure band: 0 <= with_rule <= low <= threshold <= high <= 1.
    """

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    threshold: NDArray[np.float32]
    with_rule: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities. Shape: (n, len(LABELS)) -> the same, in [0, 1]."""
        z = np.clip(logits * self.slope + self.offset, -60, 60)
        return (1 / (1 + np.exp(-z))).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        rows = zip(NAMES, *(getattr(self, k) for k in _KEYS), strict=True)
        return {"format": FORMAT, "labels": {name: {k: round(float(v), 6) for k, v in zip(_KEYS, row, strict=True)} for name, *row in rows}}

    @classmethod
    def from_dict(cls, content: dict[str, Any], known: int = len(NAMES)) -> Calibration:
        """`known`: how many of `LABELS` the content has, the first so many. Raises `BundleError` if one of them or a number is missing or out of order."""
        try:
            rows = [content["labels"][name] for name in NAMES[:known]] + [dict(zip(_KEYS, _UNKNOWN, strict=True))] * (len(NAMES) - known)
            columns = {k: np.array([row[k] for row in rows], np.float32) for k in _KEYS}
        except (KeyError, TypeError, ValueError) as e:
            raise BundleError(f"calibration.json: no usable entry {e}; restore the model folder from its source") from None
        made = cls(**columns)
        steps = np.stack([np.zeros(len(NAMES)), made.with_rule, made.low, made.threshold, made.high, np.ones(len(NAMES))])
        bad = [name for name, ok in zip(NAMES, (np.diff(steps, axis=0) >= 0).all(axis=0), strict=True) if not ok]
        if content.get("format") != FORMAT or bad:
            raise BundleError(
                f"calibration.json: 0 <= with_rule <= low <= threshold <= high <= 1 does not hold for {', '.join(bad)}; export the model again"
            )
        return made
