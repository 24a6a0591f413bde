"""Where the model and the rules meet: one pure function over both.

| model                                  | rule hit          | result                                            |
|----------------------------------------|-------------------|---------------------------------------------------|
| p >= threshold                         | none              | finding, source `model`                           |
| p >= threshold                         | any               | finding, source `both`, with evidence             |
| with_rule <= p < threshold             | any               | finding, source `rule`, with evidence             |
| p < with_rule                          | one that decides  | finding, source `rule`, with that evidence        |
| p < with_rule                          | others            | none                                              |
| no model, by the caller's choice       | any               | finding, source `rule`, probability `None`        |

A label in its unsure band (low <= p < high) that no hit settles is unsure: the sentence is for a person to review. The numbers are
the bundle's, label by label (`svcnorm.calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from svcnorm.calibration import Calibration
from svcnorm.labels import NAMES
from svcnorm.norms import Hit
from svcnorm.results import Source


@dataclass(frozen=True, slots=True)
class Decision:
    """A label that holds, on whose word, and the hits that support it."""

    label: str
    source: Source
    probability: float | None
    hits: tuple[Hit, ...]


def fuse(
    probabilities: NDArray[np.float32] | None, calibration: Calibration | None, hits: Sequence[Hit]
) -> tuple[tuple[Decision, ...], tuple[str, ...]]:
    """Decisions and unsure labels of one sentence, in the order of `LABELS`.

    `probabilities`: calibrated, shape (len(LABELS),), with their `calibration`; both `None` where there is no model.
    """
    by_label: dict[str, list[Hit]] = {}
    for hit in hits:
        for label in hit.rule.labels:
            by_label.setdefault(label, []).append(hit)
    if probabilities is None or calibration is None:
        return tuple(Decision(name, "rule", None, tuple(by_label[name])) for name in NAMES if name in by_label), ()

    decisions, unsure = [], []
    sure = probabilities >= calibration.threshold
    for i in np.flatnonzero(probabilities >= calibration.low) if not by_label else range(len(NAMES)):
        name, p = NAMES[i], float(probabilities[i])
        support = tuple(by_label.get(name, ()))
        if sure[i]:
            decisions.append(Decision(name, "both" if support else "model", p, support))
        elif p >= calibration.with_rule[i] and support:
            decisions.append(Decision(name, "rule", p, support))
        elif deciding := tuple(h for h in support if h.rule.decides):
            decisions.append(Decision(name, "rule", p, deciding))
        if not support and calibration.low[i] <= p < calibration.high[i]:
            unsure.append(name)
    return tuple(decisions), tuple(unsure)
