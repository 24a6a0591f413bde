"""What svcnorm answers with: frozen, slotted, and each with a `to_dict` for JSON.

Every span is half-open and counts code points of the caller's own text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from svcnorm.labels import find

FORMAT = 1  # of `Prediction.to_dict`; raised when a field changes its meaning or goes away

Severity = Literal["forbidden", "avoid", "standard", "recommended"]
Source = Literal["model", "rule", "both"]


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]`."""

    start: int
    end: int

    def shift(self, by: int) -> Span:
        return Span(self.start + by, self.end + by)

    def of(self, text: str) -> str:
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A rule's hit that supports a finding: which rule, where, in whose words, and under which clause."""

    rule: str
    span: Span
    text: str
    clause: str | None

    def to_dict(self) -> dict[str, Any]:
        return {"rule": self.rule, "start": self.span.start, "end": self.span.end, "text": self.text, "clause": self.clause}


@dataclass(frozen=True, slots=True)
class Finding:
    """A label that was decided for a sentence, and what the norm says of it."""

    label: str
    source: Source
    probability: float | None
    """Calibrated: of findings with 0.8, about eight in ten are right. `None` where no model was asked."""
    evidence: tuple[Evidence, ...] = ()
    severity: Severity | None = None
    """What the norm says of it; `None`: nothing."""
    clause: str | None = None
    say_instead: str | None = None

    @property
    def breach(self) -> bool:
        """Whether the norm forbids or discourages it."""
        return self.severity in ("forbidden", "avoid")

    @property
    def taboo(self) -> bool:
        return find(self.label).taboo

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "group": find(self.label).group.value,
            "source": self.source,
            "probability": None if self.probability is None else round(self.probability, 4),
            "severity": self.severity,
            "clause": self.clause,
            "say_instead": self.say_instead,
            "evidence": [e.to_dict() for e in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the text with its findings, in the order of `LABELS`."""

    text: str
    span: Span
    findings: tuple[Finding, ...] = ()
    unsure: tuple[str, ...] = ()
    """Labels that the model could not settle and no rule did."""

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(f.label for f in self.findings)

    @property
    def breaches(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.breach)

    @property
    def needs_review(self) -> bool:
        return bool(self.unsure)

    def to_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "start": self.span.start,
            "end": self.span.end,
            "labels": list(self.labels),
            "findings": [f.to_dict() for f in self.findings],
            "unsure": list(self.unsure),
            "needs_review": self.needs_review,
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """The labelled sentences of one text, and what judged them."""

    text: str
    sentences: tuple[Sentence, ...]
    norm: str
    model: str | None
    """The bundle's id; `None` says that rules alone decided."""
    norm_version: str = ""
    """`Norm.version`: changes with what the norm says."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of any sentence, once each, in order of appearance."""
        return tuple(dict.fromkeys(label for s in self.sentences for label in s.labels))

    @property
    def breaches(self) -> tuple[Finding, ...]:
        return tuple(f for s in self.sentences for f in s.breaches)

    @property
    def needs_review(self) -> bool:
        return any(s.needs_review for s in self.sentences)

    def sentence_id(self, sentence: Sentence) -> str:
        """The same for the same sentence of the same text, model and norm, in every run: by it a reviewer's verdict finds its way back."""
        origin = (self.model or "", self.norm, self.norm_version, str(sentence.span.start), self.text)
        return hashlib.sha256("\x1f".join(origin).encode(errors="surrogatepass")).hexdigest()[:16]

    def __iter__(self) -> Iterator[Sentence]:
        return iter(self.sentences)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "text": self.text,
            "norm": self.norm,
            "norm_version": self.norm_version,
            "model": self.model,
            "needs_review": self.needs_review,
            "sentences": [{"id": self.sentence_id(s), **s.to_dict()} for s in self.sentences],
        }
