"""Long files beside short ones: the rate, and the memory, of `svcnorm.bulk.run`. Writes docs/bulk-figures.md and docs/bulk-figures.json.

    python -m benchmarks.files        # make bulk-figures; a quarter of an hour on a quiet machine

Each run is a process of its own. "every sentence anew": sentences of data/train and data/gold in turn, and no cache, so that each row costs what
new text costs. "all seen before": the same 2,000 sentences again and again, answered from the cache: what reading, rules and writing cost, and
long enough a file to see whether memory grows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path

from benchmarks.peers import machine
from scripts.data_report import table

ROOT = Path(__file__).parents[1]
WORK = ROOT / "build" / "files"
RUNS = {"every sentence anew": (0, (10_000, 100_000)), "all seen before": (20_000, (10_000, 1_000_000))}

ONE = """
import json, sys, time
from svcnorm import Classifier, bulk
source, target, cache = sys.argv[1], sys.argv[2], int(sys.argv[3])
classifier = Classifier.load(cache=cache)
texts = list(dict.fromkeys(json.loads(line)["text"] for line, _ in zip(open(source, encoding="utf-8"), range(2000))))
list(classifier.predict_many(texts, split=False))  # warm; and what the cache is to know
summary = bulk.run(source, target, classifier, split=False)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"rows": summary.rows, "rate": summary.rows / summary.seconds, "peak_mb": peak / 1024}))
"""


def measure(cache: int, rows: int) -> dict[str, float]:
    from svcnorm.examples import write_rows
    from training.prepare import read_folder

    WORK.mkdir(parents=True, exist_ok=True)
    source, target = WORK / "in.jsonl", WORK / "out.jsonl"
    texts = list(dict.fromkeys(e.text for part in ("gold", "train") for e in read_folder(ROOT / "data" / part)))
    write_rows(source, ({"id": i, "text": text} for i, text in enumerate(islice(cycle(texts[:2000] if cache else texts), rows))))
    done = subprocess.run([sys.executable, "-c", ONE, source, target, str(cache)], capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(done.stdout)
    with target.open(encoding="utf-8") as f:
        assert sum(1 for _ in f) == rows
    source.unlink(), target.unlink()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    args = parser.parse_args()
    found: dict = {
        "format": 1,
        "runs": {name: [measure(cache, n) for n in sizes] for name, (cache, sizes) in RUNS.items()},
        "machine": machine(),
    }
    rows = [
        [name, f"{r['rows']:,}", f"{r['rate']:.0f}", f"{100 * r['rate'] / runs[0]['rate']:.0f}", f"{r['peak_mb']:.0f}"]
        for name, runs in found["runs"].items()
        for r in runs
    ]
    text = "\n".join([
        "# Long files\n", f"Written by `make bulk-figures`. {found['machine']['cpu']}, {found['machine']['cores']} cores. JSONL in and out, a sentence a row, one run each in a process of its own; the rate",
        "with all that `svcnorm predict FILE --out OUT` does, the peak of the process's memory.\n",
        table(["sentences", "rows", "rows/s", "% of the short file's", "peak memory, MB"], rows),
    ])  # fmt: skip
    (args.out / "bulk-figures.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (args.out / "bulk-figures.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
