"""A prediction as flat rows, one for each sentence: for tables, which know no lists of objects."""

from __future__ import annotations

from typing import Any

from svcnorm.results import Prediction

FLAT = {
    "sentence_index": "int", "sentence_id": "string", "start": "int", "end": "int", "sentence": "string", "labels": "list<string>",
    "probabilities": "list<float>", "sources": "list<string>", "breaches": "list<string>", "needs_review": "bool", "model": "string",
    "norm": "string", "norm_version": "string",
}  # fmt: skip
"""The columns of `flat_rows` and their types."""


def flat_rows(prediction: Prediction) -> list[dict[str, Any]]:
    """One row a sentence, with the columns of `FLAT`; none for a text without sentences.

    `sentence_index` counts from 0; `sentence_id` is that of `Prediction.to_dict`; `text[start:end]` is the sentence, in code points. `labels`,
    `probabilities` (4 decimals; `None` where rules alone decided) and `sources` have an entry a finding, in the order of `LABELS`. `breaches` are
    the labels that the norm forbids or discourages. `model` is `None` without a model.
    """
    return [
        {
            "sentence_index": i,
            "sentence_id": prediction.sentence_id(s),
            "start": s.span.start,
            "end": s.span.end,
            "sentence": s.text,
            "labels": list(s.labels),
            "probabilities": [None if f.probability is None else round(f.probability, 4) for f in s.findings],
            "sources": [f.source for f in s.findings],
            "breaches": [f.label for f in s.breaches],
            "needs_review": s.needs_review,
            "model": prediction.model,
            "norm": prediction.norm,
            "norm_version": prediction.norm_version,
        }
        for i, s in enumerate(prediction)
    ]
