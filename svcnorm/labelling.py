"""Labelled sentences out of annotation tools and tables, as examples (docs/labelling.md)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from svcnorm.errors import DataError
from svcnorm.examples import KINDS, ROLE_WORDS, ROLES, Example, check_choice, raise_problem
from svcnorm.forms import FORMS, Row, read_items, recognise
from svcnorm.labels import ordered
from svcnorm.mapping import USUAL, Mapping, unknown_labels

_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)  # what a reader meets where an object is not of its form


def read_labelled(
    path: Path, *, form: str | None = None, mapping: Mapping | None = None,
    on_problem: Callable[[str], object] = raise_problem, on_skip: Callable[[str], object] = lambda reason: None,
) -> list[Example]:  # fmt: skip
    """The labelled sentences of a tool's export in one of `FORMS` (`None`: recognised from the content).

    Where several annotators labelled a text, a label counts that more than half of them gave; `fields["annotators"]` has each one's
    answer, {name: [labels]}. `on_skip` gets a reason for each answer or text that is passed over (cancelled, not labelled …). A bad
    row goes to `on_problem` as `path:row: …` and the rest is read; by default the first one raises `DataError`. Raises `DataError` for
    a file that cannot be used, and for unknown labels: all of them at once, with a block to paste into a mapping.
    """
    mapping = mapping or Mapping()
    items = list(read_items(path, on_problem))
    if not items:
        return []
    try:
        form = form or recognise(path, [row for _, row in items], mapping)
        read = FORMS[form]([row for _, row in items], mapping, on_skip)
    except DataError as e:
        raise DataError(f"{path}: {e}") from None
    except _MALFORMED as e:
        raise DataError(f"{path}: not as {form} writes it: {e!r}") from None
    unknown: dict[str, tuple[int, str]] = {}
    texts: dict[tuple, tuple[Row, dict[str, tuple[str, tuple[str, ...]]]]] = {}
    for n, (where, row) in enumerate(items):
        try:
            data, answers = read(row)
            if not answers:
                continue
            sentence_id, text, fields = _describe(data, mapping)
        except DataError as e:
            on_problem(f"{where}: {e}")
            continue
        except _MALFORMED as e:
            on_problem(f"{where}: not as {form} writes it: {e!r}")
            continue
        if fields.get("role") == "customer":
            on_skip("customer")
            continue
        for who, names, when in answers:
            found = [(name, mapping.find(name)) for name in names]
            for name in (name for name, ours in found if ours is None):
                count, first = unknown.get(name, (0, where))
                unknown[name] = (count + 1, first)
            labels = ordered(label for _, ours in found for label in ours or ())
            _, said = texts.setdefault((sentence_id, text, None if who else n), (fields, {}))
            if who in said:
                on_skip("answered twice by one annotator (the later answer counts)")
            if when >= said.get(who, ("",))[0]:
                said[who] = (when, labels)
    if unknown:
        raise DataError(f"{path}: {unknown_labels(unknown)}")
    return [_example(key[0], key[1], fields, {who: labels for who, (_, labels) in said.items()}) for key, (fields, said) in texts.items()]


def digest(text: str) -> str:
    """The id of a sentence that has none: 16 hexadecimal digits, the same for the same text."""
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]


def _describe(data: Row, mapping: Mapping) -> tuple[str, str, Row]:
    """Id, text and other fields of a row's data."""
    fields = dict(data)
    text, sentence_id = mapping.take(fields, "text"), mapping.take(fields, "id")
    if not isinstance(text, str) or not text.strip():
        raise DataError(
            f"no text in {' or '.join(mapping.names('text'))}, got {text!r}; the fields are {', '.join(data)} (a mapping can name the right one)"
        )
    for ours, theirs in mapping.columns.items():
        if ours not in USUAL and theirs in fields:
            fields[ours] = fields.pop(theirs)
    if isinstance(fields.get("role"), str):
        fields["role"] = ROLE_WORDS.get(fields["role"], fields["role"])
    check_choice(fields, "role", ROLES)
    check_choice(fields, "kind", KINDS)
    # names that an example has itself: a tool's own number beside the id that we gave it, for one
    fields = {f"tool_{k}" if k in ("id", "text", "labels") else k: v for k, v in fields.items()}
    return digest(text) if sentence_id in (None, "") else str(sentence_id), text, fields


def _example(sentence_id: str, text: str, fields: Row, said: dict[str, tuple[str, ...]]) -> Example:
    votes = Counter(label for labels in said.values() for label in labels)
    if "" not in said:
        fields = {**fields, "annotators": {who: list(labels) for who, labels in said.items()}}
    return Example(sentence_id, text, ordered(label for label, n in votes.items() if 2 * n > len(said)), fields)
