import sys

import pytest

from svcnorm.errors import DataError, MissingExtraError
from svcnorm.tables import read_table

ROWS = [(2, {"text": "您好，请讲", "n": "3"}), (4, {"text": "再见", "n": ""})]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", '\ufefftext,n\n"您好，请讲",3\n,\n再见,\n'),
        ("x.csv", "text;n\n您好，请讲;3\n\n再见;\n"),
        ("x.tsv", "text\tn\n您好，请讲\t3\n\n再见\t\n"),
    ],
)
def test_tables_are_read_with_whatever_stands_between_their_cells(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert list(read_table(tmp_path / name)) == ROWS


def test_the_first_sheet_of_a_workbook_is_a_table(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["text", "n"], ["您好，请讲", 3], [None, None], ["再见", None]):
        book.active.append(row)
    book.create_sheet("other").append(["x"])
    book.save(tmp_path / "x.xlsx")
    assert list(read_table(tmp_path / "x.xlsx")) == ROWS


def test_excel_without_openpyxl_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"install svcnorm\[data\]"):
        list(read_table(tmp_path / "x.xlsx"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "x.csv: empty; a header"),
        ("a,b\n1,2,3\n4,5\n", "x.csv:2: 2 fields expected, got 3; put quotes"),
        ("a,a\n1,2\n", "x.csv:1: column a stands twice"),
        ("b\n1\n", "x.csv:1: no column a; the columns are b"),
    ],
)
def test_a_bad_row_is_reported_with_its_number(tmp_path, content, words):
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    problems = []
    found = list(read_table(tmp_path / "x.csv", problems.append, needed=["a"]))
    assert len(found) == (1 if "4,5" in content else 0)
    assert len(problems) == 1
    assert words in problems[0]
    with pytest.raises(DataError):
        list(read_table(tmp_path / "x.csv", needed=["a"]))
