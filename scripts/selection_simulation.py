"""Does picking beat chance? Sentences of data/train labelled in small steps, by each strategy of `svcnorm.selection`. Writes docs/selection.md.

    python -m scripts.selection_simulation        # make selection

The model is the linear half (n-grams of characters): it trains in seconds, so each strategy is run from several starts. It begins with 500
labelled sentences and asks three times for 100 out of a pool of 6,000, whose labels it sees only then; what it learnt is scored on the held-back authors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from scripts.data_report import table
from svcnorm.labels import NAMES
from svcnorm.selection import REASONS, select
from training.lexical import fit
from training.metrics import macro_average_precision
from training.prepare import read_folder, targets

ROOT = Path(__file__).parents[1]
START, POOL, STEPS, BUDGET, SEEDS = 500, 6000, 3, 100, 10
STRATEGIES = {"random": (), **{reason: (reason,) for reason in REASONS}, "all three in turn": REASONS}


def scored(texts: list[str], true: np.ndarray, held: list[str]) -> np.ndarray:
    return fit(texts, true, size=1 << 16, weight=1.0, c=10).logits(held)


def run(texts: list[str], true: np.ndarray, held: tuple[list[str], np.ndarray], strategy: tuple[str, ...], seed: int) -> float:
    """Macro average precision on the held-back authors after all steps."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(texts))[: START + POOL]
    known, pool = drawn[:START].tolist(), drawn[START:].tolist()
    for _ in range(STEPS):
        if strategy:
            logits = scored([texts[i] for i in known], true[known], [texts[i] for i in pool])
            counts = dict(zip(NAMES, true[known].sum(axis=0), strict=True))
            chosen = select([texts[i] for i in pool], (1 / (1 + np.exp(-logits))).astype(np.float32), BUDGET, known=[texts[i] for i in known],
                            counts=counts, strategies=strategy, seed=seed)  # fmt: skip
            picked = [pool[i] for i, _ in chosen]
        else:
            picked = rng.choice(pool, BUDGET, replace=False).tolist()
        known += picked
        pool = [i for i in pool if i not in set(picked)]
    return macro_average_precision(scored([texts[i] for i in known], true[known], held[0]), held[1])


def main() -> None:
    config = yaml.safe_load((ROOT / "training" / "configs" / "base.yaml").read_text(encoding="utf-8"))
    examples = read_folder(ROOT / "data" / "train")
    parts = [[e for e in examples if (e.fields["author"] in config["held_out"]) == held] for held in (False, True)]
    (texts, true), held = (([e.text for e in part], targets(part)) for part in parts)
    found = {name: [run(texts, true, held, strategy, seed) for seed in range(SEEDS)] for name, strategy in STRATEGIES.items()}
    rows = []
    for name, values in found.items():
        gain = 100 * (np.array(values) - found["random"])
        error = gain.std(ddof=1) / SEEDS**0.5
        rows.append([name, f"{100 * np.mean(values):.2f}", "" if name == "random" else f"{gain.mean():+.2f} ± {error:.2f}", "" if name == "random" else f"{(gain > 0).sum()} of {SEEDS}"])  # fmt: skip
    text = "\n".join([
        "# What to label next\n", f"Written by `make selection`: {SEEDS} starts, {START} labelled sentences and {STEPS} times {BUDGET} more out of {POOL:,}; macro average precision in percent on {len(held[0]):,} sentences",
        "of the held-back authors, by the linear half of the model alone (`scripts/selection_simulation.py`). The gain over chance at the same budget with its standard error, and in how many of the starts there was one.\n",
        table(["picked", "macro AP", "over random", "better in"], rows),
    ])  # fmt: skip
    (ROOT / "docs" / "selection.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
