"""Tables with a header: CSV and TSV (standard library), Excel (openpyxl). A row is a dictionary from column to text."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from svcnorm.errors import DataError, optional
from svcnorm.examples import raise_problem

SUFFIXES = (".csv", ".tsv", ".xlsx")


def read_table(
    path: Path, on_problem: Callable[[str], object] = raise_problem, needed: Iterable[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, column -> text) of each row below the header; empty rows are passed over, an empty cell is "".

    CSV and TSV are in UTF-8 with `,`, `;` or a tab between the cells, whichever the header has most of; of an Excel file the first
    sheet is read. A bad row, or a header without a column that is `needed`, goes to `on_problem` as `path:row: …`; by default the
    first one raises `DataError`. Raises `DataError` for a file that cannot be read, `MissingExtraError` without openpyxl.
    """
    header: list[str] = []
    try:
        for number, cells in _excel(path) if path.suffix.lower() == ".xlsx" else _csv(path):
            if not any(cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                lacking = [name for name in needed if name not in header]
                twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
                if lacking or twice:
                    what = f"no column {', '.join(lacking)}" if lacking else f"column {', '.join(twice)} stands twice"
                    return on_problem(f"{path}:{number}: {what}; the columns are {', '.join(header)}")
            elif len(cells) != len(header):
                on_problem(
                    f"{path}:{number}: {len(header)} fields expected, got {len(cells)}; put quotes around a text that has the delimiter in it"
                )
            else:
                yield number, dict(zip(header, cells, strict=True))
        if not header:
            on_problem(f"{path}: empty; a header with the names of the columns is expected")
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}") from None
    except UnicodeDecodeError as e:
        raise DataError(f"{path}: not UTF-8 at byte {e.start}; convert the file (for example: iconv -f GB18030 -t UTF-8)") from None
    except csv.Error as e:
        on_problem(f"{path}: not CSV: {e}")


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        first = f.readline()
        f.seek(0)
        reader = csv.reader(f, delimiter=max(",\t;", key=first.count))
        for cells in reader:
            yield reader.line_num, cells


def _excel(path: Path) -> Iterator[tuple[int, list[str]]]:
    openpyxl = optional("openpyxl", "Excel files need openpyxl; install svcnorm[data], or save the sheet as CSV in UTF-8")
    from zipfile import BadZipFile

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, KeyError):
        raise DataError(f"{path}: not an Excel workbook (.xlsx)") from None
    sheet = book.worksheets[0]
    sheet.reset_dimensions()  # some programs write a wrong size, and rows beyond it would be lost
    width = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        cells = ["" if value is None else str(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        width = width or len(cells)
        yield number, cells + [""] * (width - len(cells))
    book.close()
