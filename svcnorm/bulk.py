"""Files in bulk: label the texts of one file into another, as a stream, and go on where an interruption left it (docs/bulk.md)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from svcnorm import __version__
from svcnorm.classifier import Classifier
from svcnorm.errors import DataError, SvcnormError
from svcnorm.fileforms import Row, columns, encoder, form, read, stitch
from svcnorm.flat import FLAT, flat_rows
from svcnorm.results import Prediction
from svcnorm.terminal import to_json


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a file. `rows` (labelled), `sentences` and `rejected` include what an earlier run did."""

    rows: int
    sentences: int
    rejected: int
    resumed_from: int
    """Rows of the input, rejected ones among them, that an earlier run had done."""
    seconds: float
    """Of this run."""


def run(
    source: str | os.PathLike[str], target: str | os.PathLike[str], classifier: Classifier, *, text_column: str = "text", split: bool = True,
    chunk: int = 1024, progress: Callable[[int, float], object] | None = None, on_problem: Callable[[str], object] = lambda problem: None,
) -> Summary:  # fmt: skip
    """Label the texts of `source` into `target`; the forms follow from the suffixes (`svcnorm.fileforms`).

    JSONL gets a row a text: its fields and `Prediction.to_dict()`. CSV and Parquet get a row a sentence: the columns of the input and
    those of `FLAT`. Rejected rows go to `TARGET.rejected.jsonl`. Files appear when they are whole; an interrupted run leaves `TARGET.part` and
    `TARGET.journal`, and the same call goes on from there, to the same output.

    `chunk`: rows that are labelled, written and made safe together; memory grows with it, not with the file. `split=False` takes each text
    as one sentence. `progress` gets the rows done and the share of the input that is read (0 to 1). `on_problem` gets why the work of an earlier
    run is not used, and the reason of the first rejected row. Raises `DataError` if a file cannot be read or written, or has no such
    column; `MissingExtraError` if it takes pyarrow and that is not installed.
    """
    begun, source, target = time.monotonic(), Path(source), Path(target)
    if chunk < 1:
        raise SvcnormError(f"chunk is a number of rows, got {chunk}")
    if source.resolve() == target.resolve():
        raise DataError(f"{target}: the output would take the place of the input; name another file")
    identity = {**_identity(source, classifier), "text_column": text_column, "split": split, "chunk": chunk, "svcnorm": __version__}
    types, rows_of = _shape(source, target, text_column)
    head, encode = encoder(target, types)
    try:
        with _Work(target, identity, head, on_problem) as work:
            resumed_from, told = work.done["read"], False
            rows = islice(read(source, text_column), resumed_from, None)
            while batch := list(islice(rows, chunk)):
                if progress:
                    progress(work.done["read"], batch[-1].share)
                rejected = [row for row in batch if row.fields is None]
                if rejected and not told:
                    on_problem(rejected[0].reason)
                    told = True
                fields = [row.fields for row in batch if row.fields is not None]
                predictions = list(classifier.predict_many((f[text_column] for f in fields), split=split))
                out = [{**f, **row} for f, p in zip(fields, predictions, strict=True) for row in rows_of(p)]
                work.append(
                    encode(out) if out else b"",
                    "".join(map(_rejection, rejected)).encode(),
                    {"read": len(batch), "rows": len(fields), "sentences": sum(len(p.sentences) for p in predictions)},
                )
        work.finish(partial(stitch, types=types) if form(target)[0] == "parquet" else None)
    except OSError as e:
        raise DataError(f"{target}: cannot be written: {e.strerror or e}; what is done is kept, run it again to go on") from e
    done = work.done
    return Summary(done["rows"], done["sentences"], done["read"] - done["rows"], resumed_from, time.monotonic() - begun)


def _identity(source: Path, classifier: Classifier) -> dict[str, Any]:
    """What must be the same for one run to go on with the work of another."""
    try:
        stat = source.stat()
    except OSError as e:
        raise DataError(f"{source}: cannot be read: {e.strerror}") from None
    return {
        "source": source.name,
        "size": stat.st_size,
        "mtime": stat.st_mtime_ns,
        "model": classifier.model,
        "norm": classifier.norm.version,
    }


def _shape(source: Path, target: Path, text_column: str) -> tuple[dict[str, Any], Callable[[Prediction], list[dict[str, Any]]]]:
    """(columns of the output, what it has for a prediction); JSONL needs no columns."""
    if form(target)[0] == "jsonl":
        if form(source)[0] != "jsonl":
            columns(source, text_column)
        return {}, lambda p: [p.to_dict()]
    types = columns(source, text_column)
    if taken := [name for name in types if name in FLAT]:
        raise DataError(f"{source}: the output has columns of its own named {', '.join(taken)}; rename those of the input")
    return {**types, **FLAT}, flat_rows


def _rejection(row: Row) -> str:
    return to_json({"line": row.number, "reason": row.reason, "raw": row.raw.decode(errors="backslashreplace")}) + "\n"


class _Work:
    """The output while it grows, and the journal of how much of it is safe.

    A chunk is on the disk before the journal counts it; what lies behind the journal's word is cut off and done again.
    """

    def __init__(self, target: Path, identity: dict[str, Any], head: bytes, on_problem: Callable[[str], object]):
        self.target, self.identity, self.head = target, identity, head
        self.part, self.journal, self.side = (target.with_name(target.name + s) for s in (".part", ".journal", ".rejected.jsonl"))
        self.side_part = self.side.with_name(self.side.name + ".part")
        self.done = {"read": 0, "rows": 0, "sentences": 0, "bytes": 0, "rejected_bytes": 0}
        if self.journal.exists():
            self._recall(on_problem)

    def _recall(self, on_problem: Callable[[str], object]) -> None:
        changed = []
        try:
            found = json.loads(self.journal.read_text(encoding="utf-8"))
            done, changed = found["done"], [name for name, value in self.identity.items() if found["identity"].get(name) != value]
            whole = self.part.stat().st_size >= done["bytes"] and self.side_part.stat().st_size >= done["rejected_bytes"]
        except (ValueError, KeyError, FileNotFoundError):
            whole = False
        if whole and not changed:
            self.done = done
        else:
            why = f"had another {', '.join(changed)}" if changed else "left no whole files"
            on_problem(f"{self.journal}: the run that was interrupted {why}; begun anew")

    def __enter__(self) -> _Work:
        self.out, self.aside = self.part.open("ab"), self.side_part.open("ab")
        self.out.truncate(self.done["bytes"])
        self.aside.truncate(self.done["rejected_bytes"])
        if not self.done["bytes"]:
            self.append(self.head, b"", {})
        return self

    def __exit__(self, *_: object) -> None:
        self.out.close()
        self.aside.close()

    def append(self, data: bytes, rejected: bytes, counts: dict[str, int]) -> None:
        _write(self.out, data)
        _write(self.aside, rejected)
        for name, n in {**counts, "bytes": len(data), "rejected_bytes": len(rejected)}.items():
            self.done[name] += n
        fresh = self.journal.with_name(self.journal.name + ".part")
        with fresh.open("wb") as f:
            _write(f, json.dumps({"format": 1, "identity": self.identity, "done": self.done}).encode())
        os.replace(fresh, self.journal)

    def finish(self, stitch: Callable[[Path, Path], None] | None) -> None:
        """Put the output in its place; `stitch` makes it from the part file where that is not yet the output itself."""
        whole = self.part
        if stitch:
            whole = self.part.with_name(self.part.name + ".whole")
            stitch(self.part, whole)
        if self.done["rejected_bytes"]:
            os.replace(self.side_part, self.side)
        else:
            self.side_part.unlink()
            self.side.unlink(missing_ok=True)
        os.replace(whole, self.target)
        self.part.unlink(missing_ok=True)
        self.journal.unlink()


def _write(f: BinaryIO, data: bytes) -> None:
    """Onto the disk, not only into its cache."""
    if data:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
