"""What more sentences bring, and what kind of sentence: the current recipe trained on parts of data/train. Writes docs/learning-curve.md.

    python -m scripts.learning_curve        # make learning-curve; about an hour on two cores, finished runs are kept in build/curve

The held-back authors are the configuration's; scores on them need no threshold (macro average precision) or use 0.5 (micro-F1). data/gold is
measured once at the end of each run by the pipeline's last stage, by the model alone, and decides nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from datasets import load_from_disk

from scripts.data_report import table
from training.metrics import macro_average_precision, multilabel_f1

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "training" / "configs" / "base.yaml"
SIZES = (1000, 2000, 4000, None)
ABLATION = 2000  # sentences of each source


def train(source: str, number: int | None) -> Path:
    work = ROOT / "build" / "curve" / f"{source}-{number or 'all'}"
    sets = (f"source={source}", f"sentences={number or 'null'}")
    subprocess.run(
        [sys.executable, "-m", "training", "--config", CONFIG, "--work", work, *(a for s in sets for a in ("--set", s))],
        check=True,
        cwd=ROOT,
    )
    return work


def row(name: str, work: Path) -> list:
    held = load_from_disk(str(work / "prepared" / "dataset"))
    saved = np.load(work / "trained" / "held.npz")
    in_call = np.array(held["held"]["in_call"])
    scores = [macro_average_precision(saved["logits"][m], saved["labels"][m]) for m in (in_call | True, in_call, ~in_call)]
    micro = multilabel_f1(saved["logits"] > 0, saved["labels"])["micro_f1"]
    found = json.loads((work / "evaluated" / "evaluation.json").read_text(encoding="utf-8"))["model"]
    gold = [found[part][k] for part in ("calls", "targeted") for k in ("micro_f1", "macro_f1")]
    return [name, len(held["train"]), *(f"{100 * x:.1f}" for x in (*scores, micro, *gold))]


HEADER = [
    "trained on",
    "sentences",
    "held: macro AP",
    "in calls",
    "targeted",
    "held: micro-F1",
    "gold calls: micro",
    "macro",
    "gold targeted: micro",
    "macro",
]


def main() -> None:
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    curve = [row(str(n or "all"), train("all", n)) for n in SIZES]
    ablation = [row(s if s != "all" else "both", train(s, ABLATION)) for s in ("calls", "targeted", "all")]
    facts = f"{config['layers']} layers, {config['epochs']} epochs, seed {config['seed']}; held back: {', '.join(config['held_out'])}"
    text = "\n".join([
        "# What more sentences bring\n", f"Written by `make learning-curve` ({facts}). In percent. Gold by the model alone, int8, without rules.\n",
        "## Learning curve\n", table(HEADER, curve), f"## Calls or single sentences: {ABLATION} of each\n", table(HEADER, ablation),
    ])  # fmt: skip
    (ROOT / "docs" / "learning-curve.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
