"""The model at work: sentences in, calibrated probabilities out. onnxruntime and tokenizers are imported only when a bundle is loaded."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from svcnorm.bundle import Bundle
from svcnorm.calibration import Calibration
from svcnorm.errors import BundleError
from svcnorm.labels import LABELS
from svcnorm.lexical import Lexical
from svcnorm.text import normalise

if TYPE_CHECKING:
    import onnxruntime as ort

BATCH = 16  # sentences that go through the model together: larger batches leave the processor's cache, smaller ones leave it waiting
TOKENS = 24  # of a batch, for each of these sentences: fewer of the longer ones go together, or a few of them would double the memory


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
        from tokenizers import Tokenizer

        self.id, self.calibration, self._max_tokens, self._labels = bundle.id, bundle.calibration, bundle.max_tokens, bundle.labels
        self._lock = Lock()
        self._file, self._threads = str(bundle.file("model.onnx")), threads or cores()
        try:
            self._tokenizer = Tokenizer.from_str(bundle.file("tokenizer.json").read_text(encoding="utf-8"))
            self._session = self._open(threads or 0)  # 0: as many as there are cores, by ONNX Runtime's own count
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
        network = self._network(sentences, batch_size)
        lexical = self._lexical.logits(sentences)  # while the network's threads are at work
        return np.pad(network() + lexical, ((0, 0), (0, len(LABELS) - self._labels)))

    def _network(self, sentences: Sequence[str], batch_size: int) -> Callable[[], NDArray[np.float32]]:
        """Sets the network to work on the sentences; what it returns waits for the logits."""
        rows, owners = [], []
        room = self._max_tokens - 2
        for i, encoding in enumerate(self._tokenizer.encode_batch_fast([normalise(s) for s in sentences], add_special_tokens=False)):
            ids = encoding.ids
            for start in range(0, max(len(ids), 1), room):
                rows.append([self._begin, *ids[start : start + room], self._end])
                owners.append(i)
        batches = in_batches([len(row) for row in rows], batch_size)
        found = self._run_all([[rows[r] for r in batch] for batch in batches])

        def wait() -> NDArray[np.float32]:
            out = np.empty((len(rows), self._labels), np.float32)
            for batch, logits in zip(batches, found, strict=True):
                out[batch] = logits
            if len(rows) == len(sentences):
                return out
            return np.maximum.reduceat(out, np.flatnonzero(np.diff(owners, prepend=-1)), axis=0)

        return wait

    def _run_all(self, batches: list[list[list[int]]]) -> Iterable[NDArray[np.float32]]:
        """Many batches are run side by side, one thread each, which is faster than one after another by all threads; few are not."""
        if self._threads == 1 or len(batches) < 2 * self._threads:
            return (self._run(self._session, batch) for batch in batches)
        with self._lock:
            session, pool = self._side_by_side
        return pool.map(partial(self._run, session), batches)

    @cached_property
    def _side_by_side(self) -> tuple[ort.InferenceSession, ThreadPoolExecutor]:
        return self._open(1), ThreadPoolExecutor(self._threads, "svcnorm")

    def _open(self, threads: int) -> ort.InferenceSession:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        return ort.InferenceSession(self._file, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def _run(session: ort.InferenceSession, rows: list[list[int]]) -> NDArray[np.float32]:
        length = max(map(len, rows))
        ids = np.zeros((len(rows), length), np.int64)  # what pads is masked: any id will do
        mask = np.zeros((len(rows), length), np.int64)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


def in_batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Batches of places in `lengths` (tokens), of at most `size` places, and of `size * TOKENS` tokens if they are more than one.

    Neighbours in length share a batch: little is padded. The longest go first, so that threads that share the batches end together.
    """
    order, batches, at = sorted(range(len(lengths)), key=lambda i: -lengths[i]), [], 0
    while at < len(order):
        batches.append(order[at : at + max(1, min(size, size * TOKENS // lengths[order[at]]))])
        at += len(batches[-1])
    return batches


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
