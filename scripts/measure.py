"""What svcnorm costs on this machine: import, first label, one sentence, bulk, memory, bundle.

python scripts/measure.py
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

SENTENCE = "您好，这边帮您查询一下，请您稍等好吗？"  # 19 characters
IMPORT = "import time; t = time.perf_counter(); import svcnorm; print(time.perf_counter() - t)"
FIRST = "import time; t = time.perf_counter(); import svcnorm; svcnorm.Classifier.load().predict('您好'); print(time.perf_counter() - t)"

MEMORY = """import svcnorm
c = svcnorm.Classifier.load(cache=0)
list(c.predict_many(["您好，这边帮您查询一下，请您稍等好吗？"] * 640))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))"""


def fresh(code: str, repeats: int = 7) -> float:
    """Median of the number that `code` prints, each time in a fresh interpreter."""
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(repeats)
    )


def main() -> None:
    out = {"import svcnorm, s": round(fresh(IMPORT), 3), "start to first label, s": round(fresh(FIRST), 3)}
    from svcnorm import Classifier
    from svcnorm.bundle import open_bundle
    from svcnorm.examples import read_rows

    classifier = Classifier.load(threads=1, cache=0)
    times = []
    for i in range(600):
        start = time.perf_counter()
        classifier.predict(SENTENCE)
        times.append(time.perf_counter() - start)
        if i == 99:
            times.clear()  # warm
    times.sort()
    out |= {
        "one sentence, one thread, ms, median": round(1000 * statistics.median(times), 2),
        "p99": round(1000 * times[int(0.99 * len(times))], 2),
    }
    texts = [
        row["text"] for path in sorted(Path("data/gold").glob("*.jsonl")) for _, row in read_rows(path) if row.get("role") != "customer"
    ]
    for threads in (1, 2):
        bulk = Classifier.load(threads=threads, cache=0)
        rates = []
        for _ in range(3):
            start = time.perf_counter()
            n = sum(len(p.sentences) for p in bulk.predict_many(texts, split=False))
            rates.append(n / (time.perf_counter() - start))
        out[f"sentences/s in bulk, {threads} thread(s)"] = round(statistics.median(rates))
    out["resident memory after 640 sentences, MB"] = round(fresh(MEMORY, 3) / 1024)
    bundle = open_bundle()
    out["bundle, MB"] = round(sum(p.stat().st_size for p in bundle.path.iterdir()) / 1e6, 1)
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
