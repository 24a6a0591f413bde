"""Stage `evaluate`: seals the exported model as a bundle, measures it through the public API on data/gold, and writes the model card.

This is the only stage that reads data/gold, and nothing that it finds flows back: no earlier stage reads its output.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import svcnorm
from svcnorm.bundle import open_bundle, sha256_file, write_manifest
from svcnorm.classifier import Classifier
from svcnorm.evaluation import evaluate
from svcnorm.examples import Example
from svcnorm.labels import LABELS
from svcnorm.norms import Norm
from training.calibrate import expected_calibration_error
from training.prepare import read_folder, targets
from training.stage import stage

RULES = Path(svcnorm.__file__).parent / "rulebooks" / "base.yaml"


def parts_of(examples: list[Example]) -> dict[str, list[int]]:
    """Indices of the held-out sentences as a whole, of those of whole calls, of those written for rare labels and near misses, and of each kind."""
    tests = {"gold": lambda e: True, "calls": lambda e: "call_id" in e.fields, "targeted": lambda e: "call_id" not in e.fields}
    for kind in sorted({e.fields.get("kind", "") for e in examples}):
        tests[f"kind {kind}"] = lambda e, kind=kind: e.fields.get("kind", "") == kind
    parts = {name: [i for i, e in enumerate(examples) if test(e)] for name, test in tests.items()}
    return {name: part for name, part in parts.items() if part}


def results(bundle: Path, gold: list[Example]) -> dict[str, Any]:
    """Evaluations of rules alone, model alone and both, on each part of gold; each example is one sentence, as it was for its annotators."""
    base = Norm.load("base")
    both = Classifier.load(bundle, norm=base)
    bare = Classifier(both.scorer, Norm(base.name, base.title, base.source, None, base.judgements, (), ()))
    ways = {"rules": Classifier.from_rules(norm=base), "model": bare, "both": both}
    found = {}
    for way, classifier in ways.items():
        predicted = [p.labels for p in classifier.predict_many((e.text for e in gold), split=False)]
        found[way] = {
            name: evaluate([predicted[i] for i in part], [gold[i].labels for i in part]).to_dict() for name, part in parts_of(gold).items()
        }
    return found


def percent(x: float | None) -> str:
    return "–" if x is None else f"{100 * x:.1f}"


def card(bundle_id: str, config: dict, facts: dict[str, Any], found: dict[str, Any], calibration) -> str:
    """The model card, in Markdown, from the run's own numbers."""
    parts = found["both"]
    lines = [
        f"# {bundle_id}", "",
        "Labels sentences of Chinese call-centre agents with the 31 labels of svcnorm (docs/labels.md). Written by `training/evaluate.py`; no number is typed in.", "",
        "## Recipe", "",
        f"Base: the lowest {config['layers']} layers of intfloat/multilingual-e5-small (MIT), vocabulary cut to Chinese, and one layer that starts as mean pooling; "
        f"{config['epochs']} epochs at learning rate {config['learning_rate']}, seed {config['seed']}. "
        f"Data: {facts['train']} sentences trained, {facts['held']} of other authors held back for calibration and thresholds. int8, {facts['megabytes']} MB. "
        f"Expected calibration error: {facts['ece_gold']} on data/gold, {facts['ece']} on the held-back part that it was fitted to.", "",
        "## On data/gold (never used to train, tune or choose)", "",
        "| part | sentences | micro-F1 | macro-F1 | taboo precision | taboo recall | exact |", "|---|---|---|---|---|---|---|",
        *(f"| {name} | {e['sentences']} | {percent(e['micro_f1'])} | {percent(e['macro_f1'])} | {percent(e['taboo']['precision'])} | {percent(e['taboo']['recall'])} | {percent(e['exact_match'])} |" for name, e in parts.items()),
        "", "| decided by | precision | recall | micro-F1 | macro-F1 |", "|---|---|---|---|---|",
        *(f"| {way} | {percent(e['gold']['micro']['precision'])} | {percent(e['gold']['micro']['recall'])} | {percent(e['gold']['micro_f1'])} | {percent(e['gold']['macro_f1'])} |" for way, e in found.items()),
        "", "## Per label", "", "| label | 中文 | threshold | precision | recall | F1 | support |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for label, cut in zip(LABELS, calibration.threshold, strict=True):
        c = parts["gold"]["labels"][label.name]
        lines.append(
            f"| {label.name} | {label.zh} | {cut:.2f} | {percent(c['precision'])} | {percent(c['recall'])} | {percent(c['f1'])} | {c['support']} |"
        )
    lines += ["", "## Limits", "",
              "Written sentences by many authors, not recorded calls. A sentence is judged alone. Labels are functions by the guide; whether one is allowed is for the norm to say.", ""]  # fmt: skip
    return "\n".join(lines)


def run(config: dict, prepared: Path, calibrated: Path, exported: Path, out: Path, gold: Path) -> None:
    with stage(
        out, inputs=config, code=[Path(__file__)], files=[exported / "model.onnx", calibrated / "calibration.json", gold, RULES]
    ) as done:
        if done is None:
            return
        facts: dict[str, Any] = {}
        for folder in (prepared, calibrated, exported):
            facts |= json.loads((folder / "done.json").read_text(encoding="utf-8"))
        for source in (exported / "model.onnx", exported / "tokenizer.json", calibrated / "calibration.json"):
            shutil.copy(source, out / source.name)
        bundle_id = f"{config['name']}-{sha256_file(out / 'model.onnx')[:8]}"
        provenance = {
            "base_model": config["base_model"],
            "config": config,
            "prepared_digest": json.loads((prepared / "done.json").read_text(encoding="utf-8"))["fingerprint"],
        }
        seal = lambda: write_manifest(out, id=bundle_id, max_tokens=config["max_tokens"], **provenance)  # noqa: E731
        (out / "README.md").write_text("", encoding="utf-8")
        seal()
        examples = read_folder(gold)
        found = results(out, examples)
        (out / "evaluation.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        p = Classifier.load(out).predict_proba([e.text for e in examples])
        facts["ece_gold"] = round(expected_calibration_error(p, targets(examples)), 4)
        (out / "README.md").write_text(card(bundle_id, config, facts, found, open_bundle(out).calibration), encoding="utf-8")
        seal()
        done.update(id=bundle_id, **parity(exported, examples, open_bundle(out)),
                    **{f"{way}_{k}": round(e["gold"][k], 4) for way, e in found.items() for k in ("micro_f1", "macro_f1")})  # fmt: skip


def parity(exported: Path, examples: list[Example], bundle) -> dict[str, float]:
    """The int8 model against the float one on the same sentences: micro-F1 of both, and the share of label decisions that flip."""
    from svcnorm.text import normalise
    from training.export import logits_of

    texts, true = [normalise(e.text) for e in examples], targets(examples) > 0
    decided = {}
    for name in ("float", "model"):
        logits = logits_of(exported / f"{name}.onnx", exported / "tokenizer.json", texts, bundle.max_tokens)
        decided[name] = bundle.calibration.probabilities(logits) >= bundle.calibration.threshold
    f1 = {name: float(2 * (d & true).sum() / max(d.sum() + true.sum(), 1)) for name, d in decided.items()}
    flips = float(np.mean(decided["float"] != decided["model"]) / max(np.mean(decided["float"]), 1e-9))
    return {"float_micro_f1": round(f1["float"], 4), "int8_micro_f1": round(f1["model"], 4), "int8_flips_per_label": round(flips, 4)}
