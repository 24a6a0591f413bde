"""The linear half of a model: a weight for each label on hashed n-grams of a sentence. Its logits are added to the network's.

A small network rounds off what single words say; a linear model beside it keeps that (wide and deep learning, Cheng et al. 2016).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from svcnorm.errors import BundleError
from svcnorm.labels import NAMES
from svcnorm.text import normalise

LONGEST = 4  # n-grams of 1 to 4 characters, and of 1 to 4 syllables
FARTHEST = 6  # pairs of characters up to so many places apart
_BEGIN, _END = "^", "$"
_FOLD = str.maketrans("您0123456789", "你1111111111")  # as the tokenizer of the shipped model folds them (training/train.py)
_NEXT, _CHARACTERS, _SYLLABLES, _FIRST, _SECOND = map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F))  # fmt: skip
# Odd and otherwise arbitrary: they keep apart what is a character, a syllable, the first or second of a pair. Stored weights hang on them.
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))  # SplitMix64 (Steele et al. 2014)


@cache
def _syllables() -> dict[int, int]:
    """Code point -> a number for its syllable without the tone: what a recogniser takes for another character mostly keeps it.

    Stored weights hang on these readings: a change of theirs is a new `svcnorm.bundle.FORMAT`.
    """
    lines = (files("svcnorm") / "sounds.txt").read_text(encoding="utf-8").splitlines()
    return {ord(character): zlib.crc32(reading.rstrip("1234").encode()) for character, reading in (line.split()[:2] for line in lines)}


def _grams(units: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    """A number for each run of 1 to `LONGEST` units."""
    runs = [units]
    for n in range(1, LONGEST):
        runs.append(runs[-1][:-1] * _NEXT + units[n:])
    return runs


def indices(sentence: str, size: int) -> NDArray[np.int64]:
    """What a sentence has, each hashed into [0, size), once each, ascending: its n-grams of characters, with marks at both ends, those of its syllables,
    and the pairs of characters that stand 2 to `FARTHEST` places apart, in their order (whatever is between them)."""
    points = [*map(ord, _BEGIN + normalise(sentence).translate(_FOLD) + _END)]
    characters, syllables = np.array(points, np.uint64), np.array([_syllables().get(p, p) for p in points], np.uint64)
    first, second = characters * _FIRST, characters * _SECOND
    apart = (first[:-gap] + second[gap:] for gap in range(2, FARTHEST + 1))
    hashed = np.concatenate([*_grams(characters * _CHARACTERS), *_grams(syllables * _SYLLABLES), *apart])
    for shift, factor in _MIX:
        hashed = (hashed ^ (hashed >> np.uint64(shift))) * np.uint64(factor)
    return np.unique((hashed % np.uint64(size)).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Lexical:
    """`weight` is int8, shape (size, len(LABELS)); times `scale` it is the weight of a present feature (`indices`). `scale`, `intercept`: (len(LABELS),)."""

    weight: NDArray[np.int8]
    scale: NDArray[np.float32]
    intercept: NDArray[np.float32]

    def logits(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """What to add to the network's logits. Shape: (len(sentences), the labels of `intercept`). A sentence's features have length 1 together (L2)."""
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
