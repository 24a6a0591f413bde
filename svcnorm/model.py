"""The model at work: sentences in, calibrated probabilities out. onnxruntime and tokenizers are imported only when a bundle is loaded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from svcnorm.bundle import Bundle
from svcnorm.calibration import Calibration
from svcnorm.errors import BundleError
from svcnorm.labels import LABELS
from svcnorm.lexical import Lexical
from svcnorm.text import normalise

BATCH = 16  # sentences that go through the model together: larger batches leave the processor's cache, smaller ones leave it waiting


class Scorer(Protocol):
    """Anything that gives each label of each sentence a probability."""

    id: str
    calibration: Calibration

    def probabilities(self, sentences: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Calibrated probabilities in [0, 1]. Shape: (len(sentences), len(LABELS))."""
        ...


class CachedScorer:
    """A scorer that remembers the sentences it has seen: calls repeat themselves. Safe to call from several threads if the scorer is.

    `size`: sentences remembered, the last used ones; each takes some hundred bytes. What it answers is what the scorer would answer.
    """

    def __init__(self, scorer: Scorer, size: int):
        self.id, self.calibration, self._scorer, self._size = scorer.id, scorer.calibration, scorer, size
        self._rows: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def probabilities(self, sentences: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Calibrated probabilities in [0, 1]. Shape: (len(sentences), len(LABELS))."""
        keys = [normalise(s) for s in sentences]
        with self._lock:
            found = {key: self._rows[key] for key in keys if key in self._rows}
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        # a copy of each row: a view would keep the whole batch in memory
        found |= {key: row.copy() for key, row in zip(missing, self._scorer.probabilities(missing, batch_size), strict=True)}
        with self._lock:
            for key in dict.fromkeys(keys):
                self._rows[key] = found[key]
                self._rows.move_to_end(key)
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)
        return np.stack([found[key] for key in keys]) if keys else np.zeros((0, len(LABELS)), np.float32)


class OnnxScorer:
    """A bundle run by ONNX Runtime on the CPU. Safe to call from several threads.

    The network scores a sentence of more than the bundle's `max_tokens` in windows, and each label gets its highest logit of any window; the
    linear half sees the sentence as a whole.
    """

    def __init__(self, bundle: Bundle, *, threads: int | None = None):
        import onnxruntime as ort
        from tokenizers import Tokenizer

        self.id, self.calibration, self._max_tokens, self._labels = bundle.id, bundle.calibration, bundle.max_tokens, bundle.labels
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0  # 0: as many as there are cores
        options.log_severity_level = 3
        try:
            self._tokenizer = Tokenizer.from_str(bundle.file("tokenizer.json").read_text(encoding="utf-8"))
            self._session = ort.InferenceSession(str(bundle.file("model.onnx")), options, providers=["CPUExecutionProvider"])
        except Exception as e:  # both libraries raise bare Exceptions of their own
            raise BundleError(f"{bundle.path}: cannot be loaded: {e}; restore the folder from its source") from e
        self._lexical = Lexical.load(bundle.file("lexical.npz"), bundle.labels)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        frame = self._tokenizer.encode("").ids
        if len(frame) != 2:
            raise BundleError(
                f"{bundle.path / 'tokenizer.json'}: one token before and one behind each sentence are expected, got {frame}; export the model again"
            )
        self._begin, self._end = frame

    def probabilities(self, sentences: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """Calibrated probabilities in [0, 1]. Shape: (len(sentences), len(LABELS))."""
        return self.calibration.probabilities(self.logits(sentences, batch_size))

    def logits(self, sentences: Sequence[str], batch_size: int = BATCH) -> NDArray[np.float32]:
        """The model's raw output, network and linear half together; 0 for labels it was not made for. Shape: (len(sentences), len(LABELS))."""
        if not sentences:
            return np.zeros((0, len(LABELS)), np.float32)
        known = self._network(sentences, batch_size) + self._lexical.logits(sentences)
        return np.pad(known, ((0, 0), (0, len(LABELS) - self._labels)))

    def _network(self, sentences: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        rows, owners = [], []
        room = self._max_tokens - 2
        for i, encoding in enumerate(self._tokenizer.encode_batch_fast([normalise(s) for s in sentences], add_special_tokens=False)):
            ids = encoding.ids
            for start in range(0, max(len(ids), 1), room):
                rows.append([self._begin, *ids[start : start + room], self._end])
                owners.append(i)
        out = np.empty((len(rows), self._labels), np.float32)
        order = sorted(range(len(rows)), key=lambda r: len(rows[r]))  # neighbours in length share a batch: little padding
        for at in range(0, len(order), batch_size):
            chosen = order[at : at + batch_size]
            out[chosen] = self._run([rows[r] for r in chosen])
        if len(rows) == len(sentences):
            return out
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        return np.maximum.reduceat(out, starts, axis=0)

    def _run(self, rows: list[list[int]]) -> NDArray[np.float32]:
        length = max(map(len, rows))
        ids = np.zeros((len(rows), length), np.int64)  # what pads is masked: any id will do
        mask = np.zeros((len(rows), length), np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return self._session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
