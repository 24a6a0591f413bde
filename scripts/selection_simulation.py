"""Does picking beat chance? Sentences of calls in data/train labelled in small steps, by each strategy of `svcnorm.selection`. Writes docs/selection.md.

    python -m scripts.selection_simulation        # make selection; five minutes

The model is a linear layer on the sentence vectors of the base encoder, which has seen no label: it trains in a second, so each strategy is run
from several starts. It begins with some labelled sentences and asks several times for more out of a pool of whole calls, as users have them; it sees
their labels only then. What it learnt is scored on the held-back authors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml
from torch.nn.functional import binary_cross_entropy_with_logits as loss

from benchmarks.peers import FrozenBase
from scripts.data_report import table
from svcnorm.evaluation import TABOO
from svcnorm.labels import NAMES
from svcnorm.selection import REASONS, USUAL, select
from training.metrics import macro_average_precision
from training.prepare import read_folder, targets

ROOT = Path(__file__).parents[1]
START, POOL, STEPS, BUDGET, SEEDS = 1000, 6000, 3, 100, 10
STRATEGIES = {
    **{reason: (reason,) for reason in REASONS},
    f"{' and '.join(USUAL)} in turn (the default)": USUAL,
    "the default and random in turn": (*USUAL, "random"),
    "all in turn": REASONS,
}


def scored(known: np.ndarray, true: np.ndarray, asked: np.ndarray, steps: int = 120, decay: float = 3e-3) -> np.ndarray:
    """Probabilities of the sentences with the vectors `asked`, by a layer fitted to `known` and `true`. Shape: (len(asked), len(LABELS))."""
    x, y = torch.tensor(known), torch.tensor(true)
    prior = y.mean(0).clamp(1e-3, 0.5)
    weight, bias = torch.zeros(x.shape[1], y.shape[1], requires_grad=True), torch.log(prior / (1 - prior)).requires_grad_()
    adam = torch.optim.Adam([weight, bias], 0.02)
    for _ in range(steps):
        adam.zero_grad()
        (y.shape[1] * loss(x @ weight + bias, y) + decay * (weight**2).sum()).backward()
        adam.step()
    with torch.no_grad():
        return torch.sigmoid(torch.tensor(asked) @ weight + bias).numpy()


def run(texts: list[str], x: np.ndarray, true: np.ndarray, held: tuple[np.ndarray, np.ndarray, np.ndarray], strategy: tuple[str, ...], seed: int) -> tuple[float, float]:  # fmt: skip
    """After all steps, on the held-back authors (vectors, labels, which stand in calls): macro average precision, and how many taboos the model
    expects in their calls for each that is there."""
    drawn = np.random.default_rng(seed).permutation(len(texts))[: START + POOL]
    known, pool = drawn[:START].tolist(), drawn[START:].tolist()
    for step in range(STEPS):
        p = scored(x[known], true[known], x[pool])
        counts = dict(zip(NAMES, true[known].sum(axis=0), strict=True))
        chosen = select([texts[i] for i in pool], p, BUDGET, known=[texts[i] for i in known], counts=counts, strategies=strategy, seed=seed * STEPS + step)  # fmt: skip
        picked = [pool[i] for i, _ in chosen]
        known += picked
        pool = [i for i in pool if i not in set(picked)]
    vectors, labels, in_call = held
    p = scored(x[known], true[known], vectors)
    return macro_average_precision(p, labels), float(p[in_call][:, TABOO].sum() / labels[in_call][:, TABOO].sum())


def main() -> None:
    config = yaml.safe_load((ROOT / "training" / "configs" / "base.yaml").read_text(encoding="utf-8"))
    examples = read_folder(ROOT / "data" / "train")
    pool = [e for e in examples if e.fields["author"] not in config["held_out"] and "call_id" in e.fields]
    tests = [e for e in examples if e.fields["author"] in config["held_out"]]
    embed = FrozenBase().encoder(2)
    x, held = (embed([e.text for e in part]) for part in (pool, tests))
    centre, width = x.mean(0), x.std(0)
    x, held = (x - centre) / width, (held - centre) / width
    texts, true = [e.text for e in pool], targets(pool)
    asked = (held, targets(tests), np.array(["call_id" in e.fields for e in tests]))
    found = {name: np.array([run(texts, x, true, asked, strategy, seed) for seed in range(SEEDS)]) for name, strategy in STRATEGIES.items()}
    rows = []
    for name, values in found.items():
        gain = 100 * (values[:, 0] - found["random"][:, 0])
        error = gain.std(ddof=1) / SEEDS**0.5
        over = ["", ""] if name == "random" else [f"{gain.mean():+.2f} ± {error:.2f}", f"{(gain > 0).sum()} of {SEEDS}"]
        rows.append([name, f"{100 * values[:, 0].mean():.2f}", *over, f"{values[:, 1].mean():.2f}"])
    text = "\n".join([
        "# What to label next\n", f"Written by `make selection`: {SEEDS} starts with {START:,} labelled sentences, {STEPS} times {BUDGET} more out of {POOL:,} of whole calls; macro average precision in percent on {len(tests):,} sentences",
        "of the held-back authors, by a linear layer on the base encoder's sentence vectors (`scripts/selection_simulation.py`). The gain over chance at the same budget with its standard error, and in how many of the starts there was one.",
        "The last column: how many taboos the model then expects in the held-back calls for each that is there. Average precision asks only what is likelier than what.\n",
        table(["picked", "macro AP", "over random", "better in", "taboos expected"], rows),
    ])  # fmt: skip
    (ROOT / "docs" / "selection.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
