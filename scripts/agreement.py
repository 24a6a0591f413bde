"""Agreement of the two annotations of every doubly labelled sentence, and human-level F1: one annotator against the adjudicated labels.

    python scripts/agreement.py [train|gold|contrast]        # default: all

Reads data/annotations. Cohen's kappa and Krippendorff's alpha per label; human-level F1 is that of the blind annotator alone against the adjudicated labels, the bar for a model.
"""

import sys
from pathlib import Path

import krippendorff
import numpy as np
from sklearn.metrics import cohen_kappa_score

from svcnorm.evaluation import Evaluation, evaluate
from svcnorm.examples import read_rows
from svcnorm.labels import NAMES

DATA = Path(__file__).parents[1] / "data"


def kappa(first: list[bool], second: list[bool]) -> float | None:
    """Cohen's kappa of two yes/no annotations of the same items; `None` where both are constant."""
    return None if len({*first, *second}) < 2 else float(cohen_kappa_score(first, second))


def alpha(first: list[bool], second: list[bool]) -> float | None:
    """Krippendorff's alpha (nominal) of the same; `None` where both are constant."""
    return None if len({*first, *second}) < 2 else float(krippendorff.alpha(np.array([first, second], int), level_of_measurement="nominal"))


def annotations(part: str) -> list[dict]:
    authors = {p.stem for p in (DATA / part).glob("*.jsonl")} or {part}
    files = [p for p in sorted((DATA / "annotations").glob("*.jsonl")) if p.stem in authors]
    return [row for p in files for _, row in read_rows(p)]


def alone(rows: list[dict], who: str) -> Evaluation:
    """Human level: the labels of one of the two, "author" or (blind) "annotator", against the adjudicated ones."""
    return evaluate([r[who] for r in rows], [r["final"] for r in rows])


def main() -> None:
    for part in sys.argv[1:] or ("train", "gold", "contrast"):
        rows = annotations(part)
        if not rows:
            continue
        human = alone(rows, "annotator")
        same = sum(r["author"] == r["annotator"] for r in rows)
        print(
            f"\n{part}: {len(rows)} sentences labelled twice, {same} alike ({same / len(rows):.1%}); human-level micro-F1 {human.micro.f1:.3f}, macro-F1 {human.macro_f1:.3f}"
        )
        print(f"{'label':16}{'author':>8}{'blind':>8}{'kappa':>8}{'alpha':>8}{'human':>8}")
        for name in NAMES:
            first, second = [name in r["author"] for r in rows], [name in r["annotator"] for r in rows]
            figures = (kappa(first, second), alpha(first, second), human.labels[name].f1)
            print(f"{name:16}{sum(first):>8}{sum(second):>8}" + "".join(f"{'–' if x is None else f'{x:.2f}':>8}" for x in figures))


if __name__ == "__main__":
    main()
