"""Retraining on newly labelled calls: new sentences and a replay of the shipped corpus, from the shipped checkpoint; judged by gates, then promoted.

    python -m training.retrain --data NEW.jsonl --test HELD_OUT.jsonl [--promote]

Stages as in `python -m training`, each in a folder of its own under --work. A label that nobody has looked for in a sentence counts neither
way: labels of one's own (SVCNORM_LABELS) in the shipped corpus, and those without a verdict in rows that have the field `reviewed`.
Exit codes: 0 all gates passed (and promoted, if asked for); 1 a gate failed, nothing was promoted; 2 a problem with the input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from datasets import Dataset, DatasetDict

import svcnorm
from svcnorm import assessment, datacheck, registry
from svcnorm.bundle import locate, models_dir, open_bundle, sha256_file
from svcnorm.classifier import Classifier
from svcnorm.errors import DataError, SvcnormError
from svcnorm.examples import Example, read_examples
from svcnorm.labels import NAMES, SHIPPED, ordered
from svcnorm.privacy import mask
from svcnorm.report import between, percent, write_evaluation
from training import calibrate, evaluate, export, lexical, prepare, promote, train
from training.stage import fingerprint, stage

HELD_SHARE = 5  # of the new calls, one in so many is held back: with the shipped held-back authors it sets the thresholds


def read_new(files: Sequence[Path], known: Sequence[Example], report: Any = print) -> list[Example]:
    """The new sentences with personal data masked. Problems are reported; leakage into `known`, which will test the model, is an error."""
    problems: list[str] = []
    examples = [replace(e, text=mask(e.text)) for path in files for e in read_examples(path, problems.append)]
    if not examples:
        raise DataError(f"{', '.join(map(str, files))}: no labelled sentence to train on")
    found = datacheck.check(examples, known)
    if pairs := found["leakage"]:
        shown = "; ".join(f"{a} is {b}" for a, b in pairs[:10])
        raise DataError(
            f"{len(pairs)} new sentences stand in the data that tests, alike or nearly so ({shown}); take them out of one of the two"
        )
    for problem in problems:
        report(f"skipped: {problem}")
    if found["conflicts"]:
        report(f"{len(found['conflicts'])} texts stand there twice with different labels; `svcnorm data check` lists them")
    return examples


def held_back(example: Example) -> bool:
    """One in `HELD_SHARE` of the new calls, or of the sentences without one, the same in each run."""
    unit = str(example.fields.get("call_id") or datacheck.bare(example.text))
    return int(hashlib.sha256(unit.encode()).hexdigest(), 16) % HELD_SHARE == 0


def known_targets(examples: Sequence[Example], names: Sequence[str] = NAMES) -> np.ndarray:
    """Labels as 0, 1, or NaN where nobody looked: outside `names`, and outside the row's field `reviewed`. Shape: (n, len(LABELS))."""
    targets = prepare.targets(examples)
    for row, e in zip(targets, examples, strict=True):
        looked = set(ordered(e.fields["reviewed"])) if "reviewed" in e.fields else set(names)
        row[[name not in looked for name in NAMES]] = np.nan
    return targets


def dataset(new: list[Example], shipped: list[Example]) -> Dataset:
    """Rows as `prepare.to_dataset` has them; the shipped ones know nothing of labels of one's own."""
    own = [replace(e, fields={**e.fields, "author": "new"}) for e in new]
    made = prepare.to_dataset([*own, *shipped])
    labels = np.concatenate([known_targets(own), known_targets(shipped, [x.name for x in SHIPPED])])
    return made.remove_columns("labels").add_column("labels", labels.tolist())


def assemble(config: dict, new: list[Example], files: Sequence[Path], out: Path) -> None:
    """Writes `out`/network and `out`/linear, each with a dataset: the network sees a replay of the shipped corpus, the linear half all of it."""
    folder = Path(config["data"])
    inputs = {k: config[k] for k in ("held_out", "replay", "repeat", "seed")}
    with stage(out, inputs=inputs, code=[Path(__file__), Path(prepare.__file__)], files=[folder, *files]) as done:
        if done is None:
            return
        shipped = prepare.read_folder(folder)
        held = [e for e in shipped if e.fields["author"] in config["held_out"]]
        rest = [e for e in shipped if e.fields["author"] not in config["held_out"]]
        trains, tests = [e for e in new if not held_back(e)] * config["repeat"], [e for e in new if held_back(e)]
        back = dataset(sorted(tests, key=lambda e: len(e.text)), sorted(held, key=lambda e: len(e.text)))
        replayed = prepare.sample(rest, "all", min(config["replay"], len(rest)), config["seed"])
        for name, old in (("network", replayed), ("linear", rest)):
            DatasetDict({"train": dataset(trains, old), "held": back}).save_to_disk(str(out / name / "dataset"))
        done.update(new=len(new), new_held=len(tests), replayed=len(replayed), train=len(trains) + len(replayed))


def judge(old: Classifier, new: Classifier, tests: dict[str, Path], gates: list[dict], out: Path) -> list[dict[str, Any]]:
    """Old against new on each data set; reports go to `out`/<name>. Returns the gates, each with "on" and "passed"."""
    rows = []
    for name, path in tests.items():
        examples = prepare.read_folder(path) if path.is_dir() else list(read_examples(path))
        origin = {"path": str(path), "sha256": fingerprint(None, [path]) if path.is_dir() else sha256_file(path), "skipped": 0}
        _, comparison = write_evaluation(out / name, examples, new, old, gates=gates, origin=origin)
        show(name, {k: f for k, f in comparison["figures"].items() if k not in NAMES})
        rows += [{"on": name, **g} for g in comparison["gates"]]
    return rows


def show(name: str, figures: dict[str, dict[str, Any]]) -> None:
    for k, f in figures.items():
        print(
            f"{name:9} {k:16} {percent(f['old'])} -> {percent(f['new'])}   difference {percent(f['difference'])}, 95 % {between(f['interval'])}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="newly labelled sentences, JSONL (svcnorm data import writes it)"
    )
    parser.add_argument(
        "--test", type=Path, help="labelled sentences of yours that never train: the gates judge the new model on them, and on data/gold"
    )
    parser.add_argument("--parent", help="the bundle to start from and to beat; default: the current one")
    parser.add_argument("--config", type=Path, default=Path("training/configs/retrain.yaml"))
    parser.add_argument("--work", type=Path, default=Path("build/retrain"))
    parser.add_argument("--models", type=Path, default=models_dir())
    parser.add_argument("--gates", type=Path, default=Path(svcnorm.__file__).parent / "gates.yaml")
    parser.add_argument("--promote", action="store_true", help="make the new bundle current if all gates pass")
    args = parser.parse_args()
    try:
        return run(args)
    except SvcnormError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


def run(args: argparse.Namespace) -> int:
    config = yaml.safe_load(args.config.read_text(encoding="utf-8"))
    gates = assessment.read_gates(args.gates)
    parent = locate(args.parent) if args.parent else args.models / str(registry.current(args.models))
    tests = {**({"test": args.test} if args.test else {}), "gold": Path(config["gold"])}
    known = [e for path in tests.values() for e in (prepare.read_folder(path) if path.is_dir() else read_examples(path))]
    new, work = read_new(args.data, known), args.work
    assemble(config, new, args.data, work / "prepared")
    train.run(config, config["base_model"] or parent / "checkpoint", work / "prepared" / "network", work / "trained")
    lexical.run(config, work / "prepared" / "linear", work / "lexical")
    calibrate.run(config, work / "prepared" / "network", work / "trained", work / "lexical", work / "calibrated", open_bundle(parent))
    export.run(work / "trained", work / "exported")
    digests = {str(path): sha256_file(path) for path in args.data}
    evaluated = evaluate.seal(config, work / "exported", work / "lexical", work / "calibrated", work / "evaluated",
                              card=f"Retrained from {parent.name} by training/retrain.py; the reports of its gates lie beside it.\n",
                              parent=parent.name, prepared_digest=json.loads((work / "prepared" / "done.json").read_text())["fingerprint"])  # fmt: skip
    rows = judge(Classifier.load(parent), Classifier.load(evaluated), tests, gates, work / "reports")
    failed = [f"{g['figure']} on {g['on']} ({', '.join(g['failed']) or 'no support'})" for g in rows if not g["passed"]]
    if failed:
        print(f"not promoted, gates failed: {'; '.join(failed)}; look at {work / 'reports'}")
        return 1
    print(f"all {len(rows)} gates passed: {evaluated}")
    if args.promote:
        print("current bundle:", promote.run(evaluated, args.models, new_data=digests, gates=rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
