"""Stage `lexical`: the linear half of the model, a logistic regression for each label on hashed n-grams and pairs (`svcnorm.lexical`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from datasets import load_from_disk
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

import svcnorm.lexical
from svcnorm.lexical import Lexical, indices
from svcnorm.model import cores
from training.metrics import macro_average_precision
from training.stage import stage

TAKES = ("lexical_size", "lexical_weight", "lexical_c")
FILE = "lexical.npz"


def matrix(texts: list[str], size: int) -> csr_matrix:
    """Rows of length 1 (L2) over what each text has. Shape: (len(texts), size)."""
    rows = [indices(text, size) for text in texts]
    values = [np.full(len(row), len(row) ** -0.5, np.float32) for row in rows]
    return csr_matrix((np.concatenate(values), np.concatenate(rows), np.cumsum([0, *map(len, rows)])), shape=(len(texts), size))


def fit(texts: list[str], true: np.ndarray, *, size: int, weight: float, c: float) -> Lexical:
    """Fitted to labels, 0, 1 or NaN for unknown, shape (len(texts), len(LABELS)), and scaled by `weight`, its say beside the network's logits.

    A label that all texts have, or none, gets no weights and no intercept.
    """
    x, coefficients, intercepts = matrix(texts, size), np.zeros((true.shape[1], size)), np.zeros(true.shape[1])

    def fit_label(j: int) -> None:
        known = ~np.isnan(true[:, j])
        positive = true[known, j] > 0
        if positive.any() and not positive.all():
            model = LogisticRegression(C=c, solver="liblinear").fit(x if known.all() else x[known], positive)
            coefficients[j], intercepts[j] = weight * model.coef_[0], weight * model.intercept_[0]

    with ThreadPoolExecutor(cores()) as pool:  # liblinear lets go of the interpreter's lock
        list(pool.map(fit_label, range(true.shape[1])))
    scale = np.abs(coefficients).max(axis=1).clip(1e-9) / 127
    return Lexical(
        np.round(coefficients / scale[:, None]).astype(np.int8).T.copy(), scale.astype(np.float32), intercepts.astype(np.float32)
    )


def run(config: dict, prepared: Path, out: Path) -> None:
    """Reads `prepared`/dataset, writes `out`/lexical.npz."""
    features = Path(svcnorm.lexical.__file__)
    code = [Path(__file__), features, features.with_name("sounds.txt")]
    with stage(out, inputs={k: config[k] for k in TAKES}, code=code, files=[prepared / "dataset"]) as done:
        if done is None:
            return
        data = load_from_disk(str(prepared / "dataset"), keep_in_memory=True)
        train, held = data["train"], data["held"]
        size, weight, c = (config[k] for k in TAKES)
        made = fit(list(train["text"]), np.array(train["labels"], float), size=size, weight=weight, c=c)
        made.save(out / FILE)
        done["lexical_macro_ap"] = round(
            macro_average_precision(made.logits(list(held["text"])), np.nan_to_num(np.array(held["labels"], float))), 4
        )
