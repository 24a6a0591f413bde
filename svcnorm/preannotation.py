"""Sentences to be labelled, with our findings as suggestions, in the forms that Label Studio and doccano import (docs/labelling.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import Any
from xml.etree import ElementTree

import numpy as np

from svcnorm.calls import Call
from svcnorm.classifier import Classifier
from svcnorm.labelling import digest
from svcnorm.labels import LABELS, Group, find
from svcnorm.results import Sentence

_COLOURS = {Group.COURTESY: "#2e7d32", Group.HANDLING: "#1565c0", Group.TABOO: "#c62828"}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A sentence with what we find in it. `fields`: of the row that it comes from."""

    id: str
    sentence: Sentence
    model: str | None
    """The bundle's id; `None`: rules alone."""
    certainty: float | None
    """The probability that the model's least certain yes or no is right, 0.5 to 1; `None` without a model."""
    fields: dict[str, Any] = field(default_factory=dict)


def agent_turns(calls: Iterable[Call]) -> Iterator[dict[str, Any]]:
    """What may be an agent's in calls, as rows with id, text, call_id, turn and role."""
    for call in calls:
        for i, turn in enumerate(call.turns):
            if turn.role != "customer":
                yield {"id": f"{call.id}-{i:02}", "text": turn.text, "call_id": call.id, "turn": i, "role": turn.role}


def suggest(rows: Iterable[dict[str, Any]], classifier: Classifier, *, split: bool = True) -> Iterator[Suggestion]:
    """The sentences of rows with a "text", once each.

    A sentence's id is its row's with its number (`c1-04#0`), the row's own with `split=False`, a digest of the sentence where the row
    has none. Equal sentences of one id are one.
    """
    rows, again = tee(rows)
    seen: set[tuple[str, str]] = set()
    predicted = classifier.scored_many((row["text"] for row in rows), split=split)
    for row, (prediction, probabilities) in zip(again, predicted, strict=True):
        fields = {k: v for k, v in row.items() if k not in ("id", "text", "labels", "label")}
        for n, sentence in enumerate(prediction):
            sentence_id = digest(sentence.text) if row.get("id") in (None, "") else f"{row['id']}#{n}" if split else str(row["id"])
            if (sentence_id, sentence.text) in seen:
                continue
            seen.add((sentence_id, sentence.text))
            certainty = None if probabilities is None else float(np.maximum(probabilities[n], 1 - probabilities[n]).min())
            yield Suggestion(sentence_id, sentence, prediction.model, certainty, fields)


def label_studio_tasks(suggestions: Iterable[Suggestion]) -> Iterator[dict[str, Any]]:
    """Tasks for a project with `label_studio_config()`: labels as choices for the whole sentence, evidence as spans in code points."""
    for s in suggestions:
        evidence = dict.fromkeys((f.label, e.span.shift(-s.sentence.span.start)) for f in s.sentence.findings for e in f.evidence)
        values = [("labels", "choices", {"choices": list(s.sentence.labels)})] if s.sentence.labels else []
        values += [
            ("evidence", "labels", {"start": span.start, "end": span.end, "text": span.of(s.sentence.text), "labels": [label]})
            for label, span in evidence
        ]
        result = [
            {"id": f"{digest(s.id)}-{i}", "from_name": control, "to_name": "text", "type": kind, "value": value}
            for i, (control, kind, value) in enumerate(values)
        ]
        prediction = {"model_version": s.model or "rules", "result": result}
        if s.certainty is not None:
            prediction["score"] = round(s.certainty, 4)
        yield {"data": {**s.fields, "text": s.sentence.text, "sentence_id": s.id}, "predictions": [prediction]}


def label_studio_config() -> str:
    """The labelling interface of a Label Studio project, as XML: choices in groups, and the same labels to mark evidence with.

    People see the Chinese name with its meaning on hover; `alias` makes Label Studio store the English one.
    """
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Text", name="text", value="$text")
    choices = ElementTree.SubElement(view, "Choices", name="labels", toName="text", choice="multiple", layout="inline")
    for group in Group:
        ElementTree.SubElement(choices, "Header", value=group.zh, size="5")
        for label in LABELS:
            if label.group is group:
                ElementTree.SubElement(choices, "Choice", value=label.zh, alias=label.name, hint=label.meaning_zh)
    ElementTree.SubElement(view, "Header", value="证据：可选中文字，再点标签", size="5")
    spans = ElementTree.SubElement(view, "Labels", name="evidence", toName="text")
    for label in LABELS:
        ElementTree.SubElement(spans, "Label", value=label.zh, alias=label.name, hint=label.meaning_zh, background=_COLOURS[label.group])
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def doccano_rows(suggestions: Iterable[Suggestion]) -> Iterator[dict[str, Any]]:
    """Lines for a doccano project of text classification. Labels have their Chinese names: doccano shows what it stores."""
    for s in suggestions:
        yield {**s.fields, "text": s.sentence.text, "label": [find(name).zh for name in s.sentence.labels], "sentence_id": s.id}


def doccano_labels() -> list[dict[str, Any]]:
    """All labels, as doccano imports label types."""
    return [{"text": label.zh, "background_color": _COLOURS[label.group], "text_color": "#ffffff"} for label in LABELS]
