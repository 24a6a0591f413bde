"""Fitting the linear half."""

import numpy as np
import pytest

pytest.importorskip("torch")
from svcnorm.labels import NAMES
from training.lexical import fit, matrix
from training.train import FOLDS


def data():
    texts = [f"{word}啊第{i}次" for i in range(30) for word in ("稍等", "再见", "谢谢")]
    true = np.zeros((len(texts), len(NAMES)), bool)
    for j, word in enumerate(("稍等", "再见")):
        true[:, j] = [word in t for t in texts]
    return texts, true


def test_words_get_their_labels_weight_and_int8_keeps_the_decisions():
    texts, true = data()
    made = fit(texts, true, size=2048, weight=1.0, c=10)
    logits = made.logits(["稍等一下", "再见了", "别的"])
    assert logits[0, 0] > 0 > logits[0, 1]
    assert logits[1, 1] > 0 > logits[1, 0]
    assert (logits[2, :2] < 0).all()


def test_the_weight_scales_and_a_label_without_examples_adds_nothing():
    texts, true = data()
    whole, half = (fit(texts, true, size=2048, weight=w, c=10).logits(["稍等"]) for w in (1.0, 0.5))
    assert half == pytest.approx(whole / 2, abs=0.02)
    assert (whole[0, 2:] == 0).all()


def test_rows_have_length_one():
    assert matrix(["稍等", "您好您好您好"], 512).power(2).sum(axis=1) == pytest.approx(np.ones((2, 1)), rel=1e-5)


def test_both_halves_fold_the_same_characters():
    from svcnorm.lexical import indices

    assert (indices("您0123456789", 10**6) == indices("你1111111111", 10**6)).all()
    assert dict(FOLDS) == {"您": "你", "[0-9]": "1"}
