"""Agreement of the two annotations of every doubly labelled sentence, and human-level F1: one annotator against the adjudicated labels.

    python scripts/agreement.py [train|gold]        # default: both

Reads data/annotations. Cohen's kappa per label; human-level F1 is that of the blind annotator alone against the adjudicated labels, the bar for a model.
"""

import sys
from pathlib import Path

from svcnorm.evaluation import evaluate
from svcnorm.examples import read_rows
from svcnorm.labels import NAMES

DATA = Path(__file__).parents[1] / "data"


def kappa(first: list[bool], second: list[bool]) -> float | None:
    """Cohen's kappa of two yes/no annotations of the same items; `None` where chance alone would agree."""
    n, a, b = len(first), sum(first), sum(second)
    chance = (a * b + (n - a) * (n - b)) / n**2
    observed = sum(x == y for x, y in zip(first, second, strict=True)) / n
    return None if chance == 1 else (observed - chance) / (1 - chance)


def annotations(part: str) -> list[dict]:
    authors = {p.stem for p in (DATA / part).glob("*.jsonl")}
    files = [p for p in sorted((DATA / "annotations").glob("*.jsonl")) if p.stem in authors]
    return [row for p in files for _, row in read_rows(p)]


def main() -> None:
    for part in sys.argv[1:] or ("train", "gold"):
        rows = annotations(part)
        if not rows:
            continue
        human = evaluate([r["annotator"] for r in rows], [r["final"] for r in rows])
        same = sum(r["author"] == r["annotator"] for r in rows)
        print(
            f"\n{part}: {len(rows)} sentences labelled twice, {same} alike ({same / len(rows):.1%}); human-level micro-F1 {human.micro.f1:.3f}, macro-F1 {human.macro_f1:.3f}"
        )
        print(f"{'label':16}{'author':>8}{'blind':>8}{'kappa':>8}{'human F1':>10}")
        for name in NAMES:
            first, second = [name in r["author"] for r in rows], [name in r["annotator"] for r in rows]
            k, f1 = kappa(first, second), human.labels[name].f1
            print(f"{name:16}{sum(first):>8}{sum(second):>8}{'–' if k is None else f'{k:.2f}':>8}{'–' if f1 is None else f'{f1:.2f}':>10}")


if __name__ == "__main__":
    main()
