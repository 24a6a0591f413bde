import csv
import gzip
import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from svcnorm import Classifier, DataError, Norm, terminal
from svcnorm.bulk import run
from svcnorm.cli import main
from svcnorm.errors import MissingExtraError
from svcnorm.flat import FLAT, flat_rows
from tests.fakes import FakeScorer

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

WORDS = {"对不起": {"apology": 0.9}, "不归": {"pushback": 0.8, "hedging": 0.4}, "没用": {"pushback": 0.6}}
FORMS = ["jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "csv.zst", "tsv", "parquet"]
TEXTS = ["对不起，让您久等了。这不归我们管。", "……", '您说"没办法"，是吗？', "投诉也没用\t真的"]


class Counting(FakeScorer):
    """Counts the sentences that it is asked for."""

    def __init__(self):
        super().__init__(WORDS)
        self.asked = 0

    def probabilities(self, sentences, batch_size=32):
        self.asked += len(sentences)
        return super().probabilities(sentences, batch_size)


def norm(tmp_path: Path, name: str = "ours") -> Norm:
    path = tmp_path / f"{name}.yaml"
    path.write_text(
        f"format: 1\nname: {name}\ntitle: t\nsource: s\njudge:\n  pushback: {{severity: forbidden, clause: '1'}}\n", encoding="utf-8"
    )
    return Norm.load(path)


@pytest.fixture
def fake(tmp_path):
    return Classifier(Counting(), norm(tmp_path))


def unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".zst":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read() if data else b""
    return gzip.decompress(data) if path.suffix == ".gz" else data


def table(path: Path) -> list[dict]:
    """What is in a file, whatever its form."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = unpacked(path).decode()
    if ".jsonl" in path.name:
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if ".tsv" in path.name else ","))


def write(path: Path, rows: list[dict]) -> Path:
    """Rows of strings in the form that the suffix says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
        return path
    if ".jsonl" in path.name:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        held = io.StringIO(newline="")
        writer = csv.DictWriter(held, list(rows[0]), delimiter="\t" if ".tsv" in path.name else ",")
        writer.writeheader()
        writer.writerows(rows)
        text = held.getvalue()
    data = text.encode()
    pack = {".gz": gzip.compress, ".zst": lambda data: pa.compress(data, "zstd", asbytes=True)}.get(path.suffix, bytes)
    path.write_bytes(pack(data))
    return path


def numbered(n: int) -> list[dict]:
    return [{"id": str(i), "text": TEXTS[i % len(TEXTS)]} for i in range(n)]


def rejected(target: Path) -> list[dict]:
    return table(target.with_name(target.name + ".rejected.jsonl"))


def names(path: Path) -> set[str]:
    return {p.name for p in path.iterdir()} - {"ours.yaml"}


# --- forms ---------------------------------------------------------------------------------------------------------------------


def test_flat_rows_have_the_documented_columns_one_row_a_sentence(fake):
    prediction = fake.predict("对不起，让您久等了。这不归我们管。")
    rows = flat_rows(prediction)
    assert all(list(row) == list(FLAT) for row in rows)
    assert [(r["sentence_index"], r["start"], r["end"]) for r in rows] == [(0, 0, 10), (1, 10, 17)]
    assert rows[1] == {
        "sentence_index": 1, "sentence_id": prediction.to_dict()["sentences"][1]["id"], "start": 10, "end": 17, "sentence": "这不归我们管。", "labels": ["pushback"], "probabilities": [0.8],
        "sources": ["model"], "breaches": ["pushback"], "needs_review": True, "model": "fake", "norm": "ours", "norm_version": fake.norm.version,
    }  # fmt: skip
    assert flat_rows(fake.predict("……")) == []


def test_rules_alone_have_no_probability_in_flat_rows():
    (row,) = flat_rows(Classifier.from_rules().predict("对不起"))
    assert (row["labels"], row["probabilities"], row["sources"], row["model"]) == (["apology"], [None], ["rule"], None)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_and_gives_the_predictions_of_its_texts_in_order(form, fake, tmp_path):
    source, target = write(tmp_path / f"in.{form}", numbered(10)), tmp_path / "out.jsonl"
    summary = run(source, target, fake, chunk=3)
    assert (summary.rows, summary.rejected, summary.resumed_from) == (10, 0, 0)
    expected = [{**row, **fake.predict(row["text"]).to_dict()} for row in numbered(10)]
    assert table(target) == expected
    assert summary.sentences == sum(len(r["sentences"]) for r in expected)
    assert names(tmp_path) == {source.name, target.name}


@pytest.mark.parametrize("form", [f for f in FORMS if "jsonl" not in f])
def test_flat_forms_have_the_columns_of_the_input_and_a_row_a_sentence(form, fake, tmp_path):
    target = tmp_path / f"out.{form}"
    run(write(tmp_path / "in.csv", numbered(10)), target, fake, chunk=3)
    expected = [{**row, **flat} for row in numbered(10) for flat in flat_rows(fake.predict(row["text"]))]
    found = table(target)
    assert len(found) == len(expected)
    assert list(found[0]) == ["id", "text", *FLAT]
    if form == "parquet":
        types = dict(zip(pq.read_schema(target).names, map(str, pq.read_schema(target).types), strict=True))
        assert types["probabilities"] == "list<element: float>"
        assert types["sentence_index"] == "int32"
        assert types["needs_review"] == "bool"
        found = [{**row, "probabilities": [round(p, 4) for p in row["probabilities"]]} for row in found]
        assert found == expected
    else:
        assert [r["sentence"] for r in found] == [r["sentence"] for r in expected]
        assert found[1]["labels"] == "pushback"
        assert (found[1]["probabilities"], found[1]["needs_review"], found[1]["end"]) == ("0.8", "true", "17")


def test_several_labels_of_a_sentence_are_joined_in_csv_in_one_order_with_their_probabilities(fake, tmp_path):
    target = tmp_path / "out.csv"
    run(write(tmp_path / "in.csv", [{"text": "对不起，这不归我们管"}]), target, fake)
    (row,) = table(target)
    assert (row["labels"], row["probabilities"], row["sources"], row["breaches"]) == (
        "apology|pushback",
        "0.9|0.8",
        "model|model",
        "pushback",
    )


def test_the_fields_of_jsonl_keep_their_types_in_parquet_and_one_that_comes_late_is_not_lost(fake, tmp_path):
    rows = [
        {"text": "您好", "n": 1, "share": 1, "ok": True, "tags": ["a"], "mixed": 1, "big": 2**70, "void": None},
        {"text": "您好", "n": None, "share": 0.5, "ok": False, "tags": {"b": 1}, "mixed": "一", "big": 1, "late": "晚"},
    ]
    target = tmp_path / "out.parquet"
    run(write(tmp_path / "in.jsonl", rows), target, fake, chunk=1)
    first, second = ({k: v for k, v in row.items() if k not in FLAT} for row in table(target))
    assert first == {
        "text": "您好",
        "n": 1,
        "share": 1.0,
        "ok": True,
        "tags": '["a"]',
        "mixed": "1",
        "big": str(2**70),
        "void": None,
        "late": None,
    }
    assert second == {
        "text": "您好",
        "n": None,
        "share": 0.5,
        "ok": False,
        "tags": '{"b": 1}',
        "mixed": '"一"',
        "big": "1",
        "void": None,
        "late": "晚",
    }


def test_the_columns_of_parquet_keep_their_types_in_parquet_and_are_readable_in_jsonl(fake, tmp_path):
    schema = pa.schema(
        [("text", pa.string()), ("at", pa.timestamp("us")), ("tags", pa.list_(pa.int8())), ("team", pa.dictionary(pa.int8(), pa.string()))]
    )
    rows = pa.table(
        [["您好", "再见"], pa.array([0, None], schema.field("at").type), [[1], []], pa.array(["一", "二"], schema.field("team").type)],
        schema=schema,
    )
    pq.write_table(rows, tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.parquet", fake, chunk=1)
    assert pq.read_table(tmp_path / "out.parquet").select(schema.names).equals(pq.read_table(tmp_path / "in.parquet"))
    run(tmp_path / "in.parquet", tmp_path / "out.jsonl", fake)
    assert [(r["at"], r["team"]) for r in table(tmp_path / "out.jsonl")] == [("1970-01-01 00:00:00", "一"), (None, "二")]


@pytest.mark.parametrize("form", FORMS)
def test_an_input_without_rows_gives_an_output_that_can_be_read(form, fake, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n")
    run(tmp_path / "in.csv", tmp_path / f"out.{form}", fake)
    assert table(tmp_path / f"out.{form}") == []
    if form == "parquet":
        assert pq.read_schema(tmp_path / "out.parquet").names == ["id", "text", *FLAT]


def test_the_text_column_can_have_another_name_and_quoted_texts_may_span_lines(fake, tmp_path):
    source = tmp_path / "in.csv"
    source.write_bytes('\ufeff编号,内容\r\n1,"对不起，\n""等一下"""\r\n\r\n2,再见\r\n'.encode())
    run(source, tmp_path / "out.jsonl", fake, text_column="内容")
    assert [(r["编号"], r["text"]) for r in table(tmp_path / "out.jsonl")] == [("1", '对不起，\n"等一下"'), ("2", "再见")]


def test_a_text_can_be_taken_whole(fake, tmp_path):
    assert run(write(tmp_path / "in.csv", numbered(1)), tmp_path / "out.csv", fake, split=False).sentences == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_lone_surrogate_breaks_no_output_and_moves_no_character(form, fake, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "好\\ud800的，对不起", "\\udc00": "\\ud801", "deep": ["\\ud802"]}\n')
    run(tmp_path / "in.jsonl", tmp_path / f"out.{form}", fake)
    (row,) = table(tmp_path / f"out.{form}")
    assert row["text"] == ("好\ud800的，对不起" if "jsonl" in form else "好?的，对不起")


# --- what is refused -----------------------------------------------------------------------------------------------------------


def test_bad_lines_of_jsonl_go_to_a_file_with_number_reason_and_the_raw_line_and_the_rest_keeps_its_order(fake, tmp_path):
    source, target, told = tmp_path / "in.jsonl", tmp_path / "out.jsonl", []
    lines = [
        '{"id": 1, "text": "您好"}',
        "",
        "{bad",
        '{"id": 4}',
        '{"text": 5}',
        "[6]",
        '{"text": ' + "9" * 5000 + "}",
        '{"id": 8, "text": "再见"}',
    ]
    source.write_bytes("\n".join(lines).encode() + b'\n{"text": "' + "您好".encode("gb18030") + b'"}\n')
    summary = run(source, target, fake, chunk=2, on_problem=told.append)
    assert (summary.rows, summary.rejected) == (2, 6)
    assert [r["id"] for r in table(target)] == [1, 8]
    found = rejected(target)
    assert [r["line"] for r in found] == [3, 4, 5, 6, 7, 9]
    for row, words in zip(found, ["not JSON", "got None", "got 5", "got list", "beyond", "not UTF-8"], strict=True):
        assert words in row["reason"]
        assert row["reason"].startswith(f"{source}:{row['line']}: ")
    assert found[0]["raw"] == "{bad\n"
    assert found[-1]["raw"] == '{"text": "\\xc4\\xfa\\xba\\xc3"}\n'
    assert told == [found[0]["reason"]]


def test_a_gb18030_table_says_what_to_do_at_its_first_line_and_the_lines_in_ascii_are_done(fake, tmp_path):
    source, told = tmp_path / "in.csv", []
    source.write_bytes('id,text\n1,ok\n2,您好\n3,"您\n好"\n4,fine\n'.encode("gb18030"))
    summary = run(source, tmp_path / "out.csv", fake, on_problem=told.append)
    assert (summary.rows, summary.rejected) == (2, 2)
    assert [r["line"] for r in rejected(tmp_path / "out.csv")] == [3, 4]
    assert "in.csv:3: not UTF-8" in told[0]
    assert "iconv" in told[0]


def test_a_row_with_too_many_or_too_few_fields_or_a_stray_quote_is_rejected_and_the_next_is_read(fake, tmp_path):
    source = tmp_path / "in.csv"
    source.write_text('id,text\n1,您好,再见\n2\n3,"您好"吗\n4,再见\n5,"没完', encoding="utf-8")
    run(source, tmp_path / "out.jsonl", fake)
    assert [r["id"] for r in table(tmp_path / "out.jsonl")] == ["4"]
    found = rejected(tmp_path / "out.jsonl")
    assert [r["line"] for r in found] == [2, 3, 4, 6]
    assert "2 fields expected, got 3" in found[0]["reason"]
    assert "2 fields expected, got 1" in found[1]["reason"]
    assert "not CSV" in found[2]["reason"]
    assert found[3]["raw"] == '5,"没完'


def test_a_quote_that_is_never_closed_costs_a_stretch_of_rows_that_is_kept_and_not_the_rest(fake, tmp_path):
    lines = ["id,text", '0,"没完', *(f"{i},您好" for i in range(1, 20000))]
    (tmp_path / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    bare = Classifier(None, fake.norm)
    summary = run(tmp_path / "in.csv", tmp_path / "out.jsonl", bare)
    (row,) = rejected(tmp_path / "out.jsonl")
    assert summary.rows + row["raw"].count("\n") == 20000
    assert summary.rows > 1000


def test_nulls_and_bad_strings_of_parquet_are_rejected_rows(fake, tmp_path):
    strings = pa.array(["您好".encode(), None, b"\xc4\xfa", "再见".encode()], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), 4, strings.buffers(), null_count=1)
    pq.write_table(pa.table({"text": texts, "id": [1, 2, 3, 4]}), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out.parquet", fake)
    assert [r["id"] for r in table(tmp_path / "out.parquet")] == [1, 4]
    null, bad = rejected(tmp_path / "out.parquet")
    assert (null["line"], json.loads(null["raw"])) == (2, {"text": None, "id": 2})
    assert "must be a string, got None" in null["reason"]
    assert bad["line"] == 3


def test_rejected_rows_of_an_earlier_run_do_not_outlive_a_clean_one(fake, tmp_path):
    (tmp_path / "in.jsonl").write_text("{bad\n")
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", fake)
    write(tmp_path / "in.jsonl", numbered(1))
    run(tmp_path / "in.jsonl", tmp_path / "out.jsonl", fake)
    assert names(tmp_path) == {"in.jsonl", "out.jsonl"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("in.xlsx", b"", "the form follows from the suffix"),
        ("in.parquet.gz", b"", "the form follows from the suffix"),
        ("in.csv", b"", "empty; a header is expected"),
        ("in.csv", b"id,content\n", "no column 'text', only id, content"),
        ("in.csv", b"text,a,a\n", "two columns have the name a"),
        ("in.csv", b"text,labels,model\n", "columns of its own named labels, model"),
        ("in.csv", "id,text,坐席\n".encode("gb18030"), "in.csv:1: not UTF-8"),
        ("in.parquet", b"not Parquet", "cannot be read as Parquet"),
        ("in.jsonl.gz", gzip.compress(b'{"text": "ok"}\n' * 9)[:-9], "damaged or cut short"),
        ("in.jsonl.gz", b"not gzip", "damaged or cut short"),
        ("in.csv.zst", pa.compress(b"text\nok\n" * 9, "zstd", asbytes=True)[:-4], "damaged or cut short"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_and_leaves_no_output(name, content, words, fake, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        run(tmp_path / name, tmp_path / "out.csv", fake)
    assert not (tmp_path / "out.csv").exists()


def test_a_missing_input_and_a_place_that_cannot_be_written_are_named(fake, tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: cannot be read: No such file"):
        run(tmp_path / "none.csv", tmp_path / "out.csv", fake)
    source = write(tmp_path / "in.csv", numbered(1))
    with pytest.raises(DataError, match=r"out\.csv: cannot be written: No such file"):
        run(source, tmp_path / "nowhere" / "out.csv", fake)
    with pytest.raises(DataError, match="take the place of the input"):
        run(source, source, fake)


def test_without_pyarrow_parquet_and_zst_name_the_extra_and_the_rest_works(fake, tmp_path, monkeypatch):
    source = write(tmp_path / "in.csv.gz", numbered(2))
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    assert run(source, tmp_path / "out.jsonl.gz", fake).rows == 2
    for name in ("out.parquet", "out.jsonl.zst"):
        with pytest.raises(MissingExtraError, match=r"install svcnorm\[bulk\]"):
            run(source, tmp_path / name, fake)


# --- interruption --------------------------------------------------------------------------------------------------------------

# Prints a line and hangs when it comes to the fourth chunk; then it is killed.
HANGS = """
import json, sys, threading
from svcnorm import Classifier, Norm
from svcnorm.bulk import run
from tests.fakes import FakeScorer

class Hanging(FakeScorer):
    chunks = 0
    def probabilities(self, sentences, batch_size=32):
        self.chunks += 1
        if self.chunks == 4:
            print("here", flush=True)
            threading.Event().wait()
        return super().probabilities(sentences, batch_size)

source, target, norm, words = sys.argv[1:]
run(source, target, Classifier(Hanging(json.loads(words)), Norm.load(norm)), chunk=5)
"""


def kill_in_the_fourth_chunk(tmp_path: Path, source: Path, target: Path) -> None:
    command = [sys.executable, "-c", HANGS, source, target, tmp_path / "ours.yaml", json.dumps(WORDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as process:
        assert process.stdout.readline() == b"here\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("form", ["jsonl", "csv.gz", "jsonl.zst", "parquet"])
def test_a_killed_run_goes_on_where_it_was_and_ends_as_if_it_had_not_been_killed(form, fake, tmp_path):
    source, target = tmp_path / "in.jsonl", tmp_path / f"killed.{form}"
    write(source, numbered(33))
    with source.open("a") as f:
        f.write("{bad\n")
    source.write_text("{worse\n" + source.read_text(encoding="utf-8"), encoding="utf-8")
    run(source, tmp_path / f"whole.{form}", fake, chunk=5)
    asked = fake.scorer.asked
    kill_in_the_fourth_chunk(tmp_path, source, target)
    assert not target.exists()
    for suffix in (".part", ".rejected.jsonl.part"):
        with target.with_name(target.name + suffix).open("ab") as f:
            f.write(b"torn write")
    told = []
    summary = run(source, target, fake, chunk=5, on_problem=told.append)
    assert (summary.resumed_from, summary.rows, summary.rejected) == (15, 33, 2)
    assert 0 < fake.scorer.asked - asked < asked
    whole = tmp_path / f"whole.{form}"
    assert table(target) == table(whole)
    assert form == "parquet" or target.read_bytes() == whole.read_bytes()
    assert rejected(target) == rejected(whole)
    assert all("begun anew" not in line for line in told)
    assert not {n for n in names(tmp_path) if n.endswith((".part", ".journal", ".whole"))}


class Interrupted(Counting):
    """Ctrl-C in the second chunk."""

    def probabilities(self, sentences, batch_size=32):
        if self.asked:
            raise KeyboardInterrupt
        return super().probabilities(sentences, batch_size)


def touch(source: Path) -> None:
    source.write_bytes(source.read_bytes() + b"\n")


def empty_the_part(source: Path) -> None:
    source.with_name("out.csv.part").write_bytes(b"")


def tear_the_journal(source: Path) -> None:
    source.with_name("out.csv.journal").write_text("{")


@pytest.mark.parametrize(
    ("happens", "options", "words"),
    [
        (touch, {}, "another size"),
        (empty_the_part, {}, "no whole files"),
        (tear_the_journal, {}, "no whole files"),
        (None, {"split": False}, "another split"),
        (None, {"chunk": 4}, "another chunk"),
        (None, {"norm": "another"}, "another norm"),
        (None, {}, None),
    ],
)
def test_work_is_taken_up_only_for_the_same_input_options_norm_and_model_and_else_begun_anew(happens, options, words, fake, tmp_path):
    source, target, told = write(tmp_path / "in.csv", numbered(12)), tmp_path / "out.csv", []
    with pytest.raises(KeyboardInterrupt):
        run(source, target, Classifier(Interrupted(), fake.norm), chunk=3)
    if happens:
        happens(source)
    classifier = Classifier(fake.scorer, norm(tmp_path, options.pop("norm", "ours")))
    summary = run(source, target, classifier, **{"chunk": 3, **options}, on_problem=told.append)
    assert summary.resumed_from == (0 if words else 3)
    assert summary.rows == 12
    assert [words in line and "begun anew" in line for line in told] == ([True] if words else [])
    assert len(table(target)) == summary.sentences


def test_the_old_output_stays_until_the_new_one_is_whole(fake, tmp_path):
    source, target = write(tmp_path / "in.csv", numbered(12)), tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        run(source, target, Classifier(Interrupted(), fake.norm), chunk=3)
    assert target.read_text() == "old"


# --- command line --------------------------------------------------------------------------------------------------------------


def predict(tmp_path, *args):
    norm(tmp_path)
    return CliRunner().invoke(main, ["predict", "--rules-only", "--norm", str(tmp_path / "ours.yaml"), *map(str, args)])


def test_the_command_writes_the_file_and_says_how_much_it_did(tmp_path):
    result = predict(tmp_path, write(tmp_path / "in.csv", numbered(5)), "--out", tmp_path / "out.csv")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "out.csv: 5 rows, 6 sentences" in result.stderr
    assert len(table(tmp_path / "out.csv")) == 6


def test_the_command_names_the_first_rejected_row_and_the_file_with_all_and_exits_with_2(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"words": "您好"}\n{"words": 2}\n{bad\n', encoding="utf-8")
    result = predict(tmp_path, tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--text-column", "words")
    assert result.exit_code == 2
    assert "in.jsonl:2: 'words' must be a string, got 2" in result.stderr
    assert f"2 rows, see {tmp_path / 'out.jsonl'}.rejected.jsonl" in result.stderr
    assert len(table(tmp_path / "out.jsonl")) == 1


def test_a_text_column_without_an_output_and_an_output_without_a_form_are_refused(tmp_path):
    result = predict(tmp_path, "您好", "--text-column", "words")
    assert result.exit_code == 2
    assert "--text-column goes with --out" in result.stderr
    assert predict(tmp_path, "您好", "--format", "json", "--out", tmp_path / "out.csv").exit_code == 2
    result = predict(tmp_path, write(tmp_path / "in.csv", numbered(1)), "--out", tmp_path / "out.xlsx")
    assert result.exit_code == 2
    assert "the form follows from the suffix" in result.stderr


@pytest.mark.parametrize("form", FORMS)
def test_progress_goes_from_row_to_row_and_stays_within_the_file(form, fake, tmp_path):
    seen = []
    run(write(tmp_path / f"in.{form}", numbered(12)), tmp_path / "out.jsonl", fake, chunk=3, progress=lambda *at: seen.append(at))
    assert [rows for rows, _ in seen] == [0, 3, 6, 9]
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    assert 0 < seen[0][1] <= seen[-1][1] <= 1


def test_rate_and_time_left_are_shown_on_a_terminal_only_and_count_this_run_alone(monkeypatch, capsys):
    assert terminal.meter() is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock = iter([100, 110])
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    show = terminal.meter()
    show(5000, 0.5)
    show(6000, 0.6)
    assert capsys.readouterr().err == "\r6000 rows, 100/s, 0:00:40 left "
