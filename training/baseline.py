"""What a model without a neural network reaches on the same sentences: TF-IDF of characters and a linear classifier for each label."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from training.calibrate import threshold


def tfidf_linear(train: dict, held: dict, texts: list[str], *, c: float = 10.0) -> np.ndarray:
    """0/1 decisions for `texts`, shape (len(texts), labels): 1- to 4-grams of characters, logistic regression, thresholds of best F1 on `held`.

    `train`, `held`: columns "text" and "labels" (0/1 rows), as the stage `prepare` writes them.
    """
    features = TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, min_df=2)
    model = make_pipeline(features, OneVsRestClassifier(LogisticRegression(C=c, solver="liblinear")))
    model.fit(train["text"], np.array(train["labels"]).astype(int))
    p, true = model.predict_proba(held["text"]), np.array(held["labels"])
    cuts = [threshold(p[:, i], true[:, i], None) for i in range(true.shape[1])]
    return model.predict_proba(texts) >= np.array(cuts)
