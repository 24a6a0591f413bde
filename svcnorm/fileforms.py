"""Tables in files: JSONL, CSV and TSV (plain, .gz or .zst) and Parquet, read row by row and written piece by piece; the suffix says the form.

A column's type is a word (`string`, `bool`, `int`, `int64`, `float`, `double`, `list<…>` of one, `json`: any value, as JSON text) or a type of Arrow.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from svcnorm.errors import DataError, optional
from svcnorm.examples import not_utf8, parse_line
from svcnorm.terminal import to_json

ROW_GROUP = 1 << 25  # bytes (as Arrow) of a Parquet output's rows that are held and written together


class Row(NamedTuple):
    """A row of a file; `fields` is `None` if it is rejected, for the `reason`."""

    number: int
    """From 1: of the line (of the first, if quotes span several), or of the row in a Parquet file."""
    share: float
    """How much of the file is read, 0 to 1."""
    raw: bytes
    """As it stands in the file; of a Parquet row, only if it cannot be read."""
    fields: dict[str, Any] | None
    reason: str = ""


def form(path: Path) -> tuple[str, str]:
    """(jsonl, csv, tsv or parquet; gz, zst or nothing). Raises `DataError` for any other suffix."""
    match = re.search(r"\.(?:(jsonl|csv|tsv)(?:\.(gz|zst))?|(parquet))$", path.name.lower())
    if not match:
        raise DataError(f"{path}: the form follows from the suffix: .jsonl, .csv, .tsv (each also with .gz or .zst behind it) or .parquet")
    return match[1] or match[3], match[2] or ""


def read(path: Path, text_column: str) -> Iterator[Row]:
    """The rows in their order, as a stream. A row that cannot be read, or whose text is no string, is a rejected one.

    Raises `DataError` if the file cannot be read at all, or is damaged further on.
    """
    kind, _ = form(path)
    for row in _read_jsonl(path) if kind == "jsonl" else _read_parquet(path) if kind == "parquet" else _read_csv(path):
        if row.fields is not None and not isinstance(text := row.fields.get(text_column), str):
            raw = row.raw or to_json(row.fields).encode()
            row = Row(row.number, row.share, raw, None, f"{path}:{row.number}: {text_column!r} must be a string, got {text!r}")
        yield row


def columns(path: Path, text_column: str) -> dict[str, Any]:
    """The columns with their types. JSONL is read from end to end for them: its columns are the fields of any row.

    Raises `DataError` if there is no such text column, or two columns have one name.
    """
    kind, _ = form(path)
    if kind == "jsonl":
        return _gathered(row.fields for row in read(path, text_column) if row.fields)
    if kind == "parquet":
        with _parquet(path) as file:
            names, types = file.schema_arrow.names, file.schema_arrow.types
    else:
        names, reason = next(((cells, reason) for *_, cells, reason in _csv_records(path)), ([], f"{path}: empty; a header is expected"))
        if reason:
            raise DataError(reason)
        types = ["string"] * len(names)
    if text_column not in names:
        raise DataError(f"{path}:1: no column {text_column!r}, only {', '.join(names)}; name the one that has the texts (--text-column)")
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"{path}:1: two columns have the name {', '.join(sorted(twice))}; rename one")
    return dict(zip(names, types, strict=True))


def _gathered(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Every field in the order of appearance, with the type that all its values have, else `json`."""
    types: dict[str, str] = {}
    for fields in rows:
        for name, value in fields.items():
            own = {type(None): "", str: "string", bool: "bool", int: "int64", float: "double"}.get(type(value), "json")
            if own == "int64" and not -(2**63) <= value < 2**63:
                own = "json"
            seen = {types.get(name, ""), own} - {""}
            types[name] = "".join(seen) if len(seen) < 2 else "double" if seen == {"int64", "double"} else "json"
    return {name: word or "string" for name, word in types.items()}


# --- reading -------------------------------------------------------------------------------------------------------------------


def _need(module: str) -> Any:
    return optional(module, "Parquet and .zst files need pyarrow; install svcnorm[bulk]")


def _lines(path: Path) -> Iterator[tuple[int, float, bytes]]:
    """(number, share of the file that is read, line)."""
    number, size = 0, path.stat().st_size or 1
    try:
        with path.open("rb") as raw, _unpacked(raw, form(path)[1]) as f:
            for number, line in enumerate(f, 1):
                yield number, raw.tell() / size, line
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{path}: cannot be read behind line {number}: {e}; the file is damaged or cut short") from None


def _unpacked(raw: BinaryIO, packing: str) -> Any:
    if packing == "zst":  # unlike the zstandard package, pyarrow tells a file that was cut short from a whole one
        return io.BufferedReader(_need("pyarrow").CompressedInputStream(raw, "zstd"))
    return gzip.open(raw) if packing else raw


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, share, raw in _lines(path):
        try:
            fields = parse_line(raw, f"{path}:{number}", first=number == 1)
        except DataError as e:
            yield Row(number, share, raw, None, str(e))
        else:
            if fields is not None:
                yield Row(number, share, raw, fields)


def _read_csv(path: Path) -> Iterator[Row]:
    records = _csv_records(path)
    *_, names, _ = next(records)
    for number, share, raw, cells, reason in records:
        if not reason and len(cells) != len(names):
            reason = (
                f"{path}:{number}: {len(names)} fields expected, got {len(cells)}; put quotes around a text that has the delimiter in it"
            )
        yield Row(number, share, raw, None if reason else dict(zip(names, cells, strict=True)), reason)


def _csv_records(path: Path) -> Iterator[tuple[int, float, bytes, list[str], str]]:
    """(line, share, raw record, cells, reason) of each record, the header first. A reason says why the cells are not to be used."""
    held: list[tuple[int, float, bytes]] = []

    def decoded() -> Iterator[str]:
        for line in _lines(path):
            held.append(line)
            yield line[2].decode("utf-8-sig" if line[0] == 1 else "utf-8", "surrogateescape")  # so that a bad record ends where it ends

    reader = csv.reader(decoded(), delimiter=_delimiter(form(path)[0]), strict=True)
    while True:
        held.clear()
        cells, reason = [], ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            reason = f"{path}:{held[0][0]}: not CSV: {e}; a text with quotes stands in quotes, and those in it are doubled"
        raw = b"".join(line for *_, line in held)
        try:
            raw.decode()
        except UnicodeDecodeError as e:
            reason = not_utf8(f"{path}:{held[0][0]}", e)
        if cells or reason:
            yield held[0][0], held[-1][1], raw, cells, reason


def _delimiter(kind: str) -> str:
    return "\t" if kind == "tsv" else ","


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    try:
        with _need("pyarrow.parquet").ParquetFile(path, buffer_size=1 << 20) as file:  # else a row group is held as a whole
            yield file
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read as Parquet: {e}") from None


def _read_parquet(path: Path) -> Iterator[Row]:
    with _parquet(path) as file:
        rows = (batch.slice(i, 1) for batch in file.iter_batches(1024) for i in range(batch.num_rows))
        for number, row in enumerate(rows, 1):
            share = number / file.metadata.num_rows
            try:
                (fields,) = row.to_pylist()
            except ValueError as e:  # a string that is not UTF-8, a time that Python has no form for
                yield Row(number, share, str(row).encode(), None, f"{path}:{number}: a value that cannot be read: {e}")
            else:
                yield Row(number, share, b"", fields)


# --- writing -------------------------------------------------------------------------------------------------------------------


def encoder(path: Path, types: dict[str, Any]) -> tuple[bytes, Callable[[Sequence[dict[str, Any]]], bytes]]:
    """(the first bytes of the file, the function that gives the bytes of further rows). JSONL takes any fields, the others those of `types`.

    Each piece is a gzip member or a zstd frame of its own, so that the file may be cut behind any of them. The pieces of a Parquet file
    are Arrow streams, which `stitch` makes into one.
    """
    kind, packing = form(path)
    if kind == "parquet":
        schema = arrow_schema(types)
        return b"", lambda rows: _arrow(rows, types, schema)
    pack: Callable[[bytes], bytes] = bytes
    if packing == "zst":
        pyarrow = _need("pyarrow")
        pack = lambda data: pyarrow.compress(data, "zstd", asbytes=True)  # noqa: E731
    elif packing == "gz":
        pack = lambda data: gzip.compress(data, mtime=0)  # noqa: E731
    if kind == "jsonl":
        return pack(b""), lambda rows: pack("".join(to_json(row) + "\n" for row in rows).encode())
    joined = {name for name, word in types.items() if isinstance(word, str) and word.startswith("list<")}
    head, delimiter = _csv([list(types)], _delimiter(kind)), _delimiter(kind)
    return pack(head), lambda rows: pack(_csv(([_cell(row.get(name), name in joined) for name in types] for row in rows), delimiter))


def _cell(value: Any, joined: bool) -> str:
    """Text as it is, nothing for `None`, a list of `joined` columns with | between, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return "|".join(_cell(v, False) for v in value) if joined else to_json(value)


def _csv(rows: Iterable[Sequence[str]], delimiter: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode(errors="replace")


def _utf8(text: str) -> str:
    """A lone surrogate becomes ?, one character for one."""
    return text.encode(errors="replace").decode()


def arrow_schema(types: dict[str, Any]) -> Any:
    pyarrow = _need("pyarrow")

    def arrow(word: Any) -> Any:
        if not isinstance(word, str):
            return word
        if word.startswith("list<"):
            return pyarrow.list_(arrow(word[5:-1]))
        return pyarrow.type_for_alias({"int": "int32", "json": "string"}.get(word, word))

    return pyarrow.schema([(_utf8(name), arrow(word)) for name, word in types.items()])


def _arrow(rows: Sequence[dict[str, Any]], types: dict[str, Any], schema: Any) -> bytes:
    pyarrow = _need("pyarrow")
    fit = {"json": to_json, "double": float, "string": _utf8}
    arrays = [
        pyarrow.array([None if (v := row.get(name)) is None else fit[word](v) if word in fit else v for row in rows], field.type)
        for (name, word), field in zip(types.items(), schema, strict=True)
    ]
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


def stitch(part: Path, whole: Path, types: dict[str, Any]) -> None:
    """A Parquet file of the Arrow streams that stand one behind the other in `part`."""
    pyarrow, schema = _need("pyarrow"), arrow_schema(types)
    with pyarrow.OSFile(str(part)) as f, _need("pyarrow.parquet").ParquetWriter(whole, schema) as writer:
        held, begin = [], 0
        while f.tell() < f.size():
            held += pyarrow.ipc.open_stream(f)
            if f.tell() - begin >= ROW_GROUP or f.tell() == f.size():
                writer.write_table(pyarrow.Table.from_batches(held, schema))
                held, begin = [], f.tell()
    with whole.open("rb+") as done:
        os.fsync(done.fileno())
