"""How fast svcnorm is, beside `transformers.pipeline` and beside what the machine can do at all. Writes docs/speed.md and docs/speed.json,
on a processor with VNNI docs/speed-vnni.md and docs/speed-vnni.json.

    python -m benchmarks.speed        # make speed; about ten minutes on a quiet machine

All ways label the same sentences of data/gold, in turn, several times; medians count. The floor is the time that the network's floating-point
operations take at the rate of matrix products measured in the same run: nothing that computes it in float can be faster.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.peers import Pipeline, cpu, machine
from scripts.data_report import table
from svcnorm.bundle import FILES, open_bundle, write_manifest
from svcnorm.classifier import Classifier, ways
from svcnorm.evaluation import evaluate
from svcnorm.model import BATCH, OnnxScorer
from svcnorm.report import write_evaluation
from training.prepare import read_folder

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "speed"
SHAPES = ((384, 384), (384, 1536), (1536, 384))  # of the network's products


def product_rate(threads: int, repeats: int = 30) -> float:
    """Floating-point operations a second of float32 matrix products of the network's shapes, 32 sentences of 24 tokens at once.

    By torch or by ONNX Runtime, whichever is faster: torch's library leaves AVX-512 unused on some processors.
    """
    import onnxruntime
    import torch
    from onnx import TensorProto, helper, numpy_helper

    def by_onnxruntime(b: np.ndarray) -> Callable[[np.ndarray], object]:
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in zip("ac", b.shape, strict=True)]
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["a", "b"], ["c"])], "product", ends[:1], ends[1:], [numpy_helper.from_array(b, "b")]
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return lambda a: session.run(None, {"a": a})

    def by_torch(b: np.ndarray) -> Callable[[np.ndarray], object]:
        b = torch.from_numpy(b)
        return lambda a: torch.from_numpy(a) @ b

    torch.set_num_threads(threads)
    random_matrix = np.random.default_rng(0).random
    factors = [(random_matrix((32 * 24, n), np.float32), random_matrix((n, m), np.float32)) for n, m in SHAPES]
    rates = []
    for way in (by_onnxruntime, by_torch):  # one session at a time, torch last: idle threads go on spinning
        spent = operations = 0.0
        for a, b in factors:
            product, seconds = way(b), []
            for _ in range(repeats):
                start = time.perf_counter()
                product(a)
                seconds.append(time.perf_counter() - start)
            spent, operations = spent + statistics.median(seconds), operations + 2 * a.shape[0] * b.size
        rates.append(operations / spent)
    return max(rates)


def operations(tokens: int, *, hidden: int = 384, inner: int = 1536, layers: int = 6) -> int:
    """Multiplications and additions for one sentence: the whole layers, and the pooling layer, of which only the first token is computed."""
    whole = tokens * (2 * (4 * hidden * hidden + 2 * hidden * inner) + 4 * tokens * hidden)
    last = tokens * 2 * 2 * hidden * hidden + 2 * (2 * hidden * hidden + 2 * hidden * inner) + 4 * tokens * hidden
    return layers * whole + last


def float_bundle() -> Path:
    """The shipped bundle with its network in float."""
    from training.export import export_onnx

    bundle, out = open_bundle(), WORK / "float"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in FILES:
        shutil.copy(bundle.file(name), out / name)
    export_onnx(bundle.path / "checkpoint", out / "model.onnx", int8=False)
    write_manifest(out, id="float", max_tokens=bundle.max_tokens)
    return out


def rate(run: Callable[[], object], sentences: int) -> float:
    start = time.perf_counter()
    run()
    return sentences / (time.perf_counter() - start)


def bulk(texts: Sequence[str], threads: int, repeats: int) -> dict[str, float]:
    """Sentences a second by each way, medians over repeats that take turns."""
    pipeline = Pipeline().load(WORK, threads)
    runs: dict[str, Callable[[], object]] = {"transformers.pipeline, float checkpoint, batches of 32": lambda: pipeline(texts)}
    for name, model, way in (
        ("svcnorm, float, no rules", WORK / "float", "model"),
        ("svcnorm, int8, no rules", None, "model"),
        ("svcnorm, int8, rules", None, "both"),
    ):
        loaded = Classifier.load(model, threads=threads, cache=0)
        classifier = ways(loaded.scorer, loaded.norm)[way]
        runs[name] = lambda c=classifier: list(c.predict_many(texts, split=False))
    for run in runs.values():
        run()  # warm: buffers, the rules' automata
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            rates[name].append(rate(run, len(texts)))
    return {name: statistics.median(values) for name, values in rates.items()}


def repeated(threads: int, number: int) -> dict[str, float]:
    """With the cache, on whole calls of data/train in their order, as they repeat themselves."""
    texts = [e.text for e in read_folder(ROOT / "data" / "train") if "call_id" in e.fields][:number]
    with_cache, without = (Classifier.load(threads=threads, cache=size) for size in (20_000, 0))
    for c in (with_cache, without):
        list(c.predict_many(["您好"]))
    return {"sentences": len(texts), "different": len(set(texts)), "cache": rate(lambda: list(with_cache.predict_many(texts, split=False)), len(texts)),
            "no_cache": rate(lambda: list(without.predict_many(texts, split=False)), len(texts))}  # fmt: skip


def company(texts: Sequence[str]) -> dict[str, float]:
    """Whether what shares a batch changes a sentence's result: alone, and in shuffled batches."""
    scorer = OnnxScorer(open_bundle())
    alone = np.concatenate([scorer.probabilities([t]) for t in texts])
    order = random.Random(0).sample(range(len(texts)), len(texts))
    together = np.empty_like(alone)
    together[order] = scorer.probabilities([texts[i] for i in order], BATCH)
    flips = (alone >= scorer.calibration.threshold) != (together >= scorer.calibration.threshold)
    return {
        "sentences": len(texts),
        "largest_difference": float(np.abs(alone - together).max()),
        "flips": int(flips.sum()),
        "decisions": int(flips.size),
    }


SINGLE = """
import json, sys, time
from svcnorm import Classifier
texts, threads = json.load(sys.stdin)
classifier, times = Classifier.load(threads=threads, cache=0), []
for i, text in enumerate([*texts[:50], *texts]):
    start = time.perf_counter()
    classifier.predict(text, split=False)
    if i >= 50:
        times.append(1000 * (time.perf_counter() - start))
print(json.dumps(times))
"""


def single(texts: Sequence[str], threads: int | None) -> dict[str, float]:
    """Milliseconds of one sentence after another, in a process of its own: the threads of another model would take turns with its own."""
    done = subprocess.run([sys.executable, "-c", SINGLE], input=json.dumps([texts, threads]), capture_output=True, text=True, check=True)
    return dict(zip(("median", "p95", "p99"), map(float, np.quantile(json.loads(done.stdout), (0.5, 0.95, 0.99))), strict=True))


def evaluation(number: int) -> dict[str, float]:
    """Seconds that `svcnorm evaluate` takes beyond predicting so many sentences (data/gold again and again, answered from the cache)."""
    gold = read_folder(ROOT / "data" / "gold")
    examples = [replace(gold[i % len(gold)], id=str(i)) for i in range(number)]
    classifier = Classifier.load()
    list(classifier.predict_many((e.text for e in gold), split=False))
    start = time.perf_counter()
    list(classifier.predict_many((e.text for e in examples), split=False))
    cached = time.perf_counter() - start
    start = time.perf_counter()
    write_evaluation(WORK / "evaluation", examples, classifier, origin={"path": "gold", "sha256": "", "skipped": 0})
    return {"sentences": number, "seconds": time.perf_counter() - start - cached}


def run(number: int, repeats: int) -> dict:
    gold = read_folder(ROOT / "data" / "gold")
    examples = random.Random(0).sample(list({e.text: e for e in gold}.values()), number)
    texts = [e.text for e in examples]
    float_bundle()
    bundle = open_bundle()
    scorer = OnnxScorer(bundle)
    tokens = [len(e.ids) for e in scorer._tokenizer.encode_batch_fast(texts)]
    found: dict = {
        "format": 1,
        "model": bundle.id,
        "sentences": number,
        "repeats": repeats,
        "tokens_mean": float(np.mean(tokens)),
        "operations_mean": float(np.mean([operations(n) for n in tokens])),
    }
    for threads in (1, 2):
        flops = product_rate(threads)
        found[f"threads_{threads}"] = {"flops": flops, "floor": flops / found["operations_mean"], "rates": bulk(texts, threads, repeats)}
    found |= {
        "single_ms": single(texts, None),
        "single_one_thread_ms": single(texts, 1),
        "company": company(texts),
        "repeated": repeated(2, 10 * number),
        "evaluation": evaluation(100_000),
    }
    quality = {name: evaluate([p.labels for p in Classifier.load(model).predict_many((e.text for e in gold), split=False)], [e.labels for e in gold])
               for name, model in (("int8", None), ("float", WORK / "float"))}  # fmt: skip
    found["macro_f1"] = {name: e.macro_f1 for name, e in quality.items()}
    return {**found, "machine": machine()}


def render(found: dict) -> str:
    rows = []
    for threads in (1, 2):
        part = found[f"threads_{threads}"]
        first = next(iter(part["rates"].values()))
        rows += [[threads, name, f"{r:.0f}", f"{r / first:.1f}", f"{100 * r / part['floor']:.0f}"] for name, r in part["rates"].items()]
        rows.append(
            [
                threads,
                f"the floor: {part['flops'] / 1e9:.0f} billion operations a second",
                f"{part['floor']:.0f}",
                f"{part['floor'] / first:.1f}",
                "100",
            ]
        )
    m, one, alone, together, again, beyond = (
        found[k] for k in ("machine", "single_ms", "single_one_thread_ms", "company", "repeated", "evaluation")
    )
    predicted = list(found["threads_2"]["rates"].values())[-1]
    return "\n".join([
        "# Speed\n", f"Written by `make speed`; nothing here is typed in. {m['cpu']}, {m['cores']} cores, Python {m['python']}; {found['model']}. {found['sentences']} different sentences of data/gold, {found['tokens_mean']:.1f} tokens and",
        f"{found['operations_mean'] / 1e6:.0f} million operations each in the mean; medians of {found['repeats']} turns, without the cache.\n",
        table(["threads", "way", "sentences/s", "times the pipeline", "% of the floor"], rows),
        f"One sentence through `Classifier.predict` as it is loaded by default (all cores), rules on, no cache: median {one['median']:.2f} ms, p95 {one['p95']:.2f}, p99 {one['p99']:.2f}; by one thread {alone['median']:.2f}, {alone['p95']:.2f}, {alone['p99']:.2f}.\n",
        f"With the cache, on {again['sentences']:,} sentences of whole calls in their order ({again['different']:,} of them different), two threads: {again['cache']:.0f} sentences/s, {again['no_cache']:.0f} without.\n",
        f"The company of a sentence: of {together['decisions']:,} decisions on {together['sentences']:,} sentences, {together['flips']} change when they are scored in shuffled batches of {BATCH} instead of alone; the largest difference of a probability is {together['largest_difference']:.1g}.\n",
        f"`svcnorm evaluate` on {beyond['sentences']:,} sentences takes {beyond['seconds']:.0f} s beyond predicting them, which takes {beyond['sentences'] / predicted:.0f} s on two threads at the rate above.\n",
        f"macro-F1 on data/gold with rules: int8 {100 * found['macro_f1']['int8']:.1f}, float {100 * found['macro_f1']['float']:.1f}.\n",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    args = parser.parse_args()
    found = run(args.sentences, args.repeats)
    name = "speed-vnni" if "VNNI" in cpu()[1] else "speed"
    (args.out / f"{name}.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (args.out / f"{name}.md").write_text(render(found), encoding="utf-8")
    print(render(found))


if __name__ == "__main__":
    main()
