"""Stand-ins for tests: a scorer without a model, and a whole tiny bundle made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from svcnorm.bundle import write_manifest
from svcnorm.calibration import Calibration
from svcnorm.labels import LABELS, NAMES

FLAT = Calibration(*(np.full(len(LABELS), v, np.float32) for v in (1.0, 0.0, 0.5, 0.2, 0.3, 0.7)))


class FakeScorer:
    """Gives the probabilities of a table of words: a sentence that has the word gets the label with that probability."""

    id = "fake"
    calibration = FLAT

    def __init__(self, words: dict[str, dict[str, float]]):
        self.words = words

    def probabilities(self, sentences, batch_size=32):
        out = np.zeros((len(sentences), len(LABELS)), np.float32)
        for i, sentence in enumerate(sentences):
            for word, labels in self.words.items():
                if word in sentence:
                    for label, p in labels.items():
                        out[i, NAMES.index(label)] = p
        return out


def write_bundle(path: Path) -> Path:
    """A sealed folder whose model.onnx and tokenizer.json are not real: enough for what `open_bundle` checks."""
    path.mkdir(parents=True)
    (path / "model.onnx").write_bytes(b"not a model")
    (path / "tokenizer.json").write_text("{}")
    zeros = np.zeros(len(LABELS), np.float32)
    np.savez(path / "lexical.npz", weight=np.zeros((8, len(LABELS)), np.int8), scale=zeros, intercept=zeros)
    (path / "README.md").write_text("card")
    (path / "calibration.json").write_text(json.dumps(FLAT.to_dict()))
    write_manifest(path, id=path.name, max_tokens=16)
    return path
