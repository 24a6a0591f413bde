"""The linear half of a model: a weight for each label on hashed n-grams of characters. Its logits are added to the network's.

A small network rounds off what single words say; a linear model beside it keeps that (wide and deep learning, Cheng et al. 2016).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svcnorm.errors import BundleError
from svcnorm.labels import NAMES
from svcnorm.literals import grams
from svcnorm.text import normalise

LONGEST = 4  # n-grams of 1 to 4 characters
_BEGIN, _END = "^", "$"
_FOLD = str.maketrans("您0123456789", "你1111111111")  # as the tokenizer of the shipped model folds them (training/train.py)


def indices(sentence: str, size: int) -> list[int]:
    """The n-grams of a sentence with marks at both ends, each hashed (CRC-32) into [0, size); once each, ascending."""
    text = _BEGIN + normalise(sentence).translate(_FOLD) + _END
    return sorted({zlib.crc32(gram.encode(errors="replace")) % size for gram in grams(text, LONGEST)})


@dataclass(frozen=True, slots=True)
class Lexical:
    """`weight` is int8, shape (size, len(LABELS)); times `scale` it is the weight of a present n-gram. `scale`, `intercept`: (len(LABELS),)."""

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    intercept: NDArray[np.float32]

    def logits(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """What to add to the network's logits. Shape: (len(sentences), the labels of `intercept`). A sentence's n-grams have length 1 together (L2)."""
        out = np.empty((len(sentences), len(self.intercept)), np.float32)
        for row, sentence in zip(out, sentences, strict=True):
            found = indices(sentence, len(self.weight))
            row[:] = self.weight[found].sum(axis=0, dtype=np.int32) * (self.scale / np.float32(len(found) ** 0.5)) + self.intercept
        return out

    def save(self, path: Path) -> None:
        np.savez_compressed(path, weight=self.weight, scale=self.scale, intercept=self.intercept)

    @classmethod
    def load(cls, path: Path, labels: int = len(NAMES)) -> Lexical:
        """A file for so many labels. Raises `BundleError` if the file is not what `save` writes. Nothing in it is code: pickled arrays are refused."""
        try:
            with np.load(path, allow_pickle=False) as saved:
                made = cls(saved["weight"], saved["scale"], saved["intercept"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as e:
            raise BundleError(f"{path}: cannot be loaded: {e}; restore the folder from its source") from None
        if (
            made.weight.dtype != np.int8
            or made.weight.ndim != 2
            or {made.weight.shape[1:], made.scale.shape, made.intercept.shape} != {(labels,)}
        ):
            raise BundleError(
                f"{path}: int8 weights for {labels} labels are expected, got {made.weight.dtype} of shape {made.weight.shape}; export the model again"
            )
        return made
