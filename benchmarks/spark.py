"""What Spark costs beside `Classifier.predict_many`: as many sentences of one kind, on the same number of cores.

    python -m benchmarks.spark [--count N] [--repeats N] [--out FOLDER]        # make spark-benchmark; writes spark-figures.md and .json

Each way runs in a process of its own that is bound to its cores, with all that it starts. Spark's figure is of a whole job whose result is
thrown away: rows from the JVM to the workers, labelled, and back. Starting Spark, and the first job, which loads the models, are told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from itertools import islice
from pathlib import Path

from benchmarks.peers import machine
from svcnorm.text import normalise

ROOT = Path(__file__).parents[1]
CORES, PARTITIONS = (1, 2), (1, 2, 4, 8)


def sentences(count: int) -> Iterator[list[str]]:
    """Portions of so many sentences of data/train and data/gold, no sentence twice: no cache helps. They begin anew when all have had their turn."""
    from svcnorm.examples import read_examples

    texts = {normalise(e.text): e.text for part in ("gold", "train") for path in sorted((ROOT / "data" / part).glob("*.jsonl")) for e in read_examples(path)}  # fmt: skip
    drawn = random.Random(0).sample(list(texts.values()), len(texts))
    while True:
        yield from (drawn[at : at + count] for at in range(0, len(drawn) - count + 1, count))


# --- in the process of one way ------------------------------------------------------------------------------------------------


def timed(works: Iterable[Callable[[], object]], count: int) -> dict:
    """Seconds of the first piece of work, and the rates in sentences per second of those that follow."""
    seconds = []
    for work in works:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"first_s": seconds[0], "rates": [count / s for s in seconds[1:]], "rate": statistics.median(count / s for s in seconds[1:])}


def plain(cores: int, count: int, repeats: int) -> dict:
    from svcnorm import Classifier

    start = time.perf_counter()
    classifier = Classifier.load(threads=cores)
    loaded = time.perf_counter() - start
    works = (lambda texts=texts: list(classifier.predict_many(texts, split=False)) for texts in islice(sentences(count), 1 + repeats))
    return {"start_s": loaded, **timed(works, count)}


def spark(cores: int, count: int, repeats: int) -> dict:
    from pyspark.sql import SparkSession

    from svcnorm.spark import predict

    start = time.perf_counter()
    session = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    found: dict = {"start_s": time.perf_counter() - start, "partitions": {}}
    portions = sentences(count)

    def jobs(partitions: int) -> Iterator[Callable[[], object]]:
        for texts in islice(portions, 1 + repeats):
            rows = session.createDataFrame([(t,) for t in texts], "text string").repartition(partitions).cache()
            assert rows.count() == count
            yield predict(rows, split=False).write.format("noop").mode("overwrite").save
            rows.unpersist()

    for partitions in PARTITIONS:
        found["partitions"][partitions] = timed(jobs(partitions), count)
    rows = predict(session.createDataFrame([(t,) for t in next(portions)], "text string"), split=False)
    assert rows.filter("sentence is null").count() == 0
    session.stop()
    return found


# --- the run ------------------------------------------------------------------------------------------------------------------


def child(way: str, cores: int, count: int, repeats: int) -> dict:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": str(cores > 1).lower(),
           "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}  # fmt: skip
    if way == "spark":
        del env["TOKENIZERS_PARALLELISM"]  # the workers see to it
    command = [
        sys.executable,
        "-m",
        "benchmarks.spark",
        "--way",
        way,
        "--cores",
        str(cores),
        "--count",
        str(count),
        "--repeats",
        str(repeats),
    ]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{way}, {cores} cores: {done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run(count: int, repeats: int) -> dict:
    ways = {}
    for cores in CORES:
        for way in ("plain", "spark"):
            print(f"{way}, {cores} of {os.cpu_count()} cores", flush=True)
            ways[f"{way}-{cores}"] = child(way, cores, count, repeats)
    return {"format": 1, "machine": machine(), "sentences": count, "repeats": repeats,
            "versions": {p: metadata.version(p) for p in ("svcnorm", "pyspark", "pyarrow", "onnxruntime")}, "ways": ways}  # fmt: skip


def table(found: dict) -> str:
    from svcnorm.report import percent

    machine, ways = found["machine"], found["ways"]
    lines = [
        "# What Spark costs", "",
        f"Written by `make spark-benchmark`; nothing here is typed in. {found['sentences']} sentences of data/train and data/gold in each run, each taken whole, none twice; medians of "
        f"{found['repeats']} runs after a first one, lowest and highest in brackets. {machine['cpu']}, {machine['cores']} cores, Python {machine['python']}; "
        f"{', '.join(f'{k} {v}' for k, v in found['versions'].items())}.", "",
        "Overhead: by how much longer Spark takes for as many other sentences of the same mix than `predict_many` on the same number of cores; below zero it is faster. `predict_many` has as many threads as cores in one "
        "process, Spark a process with one thread on each core. Start: until the first sentence could be labelled, without the models in Spark's case; they are loaded in its first job.", "",
        "| cores | way | partitions | sentences/s | overhead, % | start, s | first run, s |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for cores in CORES:
        base, spark = ways[f"plain-{cores}"], ways[f"spark-{cores}"]
        rows = [("`predict_many`", "", base, base), *(("Spark", n, r, {**spark, **r}) for n, r in spark["partitions"].items())]
        for way, partitions, r, whole in rows:
            spread = f"{r['rate']:.0f} ({min(r['rates']):.0f}–{max(r['rates']):.0f})"
            over = "" if r is base else percent(base["rate"] / r["rate"] - 1)
            lines.append(f"| {cores} | {way} | {partitions} | {spread} | {over} | {whole['start_s']:.1f} | {whole['first_s']:.1f} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=800, help="sentences in each run")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--way", choices=["plain", "spark"], help=argparse.SUPPRESS)
    parser.add_argument("--cores", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
        print(json.dumps({"plain": plain, "spark": spark}[args.way](args.cores, args.count, args.repeats)))
        return
    found = run(args.count, args.repeats)
    print(table(found))
    (args.out / "spark-figures.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (args.out / "spark-figures.md").write_text(table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
