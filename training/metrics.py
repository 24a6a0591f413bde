"""Multi-label metrics as an `evaluate` metric over scikit-learn: used while training; `svcnorm.evaluation` is checked against it."""

from __future__ import annotations

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score, f1_score

from svcnorm.evaluation import TABOO
from svcnorm.labels import NAMES


class MultilabelF1(evaluate.Metric):
    """Micro and macro F1 (labels without support left out), and taboo-or-not F1, from 0/1 matrices of shape (n, len(LABELS))."""

    def _info(self) -> evaluate.MetricInfo:
        feature = datasets.Sequence(datasets.Value("int32"))
        return evaluate.MetricInfo(description=self.__doc__, citation="", inputs_description="",
                                   features=datasets.Features({"predictions": feature, "references": feature}))  # fmt: skip

    def _compute(self, predictions: list, references: list) -> dict[str, float]:
        predicted, true = np.array(predictions), np.array(references)
        used = true.any(axis=0)
        return {
            "micro_f1": float(f1_score(true, predicted, average="micro", zero_division=0)),
            "macro_f1": float(f1_score(true[:, used], predicted[:, used], average="macro", zero_division=0)),
            "taboo_f1": float(f1_score(true[:, TABOO].any(axis=1), predicted[:, TABOO].any(axis=1), zero_division=0)),
        }


def label_sets(decided: np.ndarray) -> list[list[str]]:
    """Label names of each row of a 0/1 matrix of shape (n, len(LABELS))."""
    return [[NAMES[i] for i in np.flatnonzero(row)] for row in decided]


def multilabel_f1(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    metric = MultilabelF1()
    return metric.compute(predictions=predicted.astype(int).tolist(), references=true.astype(int).tolist())


def macro_average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """Mean over the labels with support of the area under precision-recall: needs no threshold."""
    used = true.any(axis=0)
    return float(average_precision_score(true[:, used], scores[:, used], average="macro"))
