"""The forms of labelled files: Label Studio, doccano, Argilla, tables, our own. Of each item its data, and what each annotator answered.

A form is a function from all items (what they have in common decides which control holds the labels) to a reader of one.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from svcnorm.errors import DataError
from svcnorm.examples import read_rows
from svcnorm.mapping import Mapping
from svcnorm.tables import SUFFIXES, read_table

Row = dict[str, Any]
Answer = tuple[str, list[str], str]
"""Who ("" if the form does not say), the labels as the file spells them, when (ISO time, "" if the form does not say)."""
Skip = Callable[[str], object]
Reader = Callable[[Row], tuple[Row, list[Answer]]]

_SPANS = ("labels", "hypertextlabels", "paragraphlabels")  # Label Studio's result types that mark a stretch of text
_TICKS = {"": False, "0": False, "false": False, "no": False, "n": False, "否": False,
          "1": True, "true": True, "yes": True, "y": True, "x": True, "是": True, "√": True, "✓": True}  # fmt: skip


def read_items(path: Path, on_problem: Callable[[str], object]) -> Iterator[tuple[str, Row]]:
    """(place, item) of a file: a table, JSONL, a JSON document, doccano's zip (a JSONL file for each annotator), Argilla's folder."""
    path = path / "records.json" if path.is_dir() else path
    if path.suffix.lower() in SUFFIXES:
        yield from ((f"{path}:{n}", row) for n, row in read_table(path, on_problem))
    elif path.suffix.lower() == ".zip":
        for file in _zipped(path):
            yield from ((f"{file}:{n}", {"annotator": file.name.removesuffix(".jsonl"), **row}) for n, row in read_rows(file, on_problem))
    elif (document := _document(path)) is None:
        yield from ((f"{path}:{n}", row) for n, row in read_rows(path, on_problem))
    else:
        for n, item in enumerate(document, 1):
            if isinstance(item, dict):
                yield f"{path}: item {n}", item
            else:
                on_problem(f"{path}: item {n}: an object is expected, got {type(item).__name__}")


def _zipped(path: Path) -> list[Any]:
    try:
        found = [file for file in zipfile.Path(path).iterdir() if file.name.endswith(".jsonl")]
    except (OSError, zipfile.BadZipFile) as e:
        raise DataError(f"{path}: cannot be read: {e}") from None
    if not found:
        raise DataError(f"{path}: no .jsonl file in it; export from doccano as JSONL")
    return found


def _document(path: Path) -> list[Any] | None:
    """The items of a file that is one JSON document; `None` if it has an object a line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = json.loads(text)
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from None
    except UnicodeDecodeError:
        return None  # read line by line, which finds the place
    except json.JSONDecodeError as e:
        if text.lstrip().startswith("["):
            raise DataError(f"{path}:{e.lineno}: not JSON: {e.msg} at column {e.colno}") from None
        return None
    if not isinstance(found, dict):
        return found if isinstance(found, list) else [found]
    values = list(found.values())
    if values and all(isinstance(v, list) for v in values):  # Argilla: to_dict(orient="names")
        return [dict(zip(found, item, strict=True)) for item in zip(*values, strict=False)]
    if all(isinstance(v, dict) and v.get("id") == k for k, v in found.items()):  # Argilla: to_dict(orient="index")
        return values
    return [found]


def recognise(path: Path, items: list[Row], mapping: Mapping) -> str:
    """The name of the form in `FORMS`. Raises `DataError` if the content does not show it."""
    keys = {key for item in items for key in item}
    if path.suffix.lower() in SUFFIXES:
        return "table"
    if isinstance(items[0].get("data"), dict):
        return "label-studio"
    if "annotation_id" in keys:
        return "label-studio-min"
    if {"fields", "responses"} <= keys or any(key.endswith(".responses") for key in keys):
        return "argilla"
    if keys & {*mapping.names("labels"), "annotations"}:
        return "jsonl"
    raise DataError(
        f"cannot tell which tool wrote this; say it with --from {'|'.join(FORMS)}, or name the columns in a mapping. The fields are {', '.join(sorted(keys))}"
    )


def _names(value: Any) -> list[str]:
    """The label names in a value of any tool: a name, a list, a span, an object with choices or labels."""
    if isinstance(value, (str, int)):
        return [str(value).strip()]
    if isinstance(value, dict):
        return _names(next((value[key] for key in ("choices", "labels", "label", "value") if key in value), []))
    if isinstance(value, list):
        if [type(x) for x in value] == [int, int, str]:  # doccano's span: start, end, label
            return _names(value[2])
        return [name for x in value for name in _names(x)]
    raise DataError(f"a label is a name, got {value!r}")


def _label_studio(items: list[Row], mapping: Mapping, skip: Skip) -> Reader:
    def annotations(task: Row) -> list[Row]:
        return task.get("annotations") or task.get("completions") or []  # completions: before 1.0

    given = {(r.get("type"), r.get("from_name")) for task in items for a in annotations(task) for r in a.get("result") or []}
    # in a project with choices, a label is what was chosen, and its spans are no more than evidence
    kinds = ("choices",) if any(kind == "choices" for kind, _ in given) else _SPANS
    controls = mapping.holders(name for kind, name in given if kind in kinds)

    def read(task: Row) -> tuple[Row, list[Answer]]:
        answers = []
        for a in annotations(task):
            if a.get("was_cancelled") or a.get("skipped"):
                skip("cancelled")
                continue
            results = [r for r in a.get("result") or [] if r.get("type") in kinds and r.get("from_name") in controls]
            names = [name for r in results for name in _names(r["value"].get(r["type"], []))]
            answers.append((_who(a.get("completed_by")) or f"annotation {a.get('id')}", names, _when(a)))
        if not annotations(task):
            skip("not labelled")
        return {"id": task.get("id"), **task["data"]}, answers

    return read


def _label_studio_min(items: list[Row], mapping: Mapping, skip: Skip) -> Reader:
    def holding(key: str) -> set[str]:
        return {
            name
            for row in items
            for name, v in row.items()
            for x in (v if isinstance(v, list) else [v])
            if isinstance(x, dict) and key in x
        }

    choices, spans = holding("choices"), holding("labels")
    # a single choice is written as plain text, like the data; where every text is a label, it is a choice
    plain = {name: [v for row in items if isinstance(v := row.get(name), str)] for name in {name for row in items for name in row}}
    choices |= {name for name, values in plain.items() if values and all(mapping.find(v) is not None for v in values)}
    named = {name for name in mapping.names("labels") if name in plain}
    controls = named if "labels" in mapping.columns else choices | (named - spans) or spans
    if not controls:
        raise DataError(
            f"which field holds the labels? Name it in a mapping (columns: {{labels: …}}). The fields are {', '.join(items[0])}"
        )
    own = {*controls, *spans, "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"}

    def read(row: Row) -> tuple[Row, list[Answer]]:
        data = {k: v for k, v in row.items() if k not in own}
        if row.get("annotation_id") is None:
            skip("not labelled")
            return data, []
        names = [name for control in controls for name in _names(row.get(control, []))]
        return data, [(_who(row.get("annotator")) or f"annotation {row['annotation_id']}", names, _when(row))]

    return read


def _argilla(items: list[Row], mapping: Mapping, skip: Skip) -> Reader:
    def responses(row: Row) -> dict[str, list[Row]]:
        if "responses" in row:
            return row["responses"] or {}
        found = {}
        for key in (key for key in row if key.endswith(".responses")):  # flatten=True
            columns = [row.get(key + part) or [] for part in ("", ".users", ".status")]
            found[key.removesuffix(".responses")] = [
                dict(zip(("value", "user_id", "status"), r, strict=True)) for r in zip(*columns, strict=True)
            ]
        return found

    questions = mapping.holders(question for row in items for question in responses(row))
    if len(questions) > 1:
        raise DataError(
            f"which question holds the labels? Name it in a mapping (columns: {{labels: …}}). The questions are {', '.join(sorted(questions))}"
        )

    def read(row: Row) -> tuple[Row, list[Answer]]:
        given = [r for question in questions for r in responses(row).get(question, [])]
        # only flatten=True writes a response's own status; without it, a record that is still pending shows that nobody submitted
        status = "pending" if "responses" in row and row.get("status") == "pending" else "submitted"
        answers = []
        for r in given:
            if (r.get("status") or status) == "submitted":
                answers.append((str(r.get("user_id")), _names(r.get("value") or []), ""))
            else:
                skip(r.get("status") or status)
        if not given:
            skip("not labelled")
        own = ("id", "_server_id", "status", "score", "fields", "metadata", "vectors", "responses", "suggestions")
        flat = {k: v for k, v in row.items() if k not in own and not re.search(r"\.(responses|suggestion)(\.|$)", k)}
        return {"id": row.get("id") or row.get("_server_id"), **flat, **(row.get("metadata") or {}), **(row.get("fields") or {})}, answers

    return read


def _jsonl(items: list[Row], mapping: Mapping, skip: Skip) -> Reader:
    """doccano, old and new, and our own examples."""
    approving = any(row.get("annotation_approver") for row in items)

    def read(row: Row) -> tuple[Row, list[Answer]]:
        data = dict(row)
        if "annotation_approver" in data:  # doccano before 1.3
            data.update(data.pop("meta", None) or {})
        approver, who = data.pop("annotation_approver", None), str(mapping.take(data, "annotator") or "")
        value, by_user = mapping.take(data, "labels"), data.pop("annotations", [])
        if (approving and not approver) or who == "unknown":  # unknown.jsonl: doccano 1.3 and 1.4
            skip("not approved" if approving else "not labelled")
            return data, []
        if value is not None:
            return data, [(who, _names(value), "")]
        if "annotations" not in row:
            raise DataError(f"no labels in {' or '.join(mapping.names('labels'))} ([] for none); the fields are {', '.join(row)}")
        users: dict[str, list[str]] = {}
        for a in by_user:
            users.setdefault(str(a["user"]), []).extend(_names(a))
        if not users:
            skip("not labelled")
        return data, [(user, names, "") for user, names in users.items()]

    return read


def _table(items: list[Row], mapping: Mapping, skip: Skip) -> Reader:
    columns = list(items[0])
    ticks: list[str] = []
    if not any(name in columns for name in mapping.names("labels")):
        free = [c for c in columns if not any(c in mapping.names(what) for what in ("id", "text", "annotator"))]
        if not any(mapping.find(c) is not None for c in free):
            raise DataError(
                f"no column of labels: expected {' or '.join(mapping.names('labels'))}, or a column of 0 and 1 for each label. The columns are {', '.join(columns)}"
            )
        # any other column of 0 and 1 may be a label too: it is taken for one, and reported as unknown rather than lost
        ticks = [c for c in free if mapping.find(c) is not None or {"1"} <= {row[c].strip() for row in items} <= {"", "0", "1"}]

    def read(row: Row) -> tuple[Row, list[Answer]]:
        data = dict(row)
        if ticks:
            cells = {c: data.pop(c).strip().lower() for c in ticks}
            if wrong := next((c for c, cell in cells.items() if cell not in _TICKS), None):
                raise DataError(f"column {wrong}: 1 or 0 is expected, got {row[wrong]!r}")
            names = [c for c, cell in cells.items() if _TICKS[cell]]
        else:
            cell = mapping.take(data, "labels").strip()
            names = _cell(cell) if mapping.find(cell) is None else [cell]
        return data, [(mapping.take(data, "annotator") or "", names, _when(row))]

    return read


def _cell(cell: str) -> list[str]:
    if cell.startswith(('{"', "[")):  # Label Studio's CSV
        return _names(json.loads(cell))
    return [name for part in re.split(r"[,，;；|｜、#\n]", cell) if (name := part.strip())]


def _who(value: Any) -> str:
    return str((value.get("email") or value.get("id") or "") if isinstance(value, dict) else "" if value is None else value)


def _when(row: Row) -> str:
    return str(row.get("updated_at") or row.get("created_at") or "")


FORMS: dict[str, Callable[[list[Row], Mapping, Skip], Reader]] = {
    "label-studio": _label_studio, "label-studio-min": _label_studio_min, "doccano": _jsonl, "argilla": _argilla, "table": _table, "jsonl": _jsonl,
}  # fmt: skip
