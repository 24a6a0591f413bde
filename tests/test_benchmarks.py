"""The benchmark against peers: what can be told without running it."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
from benchmarks import peers, spark
from svcnorm.classifier import Classifier
from svcnorm.labels import NAMES
from svcnorm.text import normalise


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "BUILD", tmp_path)
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (tmp_path / "a peer").mkdir()
    rng = np.random.default_rng(0)
    for part in ("held", "gold"):
        true = rng.random((200, len(NAMES))) < 0.2
        (tmp_path / f"{part}.json").write_text(json.dumps({"text": ["句"] * 200, "labels": true.astype(int).tolist()}))
        scores = np.clip(true * 0.4 + rng.random(true.shape) * 0.5, 0, 1)
        np.savez(tmp_path / "a peer" / f"{part}.npz", scores=scores, ranking=scores)
    return tmp_path


def test_probabilities_are_decided_by_thresholds_of_the_held_back_sentences_and_decisions_are_taken_as_they_are(prepared):
    given = peers.quality("a peer")
    assert given["macro_f1"] > 0.8
    true = np.array(json.loads((prepared / "gold.json").read_text())["labels"])
    for part in ("held", "gold"):
        sets = np.array(json.loads((prepared / f"{part}.json").read_text())["labels"])
        np.savez(prepared / "a peer" / f"{part}.npz", scores=sets, ranking=sets)
    assert peers.quality("a peer")["micro_f1"] == 1
    assert peers.quality("a peer")["taboo_recall_at_precision_95"] == 1
    assert true.any()


def test_strategies_are_mapped_to_labels_that_exist():
    assert set(peers.ConvoKit.MAPPING.values()) <= set(NAMES)


def test_the_size_of_an_installation_counts_what_it_requires():
    assert peers.installed(["scikit-learn"]) > peers.installed(["numpy"]) > 1e6


def test_the_table_shows_every_peer_and_label_and_a_dash_for_what_is_undefined():
    row = {"macro_f1": 0.5, "micro_f1": 0.5, "taboo_precision": None, "taboo_recall": 0.1, "taboo_recall_at_precision_95": 0, "median_ms": 1, "p95_ms": 2, "rate": 3, "rate_2": 4,
           "peak_mb": 5, "install_mb": 6, "start_s": 7, "versions": {"x": "1"}, "labels": dict.fromkeys(NAMES)}  # fmt: skip
    text = peers.table(
        {"peers": {"one": row, "two": row}, "machine": {"cpu": "c", "cores": 2, "python": "3"}, "sentences": 1, "trained": 1}
    )
    assert text.count("| one |") + text.count("| one ") >= 2
    assert "| – | 10.0 |" in text
    assert all(f"| {n} " in text for n in NAMES)


def test_the_load_test_counts_errors_and_answers_whose_labels_are_not_those_of_predict_many(classifier):
    pytest.importorskip("fastapi")
    from benchmarks import service

    texts = service.sentences(12)[1]
    long = sum(len(text) > 20 for text in texts)
    model, rules = Classifier.load(), Classifier.from_rules()
    other = sum(service.differ(*(c.predict(t, split=False).to_dict() for c in (model, rules))) for t in texts if len(t) <= 20)
    found = service.run(4, 12, 1, ["--rules-only", "--max-chars", "20"])  # the bulk rate is of the model
    assert 0 < long < 12
    assert other > 0  # rules alone miss what the model finds
    assert (found["sentences"], found["errors"], found["other"]) == (12, long, other)
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]


@pytest.mark.slow
def test_the_load_test_finds_the_labels_of_the_service_equal_to_those_of_predict_many(classifier):
    pytest.importorskip("fastapi")
    from benchmarks import service

    found = service.run(32, 48, 1, [])
    assert (found["errors"], found["other"]) == (0, 0)
    assert "| 0 | 0 |" in service.table(found)


def test_the_overhead_of_spark_is_told_against_the_same_number_of_cores():
    def rates(*values):
        return {"start_s": 1.0, "first_s": 2.0, "rates": list(values), "rate": float(np.median(values))}

    ways = {
        "plain-1": rates(100, 90, 110),
        "plain-2": rates(150),
        "spark-1": {"start_s": 9.0, "partitions": {"1": rates(80), "4": rates(50)}},
    }
    ways["spark-2"] = {"start_s": 9.0, "partitions": {"1": rates(75), "4": rates(200)}}
    text = spark.table({"machine": {"cpu": "c", "cores": 2, "python": "3"}, "versions": {}, "sentences": 1, "repeats": 3, "ways": ways})
    assert "| 1 | `predict_many` |  | 100 (90–110) |  | 1.0 | 2.0 |" in text
    assert [row.split(" | ")[4] for row in text.splitlines() if "| Spark |" in row] == ["25.0", "100.0", "100.0", "-25.0"]


def test_spark_is_timed_on_sentences_of_which_none_comes_twice():
    portions = spark.sentences(700)
    texts = [text for _, portion in zip(range(5), portions, strict=False) for text in portion]
    assert len(texts) == len({normalise(t) for t in texts}) == 3500
