"""Labelling a Spark DataFrame. What needs Spark itself is skipped without pyspark or Java; `make spark-test` installs pyspark."""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from fakes import FakeScorer, write_bundle

from svcnorm import BundleError, Classifier, DataError, Norm, NormError
from svcnorm import spark as svcnorm_spark
from svcnorm.bundle import locate, open_bundle, write_manifest
from svcnorm.errors import MissingExtraError
from svcnorm.spark import COLUMNS, _rows, label_batch, predict

pa = pytest.importorskip("pyarrow")

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")
ROOT = Path(__file__).parents[1]
TEXTS = [
    "您好，这里是供水热线，请问有什么可以帮您？",
    "抱歉让您久等了。我这边帮您核实一下！稍等",
    None,
    "。。。",
    "",
    "这个真没办法_您去找施工队吧",
    "好的好的",
    "感谢您的来电，再见",
]
SENTENCE = [name for name in COLUMNS if name not in ("model", "norm", "norm_version", "error")]


@pytest.fixture(scope="session")
def session():
    pytest.importorskip("pyspark")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java")
    from pyspark.sql import SparkSession

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "localhost"}
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
    made = builder.config("spark.sql.session.timeZone", "Asia/Shanghai").getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    yield made
    made.stop()


@pytest.fixture
def ours(tmp_path):
    """A bundle and a norm outside the package."""
    bundle, norm = tmp_path / "bundle", tmp_path / "ours.yaml"
    shutil.copytree(locate(None), bundle)
    write_manifest(bundle, id="ours", max_tokens=open_bundle().max_tokens)
    norm.write_text("format: 1\nname: ours\nextends: base\njudge:\n  greeting: {severity: forbidden, clause: O-1}\n", encoding="utf-8")
    return bundle, norm


def fake() -> Classifier:
    return Classifier(FakeScorer({"您好": {"greeting": 0.9}, "没办法": {"pushback": 0.4}}), Norm.load("base"))


def labelled(batch, classifier, **how) -> list[dict]:
    return [row for out in label_batch(batch, classifier, **how) for row in out.to_pylist()]


# --- one Arrow batch, without Spark -------------------------------------------------------------------------------------------


def test_a_sentence_is_a_row_and_labels_probabilities_and_sources_go_together():
    first, second = _rows(fake().predict("嗯，您好。这个我没办法"))
    assert list(first) == list(COLUMNS)
    assert (first["sentence_index"], first["start"], first["end"], first["sentence"]) == (0, 0, 5, "嗯，您好。")
    assert (second["sentence_index"], second["start"]) == (1, 5)
    assert (first["labels"], first["sources"], first["breaches"]) == (["greeting"], ["both"], [])
    assert first["probabilities"] == pytest.approx([0.9])
    assert (second["labels"], second["sources"], second["breaches"]) == (["pushback"], ["rule"], ["pushback"])
    assert {(row["model"], row["norm"], row["error"]) for row in (first, second)} == {("fake", "base", None)}


def test_rules_alone_give_null_for_a_probability():
    (row,) = labelled(pa.record_batch({"text": ["这个我没办法"]}), Classifier.from_rules())
    assert (row["labels"], row["sources"], row["probabilities"], row["model"]) == (["pushback"], ["rule"], [None], None)


def test_a_text_without_sentences_keeps_a_row_that_says_nothing_is_wrong():
    (row,) = _rows(fake().predict("。。"))
    assert row == {**dict.fromkeys(COLUMNS), "model": "fake", "norm": "base", "norm_version": Norm.load("base").version}


def test_a_null_and_bytes_that_are_not_utf8_have_a_row_with_the_reason_and_the_others_are_labelled():
    raw = pa.array(["您好".encode(), None, "您好".encode("gb18030"), "您好".encode()])
    texts = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:], raw.buffers()[0])
    rows = [r for out in label_batch(pa.record_batch({"text": texts}), fake()) for r in out.select([*COLUMNS]).to_pylist()]
    assert [r["labels"] for r in rows] == [["greeting"], None, None, ["greeting"]]
    assert "null" in rows[1]["error"]
    assert "not UTF-8 at its byte 0" in rows[2]["error"]
    assert all(r[name] is None for r in rows[1:3] for name in SENTENCE)


def test_a_text_on_which_the_model_fails_costs_the_others_nothing():
    class Failing(FakeScorer):
        def probabilities(self, sentences, batch_size=32):
            if "毒" in sentences:
                raise RuntimeError("no memory")
            return super().probabilities(sentences, batch_size)

    texts = ["您好", "您好", "毒", "您好", "您好"]
    rows = labelled(pa.record_batch({"text": texts}), Classifier(Failing({"您好": {"greeting": 0.9}}), Norm.load("base")))
    assert [r["text"] for r in rows] == texts
    assert [r["labels"] for r in rows] == [["greeting"]] * 2 + [None] + [["greeting"]] * 2
    assert [r["error"] for r in rows] == [None, None, "RuntimeError: no memory", None, None]


def test_what_many_sentences_repeat_of_a_long_text_comes_in_batches_of_bounded_size(monkeypatch):
    monkeypatch.setattr(svcnorm_spark, "_ROWS", 3)
    batch = pa.record_batch({"text": ["您好。" * 7, None], "id": [1, 2]})
    parts = list(label_batch(batch, fake()))
    assert [len(p) for p in parts] == [3, 3, 2]
    assert [r["id"] for p in parts for r in p.to_pylist()] == [1] * 7 + [2]


def test_more_texts_than_are_held_at_a_time_stay_in_order():
    texts = [f"{i}您好" for i in range(40)]
    assert [r["sentence"] for r in labelled(pa.record_batch({"text": texts}), fake(), batch_size=1)] == texts


def test_whole_texts_are_labelled_if_asked():
    (row,) = labelled(pa.record_batch({"text": ["您好。这个我没办法。"]}), fake(), split=False)
    assert row["sentence"] == "您好。这个我没办法。"


def test_without_pyspark_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql.types", None)
    with pytest.raises(MissingExtraError, match=r"install svcnorm\[spark\]"):
        predict(None)


def test_the_document_shows_every_column_and_its_type():
    text = (ROOT / "docs" / "spark.md").read_text(encoding="utf-8")
    shown = dict.fromkeys(c for cell in re.findall(r"^\| (`.*?) \|", text, re.M) for c in re.findall(r"`(\w+)`", cell))
    assert list(shown) == list(COLUMNS)


def test_the_recipe_for_datasets_runs(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    (tmp_path / "turns.jsonl").write_text("".join(json.dumps({"n": i, "text": t}) + "\n" for i, t in enumerate(TEXTS)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    found: dict = {}
    exec(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "spark.md").read_text(encoding="utf-8"), re.S)[1], found)
    rows = list(found["labelled"])
    assert [r["text"] for r in rows if not r["sentence_index"]] == TEXTS
    assert rows[0]["labels"][0] == "greeting"
    assert (tmp_path / "labelled.parquet").exists()


# --- Spark --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("partitions", [1, 2, 5])
def test_every_number_of_partitions_gives_what_predict_many_gives(session, classifier, partitions):
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 3)  # several batches in a partition
    texts = TEXTS * 3
    df = session.createDataFrame(list(enumerate(texts)), "n int, text string").repartition(partitions)
    rows = [r.asDict() for r in predict(df).orderBy("n", "sentence_index").collect()]
    session.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    expected = [row for p in classifier.predict_many(t or "" for t in texts) for row in _rows(p)]
    assert len(rows) == len(expected) > len(texts)
    for row, wanted in zip(rows, expected, strict=True):
        assert row["probabilities"] == (wanted["probabilities"] and pytest.approx(wanted["probabilities"], abs=0.005))
        assert row["error"] == (None if row["text"] is not None else "DataError: the text is null")
        assert all(row[name] == wanted[name] for name in COLUMNS if name not in ("probabilities", "error"))


def test_all_columns_pass_through_with_their_types(session):
    ddl = """at timestamp, local timestamp_ntz, day date, price decimal(20,3), raw binary, tags map<string,array<int>>,
             call struct<id:int not null,turns:array<struct<day:date>>>, said string not null, one bigint not null"""
    value = (datetime(2026, 3, 1, 9, 30), datetime(2026, 3, 1, 9, 30, 0, 7), date(2026, 3, 1), Decimal("12.345"), bytearray(b"\x00\xff"),
             {"a": [1, None]}, (7, [(date(2026, 1, 1),), None]), "您好。再见", 1 << 40)  # fmt: skip
    df = session.createDataFrame([value, (*[None] * 6, (8, None), "嗯", 2)], ddl)
    out = predict(df, text="said")
    assert out.schema.fields[: len(df.columns)] == df.schema.fields
    before, after = df.collect(), out.select(df.columns).collect()
    assert sorted(after, key=lambda r: -r.one) == sorted([before[0], before[0], before[1]], key=lambda r: -r.one)


def test_a_bundle_and_a_norm_outside_the_package_are_sent_along(session, ours):
    bundle, norm = ours
    out = predict(session.createDataFrame([("您好",)] * 4, "text string").repartition(2), model=bundle, norm=norm)
    shutil.rmtree(bundle)
    norm.unlink()
    rows = out.collect()
    assert len(rows) == 4
    assert {(r.model, r.norm, tuple(r.breaches)) for r in rows} == {("ours", "ours", ("greeting",))}


def test_a_norm_that_has_matched_already_can_be_sent(session):
    norm = Norm.load("base")
    assert norm.match("您好")
    assert predict(session.createDataFrame([("您好",)], "text string"), norm=norm).first().labels == ["greeting"]


def test_a_model_is_sent_once_however_often_it_labels(session):
    df = session.createDataFrame([("您好",)], "text string")
    predict(df)
    before = list(session.sparkContext.listArchives)
    predict(df, norm="web_hosting_csr")
    assert list(session.sparkContext.listArchives) == before


def test_a_worker_process_loads_the_model_once_for_all_its_tasks_and_jobs(session, ours, monkeypatch):
    """Each task reports its process, and how many models were loaded while it ran."""
    bundle, norm = ours
    norm.write_text(norm.read_text().replace("O-1", "O-2"))  # no other test has this one
    df = session.range(16).selectExpr("'您好' text").repartition(8)
    spark_map = type(df).mapInArrow

    def watched(self, label, schema):
        def run(batches):
            before = svcnorm_spark._classifier.cache_info().misses
            sentences = sum(len(out) for out in label(batches))
            loaded = svcnorm_spark._classifier.cache_info().misses - before
            yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "loaded": [loaded], "sentences": [sentences]})

        return spark_map(self, run, "pid long, loaded long, sentences long")

    monkeypatch.setattr(type(df), "mapInArrow", watched)
    tasks = [r for _ in range(2) for r in predict(df, model=bundle, norm=norm).collect()]
    assert (len(tasks), sum(r.sentences for r in tasks)) == (16, 32)
    assert os.getpid() not in {r.pid for r in tasks}
    assert sum(r.loaded for r in tasks) == len({r.pid for r in tasks}) < len(tasks)


@pytest.mark.parametrize(
    ("ddl", "how", "says"),
    [
        ("text string, labels string", {}, r"has labels, which svcnorm adds; rename with withColumnRenamed\('labels'"),
        ("text string, Model string", {}, "has Model, which"),
        ("text string", {"text": "said"}, "one column 'said' of type string is expected, found none among text; name it with text="),
        ("text binary", {}, "found binary"),
        ("text array<string>", {}, "found array<string>"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_before_the_job(session, ddl, how, says):
    with pytest.raises(DataError, match=says):
        predict(session.createDataFrame([], ddl), **how)


def test_a_model_or_norm_with_problems_is_refused_before_the_job(session, tmp_path):
    df = session.createDataFrame([], "text string")
    damaged = write_bundle(tmp_path / "damaged")
    (damaged / "model.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError, match=r"model\.onnx: damaged"):
        predict(df, model=damaged)
    with pytest.raises(NormError, match="no norm named 'ours'"):
        predict(df, norm="ours")


def test_the_example_of_the_document_runs(session, tmp_path):
    turns = [{"call_id": "a", "role": "agent", "text": "您好。请讲"}, {"call_id": "a", "role": "customer", "text": "喂"}]
    (tmp_path / "turns.jsonl").write_text("".join(json.dumps(t) + "\n" for t in turns))
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "spark.md").read_text(encoding="utf-8"), re.S)[0]
    for name in ("turns.jsonl", "labelled"):
        code = code.replace(f'"{name}"', f'"{tmp_path / name}"')
    exec(code, {})
    rows = session.read.parquet(str(tmp_path / "labelled")).orderBy("sentence_index").collect()
    assert [(r.call_id, r.sentence, r.norm) for r in rows] == [("a", "您好。", "gov_hotline_96128"), ("a", "请讲", "gov_hotline_96128")]


def test_a_stream_is_labelled_too(session, tmp_path):
    (tmp_path / "turns").mkdir()
    (tmp_path / "turns" / "1.jsonl").write_text(json.dumps({"text": "您好。再见"}))
    labelled = predict(session.readStream.schema("text string").json(str(tmp_path / "turns")))
    query = labelled.writeStream.format("memory").queryName("labelled").trigger(availableNow=True).start()
    query.awaitTermination()
    assert [tuple(r) for r in session.sql("select sentence, labels[0] from labelled").collect()] == [
        ("您好。", "greeting"),
        ("再见", "farewell"),
    ]


CLUSTER = """
import shutil, sys
from pathlib import Path
from pyspark.sql import SparkSession
from svcnorm import spark
session = SparkSession.builder.master("local-cluster[2,1,700]").config("spark.executor.memory", "700m").config("spark.ui.enabled", "false").getOrCreate()
out = spark.predict(session.range(8).selectExpr("'您好' text").repartition(4), model=sys.argv[1], norm=sys.argv[2])
shutil.rmtree(sys.argv[1])
Path(sys.argv[2]).unlink()
print(sorted({(r.model, r.norm, *r.breaches) for r in out.collect()}))
"""


@pytest.mark.slow
def test_executors_in_processes_and_folders_of_their_own_get_model_and_norm(session, ours, tmp_path):
    import pyspark

    home = tmp_path / "spark"  # executors write to a folder there
    home.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    env = {**os.environ, "SPARK_HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", CLUSTER, *map(str, ours)], env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout.strip().endswith("[('ours', 'ours', 'greeting')]"), done.stderr[-3000:]
