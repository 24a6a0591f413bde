"""Labelled sentences in JSONL: one object a line, `{"id", "text", "labels", …}`; other fields are kept as they are (data/README.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from svcnorm.errors import DataError, LabelError
from svcnorm.labels import ordered

ROLES = ("agent", "customer", "unknown")
ROLE_WORDS = {"坐席": "agent", "客服": "agent", "客户": "customer", "用户": "customer", "未知": "unknown", "": "unknown"}
KINDS = ("clean", "asr", "chat", "hard")


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence with its label set. `fields` holds the rest of its line: domain, kind, author, call_id, turn, role …"""

    id: str
    text: str
    labels: tuple[str, ...]
    fields: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "text": self.text, "labels": list(self.labels), **self.fields}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> Example:
        """Raises `DataError` or `LabelError` that says what is wrong with the row."""
        text, labels = row.get("text"), row.get("labels")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"'text' must be a text that is not empty, got {text!r}")
        if not isinstance(labels, list) or any(not isinstance(n, str) for n in labels):
            raise DataError(f"'labels' must be a list of label names ([] for none), got {labels!r}")
        check_choice(row, "role", ROLES)
        check_choice(row, "kind", KINDS)
        return cls(str(row.get("id", "")), text, ordered(labels), {k: v for k, v in row.items() if k not in ("id", "text", "labels")})


def check_choice(row: dict[str, Any], key: str, choices: Iterable[str]) -> None:
    """Raises `DataError` if the row has the key with another value than these."""
    if key in row and row[key] not in choices:
        raise DataError(f"{key!r} must be one of {', '.join(choices)}, got {row[key]!r}")


def raise_problem(problem: str) -> NoReturn:
    """The strict way to meet a bad line: stop there."""
    raise DataError(problem)


def not_utf8(where: str, error: UnicodeDecodeError) -> str:
    """What is said of a line that is in another encoding."""
    return f"{where}: not UTF-8 at byte {error.start} of the line; convert the file (for example: iconv -f GB18030 -t UTF-8)"


def parse_line(raw: bytes, where: str, *, first: bool = False) -> dict[str, Any] | None:
    """The object of a line of JSONL, `None` if the line is empty. The `first` line may begin with a byte order mark.

    Raises `DataError` that says where, what and why.
    """
    try:
        line = raw.decode("utf-8-sig" if first else "utf-8").strip()
        row = json.loads(line) if line else None
    except UnicodeDecodeError as e:
        raise DataError(not_utf8(where, e)) from None
    except json.JSONDecodeError as e:
        raise DataError(f"{where}: not JSON: {e.msg} at column {e.colno}; one object a line is expected") from None
    except (ValueError, RecursionError) as e:  # a number of thousands of digits, thousands of brackets
        raise DataError(f"{where}: JSON beyond what can be read: {e}") from None
    if line and not isinstance(row, dict):
        raise DataError(f"{where}: a JSON object is expected, got {type(row).__name__}")
    return row


def read_rows(path: Path, on_problem: Callable[[str], object] = raise_problem) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line of a JSONL file in UTF-8.

    A line that cannot be read goes to `on_problem` as `path:line: what and why`, and reading goes on with the next. By default the
    first one raises `DataError`; pass `problems.append` to collect them. Empty lines are passed over.
    """
    try:
        f = path.open("rb")
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from None
    with f:
        for number, raw in enumerate(f, 1):
            try:
                row = parse_line(raw, f"{path}:{number}", first=number == 1)
            except DataError as e:
                on_problem(str(e))
                continue
            if row is not None:
                yield number, row


def read_examples(path: Path, on_problem: Callable[[str], object] = raise_problem) -> Iterator[Example]:
    """The labelled sentences of a JSONL file; lines of customers (`"role": "customer"`) are passed over. Bad lines as in `read_rows`."""
    for number, row in read_rows(path, on_problem):
        try:
            if row.get("role") != "customer":
                yield Example.from_dict(row)
        except (DataError, LabelError) as e:
            on_problem(f"{path}:{number}: {e}")


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write objects as JSONL, all of them or nothing: the old file stays until the new one is complete. Returns the number of rows."""
    part = path.with_name(path.name + ".part")
    n = 0
    with part.open("w", encoding="utf-8", errors="backslashreplace") as f:  # of a lone surrogate that makes JSON's own escape
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")
            n += 1
    part.replace(path)
    return n


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. A lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8", errors="replace")
    part.replace(path)
