"""The round of docs/retraining.md on a simulated new customer: a domain that the parent never saw. Writes docs/new-customer.md.

    python -m scripts.new_customer        # make new-customer; half an hour on two cores

The parent is trained from the base on a part of data/train without the domain (smaller than the shipped model, to fit the time); replay and
the linear half draw on the same part. Of the domain's sentences some are the customer's unlabelled calls, out of which 300 are picked and
"labelled" (the corpus's labels are looked up), once as `svcnorm data select` picks them and once at random; the others, of other calls and
authors, are the customer's held-out set. A third retraining gets 300 sentences that the parent knows: what it gains, training longer gains.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from scripts.data_report import table
from svcnorm import registry
from svcnorm.classifier import Classifier
from svcnorm.examples import Example, write_rows
from svcnorm.labels import NAMES
from svcnorm.report import between, percent
from svcnorm.selection import select
from training import evaluate
from training.prepare import read_folder, sample

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "customer"
DOMAIN, BUDGET, SENTENCES, EPOCHS = "collection", 300, 5000, 4


def split() -> tuple[list[Example], list[Example], list[Example]]:
    """Writes to HOME/data what the parent may know; returns the part of it that trains, and the domain's sentences: the pool, and the
    held-out set (two calls or authors in five)."""
    held = yaml.safe_load((ROOT / "training" / "configs" / "base.yaml").read_text(encoding="utf-8"))["held_out"]
    examples = read_folder(ROOT / "data" / "train")
    others = [e for e in examples if e.fields["domain"] != DOMAIN]
    known = sample([e for e in others if e.fields["author"] not in held], "all", SENTENCES, 0)
    (HOME / "data").mkdir(parents=True, exist_ok=True)
    write_rows(HOME / "data" / "known.jsonl", (e.to_dict() for e in [*known, *(e for e in others if e.fields["author"] in held)]))
    own = [e for e in examples if e.fields["domain"] == DOMAIN and e.fields["author"] not in held]
    tests = lambda e: int(hashlib.sha256(str(e.fields.get("call_id") or e.fields["author"]).encode()).hexdigest(), 16) % 5 < 2  # noqa: E731
    return known, [e for e in own if not tests(e)], [e for e in own if tests(e)]


def parent() -> Path:
    work, sets = HOME / "parent", {"data": HOME / "data", "epochs": EPOCHS}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "training",
            "--work",
            work,
            "--until",
            "export",
            *(a for k, v in sets.items() for a in ("--set", f"{k}={v}")),
        ],
        check=True,
        cwd=ROOT,
    )
    config = yaml.safe_load((ROOT / "training" / "configs" / "base.yaml").read_text(encoding="utf-8"))
    sealed = evaluate.seal(
        config, work / "exported", work / "lexical", work / "calibrated", work / "sealed", card="Parent of scripts/new_customer.py.\n"
    )
    return HOME / "models" / registry.promote(sealed, HOME / "models")


def retrain(name: str, picked: list[Example]) -> dict[str, Any]:
    """ "seconds", and for "test" (the domain) and "gold" what comparison.json has."""
    write_rows(HOME / f"{name}.jsonl", (e.to_dict() for e in picked))
    config = yaml.safe_load((ROOT / "training" / "configs" / "retrain.yaml").read_text(encoding="utf-8"))
    (HOME / "retrain.yaml").write_text(yaml.safe_dump({**config, "data": str(HOME / "data")}), encoding="utf-8")
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "training.retrain", "--data", HOME / f"{name}.jsonl", "--test", HOME / "test.jsonl", "--config", HOME / "retrain.yaml",
                           "--models", HOME / "models", "--work", HOME / name], cwd=ROOT, check=False)  # fmt: skip
    found: dict[str, Any] = {"seconds": time.monotonic() - start}
    for part in ("test", "gold"):
        found[part] = json.loads((HOME / name / "reports" / part / "comparison.json").read_text(encoding="utf-8"))
    return found


def main() -> None:
    known, pool, test = split()
    write_rows(HOME / "test.jsonl", (e.to_dict() for e in test))
    classifier = Classifier.load(parent())
    counts = dict.fromkeys(NAMES, 0)
    texts = [e.text for e in pool]
    picked = [pool[i] for i, _ in select(texts, classifier.predict_proba(texts), BUDGET, counts=counts)]
    draw = random.Random(0).sample
    chosen = {"picked by `svcnorm data select`": ("picked", picked), "picked at random": ("random", draw(pool, BUDGET)),
              "none: as many that the parent knows": ("known", draw(known, BUDGET))}  # fmt: skip
    rows = []
    for title, (name, examples) in chosen.items():
        found = retrain(name, examples)
        for part, what in (("test", f"{DOMAIN}, {len(test)} held-out sentences"), ("gold", "data/gold")):
            f, gates = found[part]["figures"], found[part]["gates"]
            worse = [n for n in NAMES if f[n]["interval"] and f[n]["interval"][1] < 0]
            failed = [g["figure"] for g in gates if not g["passed"]]
            first = [", ".join(worse) or "none", ", ".join(failed) or f"none of {len(gates)}", f"{found['seconds'] / 60:.1f}"]
            rows += [[title, what, k, percent(f[k]["old"]), percent(f[k]["new"]), between(f[k]["interval"]), *(first if k == "macro_f1" else [""] * 3)]
                     for k in ("macro_f1", "micro_f1", "taboo_precision", "taboo_recall")]  # fmt: skip
    text = "\n".join([
        "# A new customer\n", f"Written by `make new-customer`: the parent knows {SENTENCES:,} sentences of the other domains ({EPOCHS} epochs), the customer is {DOMAIN}; {BUDGET} of its {len(pool):,} unlabelled sentences are labelled,",
        "then `python -m training.retrain` with its defaults. In percent; the interval is that of the difference (paired bootstrap, 95 %), the labels those whose interval lies below zero.",
        "Replay and the linear half know the parent's sentences and no others; the last rows have 300 of those in place of the customer's, so what they gain comes of training longer.",
        "A gate that fails keeps a model from being promoted: it fails where the whole interval lies below what svcnorm/gates.yaml allows.\n",
        table(["300 sentences", "scored on", "figure", "before", "after", "difference", "labels that fell", "gates that failed", "minutes"], rows),
    ])  # fmt: skip
    (ROOT / "docs" / "new-customer.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
