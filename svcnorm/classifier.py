"""Classifier: text in, labelled sentences out. It composes text, model, norm and fusion, and decides nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from svcnorm.bundle import open_bundle
from svcnorm.errors import BundleError, SvcnormError
from svcnorm.fusion import fuse
from svcnorm.model import BATCH, CachedScorer, OnnxScorer, Scorer
from svcnorm.norms import Norm
from svcnorm.results import Prediction, Sentence, Span
from svcnorm.text import check_text, split

CACHE = 20_000  # some 5 MB
WINDOW = 64  # batches of texts that are sorted by length together


class Classifier:
    """Labels agent sentences by a model, a norm's rules, or both. Immutable once made; safe to call from several threads.

    >>> classifier = Classifier.load()
    >>> [s.labels for s in classifier.predict("对不起，让您久等了。我帮您查一下。")]
    [('apology',), ('hold',)]
    """

    def __init__(self, scorer: Scorer | None, norm: Norm):
        self.scorer, self.norm = scorer, norm

    @classmethod
    def load(
        cls, model: str | PathLike[str] | None = None, *, norm: str | PathLike[str] | Norm = "base",
        on_missing_model: Literal["error", "rules"] = "error", threads: int | None = None, cache: int = CACHE,
    ) -> Classifier:  # fmt: skip
        """A classifier over a bundle (`None`: the shipped one; else a path, or an id in models/) and a norm (a name, a path, or a `Norm`).

        A model that cannot be loaded is a `BundleError`, unless `on_missing_model="rules"` asks for rules alone in that case; then
        every result says so by `model=None`. `threads`: that the network may use; `None`: as many as there are cores. `cache`: how many
        sentences' probabilities are remembered; 0: none.
        """
        if on_missing_model not in ("error", "rules"):
            raise SvcnormError(f"on_missing_model is 'error' or 'rules', got {on_missing_model!r}")
        loaded = norm if isinstance(norm, Norm) else Norm.load(norm)
        try:
            scorer = OnnxScorer(open_bundle(model), threads=threads)
            return cls(CachedScorer(scorer, cache) if cache else scorer, loaded)
        except BundleError:
            if on_missing_model == "error":
                raise
            return cls(None, loaded)

    @classmethod
    def from_rules(cls, *, norm: str | PathLike[str] | Norm = "base") -> Classifier:
        """A classifier that has no model: findings come from the norm's rules alone and carry no probability."""
        return cls(None, norm if isinstance(norm, Norm) else Norm.load(norm))

    @property
    def model(self) -> str | None:
        """The bundle's id, or `None` without a model."""
        return self.scorer.id if self.scorer else None

    def predict(self, text: str, *, split: bool = True) -> Prediction:
        """The labelled sentences of one text. `split=False` takes the text as one sentence.

        A text without a letter, digit or Chinese character has no sentences. Raises `DataError` if `text` is no string.
        """
        return next(self.predict_many([text], split=split))

    def predict_many(self, texts: Iterable[str], *, split: bool = True, batch_size: int = BATCH) -> Iterator[Prediction]:
        """The same for many texts, in their order and as a stream: 64 batches of texts are held at a time.

        `batch_size`: sentences that go through the model together.
        """
        if isinstance(texts, str):
            raise SvcnormError("predict_many takes an iterable of texts; for one text there is predict")
        return (prediction for prediction, _ in self.scored_many(texts, split=split, batch_size=batch_size))

    def scored_many(
        self, texts: Iterable[str], *, split: bool = True, batch_size: int = BATCH
    ) -> Iterator[tuple[Prediction, NDArray[np.float32] | None]]:
        """As `predict_many`, each with the probabilities that it was decided from: shape (sentences, len(LABELS)), `None` without a model."""
        texts = iter(texts)
        while chunk := list(islice(texts, WINDOW * batch_size)):
            spans = [self._spans(text, split) for text in chunk]
            sentences = [span.of(text) for text, found in zip(chunk, spans, strict=True) for span in found]
            rows = self.scorer.probabilities(sentences, batch_size) if self.scorer else None
            at = 0
            for text, found in zip(chunk, spans, strict=True):
                own = rows[at : at + len(found)] if rows is not None else None
                at += len(found)
                judged = zip(found, own if own is not None else [None] * len(found), strict=True)
                yield (
                    Prediction(
                        text, tuple(self._sentence(text, span, row) for span, row in judged), self.norm.name, self.model, self.norm.version
                    ),
                    own,
                )

    def predict_proba(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities of the model, each text taken as one sentence. Shape: (n, len(LABELS)), columns in the order of `LABELS`.

        Raises `SvcnormError` without a model.
        """
        if self.scorer is None:
            raise SvcnormError("rules give no probabilities; load a model with Classifier.load()")
        if isinstance(sentences, str):
            raise SvcnormError("predict_proba takes a list of sentences; put the one sentence into a list")
        return self.scorer.probabilities([check_text(s) for s in sentences])

    @staticmethod
    def _spans(text: str, cut: bool) -> list[Span]:
        found = split(text)
        return found if cut or not found else [Span(found[0].start, found[-1].end)]

    def _sentence(self, text: str, span: Span, probabilities: NDArray[np.float32] | None) -> Sentence:
        sentence = span.of(text)
        decisions, unsure = fuse(probabilities, self.scorer.calibration if self.scorer else None, self.norm.match(sentence))
        findings = tuple(self.norm.judge(d.label, d.source, d.probability, d.hits, sentence, span.start) for d in decisions)
        return Sentence(sentence, span, findings, unsure)


def ways(scorer: Scorer, norm: Norm) -> dict[str, Classifier]:
    """To compare them: rules alone, model alone, both."""
    bare = Norm(norm.name, norm.title, norm.source, None, norm.judgements, (), ())
    return {"rules": Classifier.from_rules(norm=norm), "model": Classifier(scorer, bare), "both": Classifier(scorer, norm)}
