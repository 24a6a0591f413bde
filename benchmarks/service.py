"""`svcnorm serve` beside `predict_many` on the same sentences in the same run: what the way over HTTP costs.

    python -m benchmarks.service [--clients 32] [--count N] [--rounds 3] [--out docs] [-- OPTIONS OF svcnorm serve]

Writes service-figures.md and service-figures.json (make service-figures). The server is a process of its own; the clients are in this one. Each
client keeps its connection and sends one sentence a request. No cache helps: bulk has none, and a round's new server sees each sentence once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.peers import ROOT, machine

WARM = 64  # sentences before anything is timed, and not among the timed


def sentences(count: int | None) -> tuple[list[str], list[str]]:
    """Sentences of the agents in data/gold, shuffled, no two alike: to warm up, and to time."""
    from svcnorm.examples import read_rows
    from svcnorm.text import normalise

    rows = (row for path in sorted((ROOT / "data" / "gold").glob("*.jsonl")) for _, row in read_rows(path))
    texts = list({normalise(row["text"]): row["text"] for row in rows if row.get("role") != "customer"}.values())
    random.Random(0).shuffle(texts)
    return texts[:WARM], texts[WARM:][:count]


@contextmanager
def server(options: Sequence[str]) -> Iterator[int]:
    """The port of a server that is ready."""
    with tempfile.NamedTemporaryFile("r") as log:
        with open(log.name, "w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "svcnorm", "serve", "--port", "0", *options], cwd=ROOT, stdout=out, stderr=out
            )
        try:
            while "startup complete" not in (said := Path(log.name).read_text()):
                if process.poll() is not None:
                    raise SystemExit(said)
                time.sleep(0.1)
            yield int(re.search(r"http://[\d.]+:(\d+)", said)[1])
        finally:
            process.terminate()
            process.wait()


async def drive(port: int, texts: Sequence[str], clients: int) -> dict[str, tuple[float, bytes]]:
    """Seconds and answer of each text; a text without an entry got none."""
    found, waiting = {}, iter(texts)

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in waiting:
            body = json.dumps({"text": text, "split": False}).encode()
            start = time.perf_counter()
            writer.write(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )
            head = await reader.readuntil(b"\r\n\r\n")
            answer = await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            if head.startswith(b"HTTP/1.1 200"):
                found[text] = (time.perf_counter() - start, answer)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)), return_exceptions=True)
    return found


def differ(one: dict, other: dict) -> bool:
    """Whether two predictions of a text have other labels, or other labels to review: a probability may differ by what company rounds (docs/speed.md)."""
    said = lambda p: [(s["labels"], s["unsure"]) for s in p["sentences"]]  # noqa: E731
    return said(one) != said(other)


def run(clients: int, count: int | None, rounds: int, options: Sequence[str]) -> dict:
    from svcnorm import Classifier

    warm, texts = sentences(count)
    classifier = Classifier.load(cache=0)
    list(classifier.predict_many(warm, split=False))
    rows, times = [], []
    for _ in range(rounds):
        with server(options) as port:
            asyncio.run(drive(port, warm, clients))
            start = time.perf_counter()
            expected = {p.text: p.to_dict() for p in classifier.predict_many(texts, split=False)}
            bulk = len(texts) / (time.perf_counter() - start)
            start = time.perf_counter()
            found = asyncio.run(drive(port, texts, clients))
            rate = len(found) / (time.perf_counter() - start)
        times += [seconds for seconds, _ in found.values()]
        pairs = [(json.loads(answer), expected[text]) for text, (_, answer) in found.items()]
        rows.append({"bulk": bulk, "requests": rate, "share": rate / bulk, "errors": len(texts) - len(found),
                     "other": sum(map(differ, *zip(*pairs, strict=True))) if pairs else 0})  # fmt: skip
    if not times:
        raise SystemExit("no request was answered with 200")
    return {"format": 1, "machine": machine(), "model": classifier.model, "sentences": len(texts), "clients": clients, "options": list(options), "rounds": rows,
            **{k: statistics.median(r[k] for r in rows) for k in ("bulk", "requests", "share")}, **{k: sum(r[k] for r in rows) for k in ("errors", "other")},
            **{f"p{q}_ms": 1000 * float(np.percentile(times, q)) for q in (50, 95, 99)}}  # fmt: skip


def table(found: dict) -> str:
    m = found["machine"]
    return "\n".join([
        "# Figures of the service", "",
        f"Written by `make service-figures`; nothing here is typed in. {found['sentences']} different sentences of data/gold, one a request, {found['clients']} clients at once on the machine of the "
        f"server; medians of {len(found['rounds'])} rounds, each of them `predict_many` and then the service, both without a cached sentence. {found['model']}, {m['cpu']}, {m['cores']} cores, Python {m['python']}; "
        f"`{' '.join(['svcnorm serve', *found['options']])}`.", "",
        "| requests/s | `predict_many`, sentences/s | share | latency, ms: median | p95 | p99 | errors | answers with other labels than `predict_many`'s |", "|---|---|---|---|---|---|---|---|",
        f"| {found['requests']:.0f} | {found['bulk']:.0f} | {found['share']:.0%} | {found['p50_ms']:.0f} | {found['p95_ms']:.0f} | {found['p99_ms']:.0f} | {found['errors']} | {found['other']} |", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--count", type=int, help="Sentences; default: all.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("options", nargs="*", help="Options of svcnorm serve, behind --.")
    args = parser.parse_args()
    found = run(args.clients, args.count, args.rounds, args.options)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "service-figures.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (args.out / "service-figures.md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
