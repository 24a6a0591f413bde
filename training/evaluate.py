"""Stage `evaluate`: seals the exported model as a bundle, measures it through the public API on data/gold, and writes the model card.

This is the only stage that reads data/gold, and nothing that it finds flows back: no earlier stage reads its output.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import load_from_disk

import svcnorm
from svcnorm.bundle import FILES, Bundle, open_bundle, sha256_file, write_manifest
from svcnorm.checks import check_cases, read_cases
from svcnorm.classifier import Classifier, ways
from svcnorm.evaluation import evaluate, expected_calibration_error, intervals
from svcnorm.examples import Example
from svcnorm.labels import NAMES
from svcnorm.lexical import Lexical
from svcnorm.text import normalise
from training import baseline, card
from training.export import logits_of
from training.lexical import FILE
from training.metrics import label_sets, multilabel_f1
from training.prepare import read_folder, targets
from training.stage import stage

RULES = Path(svcnorm.__file__).parent / "rulebooks" / "base.yaml"


def parts_of(examples: list[Example]) -> dict[str, list[int]]:
    """Indices of the held-out sentences as a whole, of those of whole calls, of those written for rare labels and near misses, and of slices."""
    tests = {"gold": lambda e: True, "calls": lambda e: "call_id" in e.fields, "targeted": lambda e: "call_id" not in e.fields}
    for kind in sorted({e.fields.get("kind", "") for e in examples}):
        tests[f"kind {kind}"] = lambda e, kind=kind: e.fields.get("kind", "") == kind
    for name, low, high in (("to 10", 0, 10), ("11 to 30", 10, 30), ("over 30", 30, 10**9)):
        tests[f"{name} characters"] = lambda e, low=low, high=high: low < len(e.text) <= high
    for domain in sorted({e.fields.get("domain", "") for e in examples}):
        tests[f"domain {domain}"] = lambda e, domain=domain: e.fields.get("domain", "") == domain
    parts = {name: [i for i, e in enumerate(examples) if test(e)] for name, test in tests.items()}
    return {name: part for name, part in parts.items() if part}


def by_part(gold: list[Example], predicted: list[Iterable[str]]) -> dict[str, Any]:
    return {name: evaluate([predicted[i] for i in part], [gold[i].labels for i in part]).to_dict() for name, part in parts_of(gold).items()}


def results(classifier: Classifier, gold: list[Example]) -> tuple[dict[str, Any], list[Iterable[str]]]:
    """Evaluations of rules alone, model alone and both, on each part of gold, and the label sets by both.

    Each example is one sentence, as it was for its annotators.
    """
    predicted = {
        way: [p.labels for p in one.predict_many((e.text for e in gold), split=False)]
        for way, one in ways(classifier.scorer, classifier.norm).items()
    }
    return {way: by_part(gold, labels) for way, labels in predicted.items()}, predicted["both"]


def fill(name: str, exported: Path, lexical: Path, calibrated: Path, out: Path) -> str:
    """Puts a bundle's files, but the card and the manifest, and its float checkpoint into `out`. Returns its id, which says what decides."""
    for source in (exported / "model.onnx", exported / "tokenizer.json", lexical / FILE, calibrated / "calibration.json"):
        shutil.copy(source, out / source.name)
    shutil.copytree(exported / "checkpoint", out / "checkpoint", dirs_exist_ok=True)
    digests = "".join(sha256_file(out / part) for part in ("model.onnx", FILE, "calibration.json"))
    return f"{name}-{hashlib.sha256(digests.encode()).hexdigest()[:8]}"


def seal(config: dict, exported: Path, lexical: Path, calibrated: Path, out: Path, *, card: str, **facts: Any) -> Path:
    """A bundle without the measurements of `run`: for one that is judged elsewhere. Returns `out`."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    bundle_id = fill(config["name"], exported, lexical, calibrated, out)
    (out / "README.md").write_text(f"# {bundle_id}\n\n{card}", encoding="utf-8")
    write_manifest(out, id=bundle_id, max_tokens=config["max_tokens"], base_model=config["base_model"], config=config, **facts)
    return out


def run(config: dict, prepared: Path, trained: Path, lexical: Path, calibrated: Path, exported: Path, out: Path) -> None:
    gold, pairs_file = Path(config["gold"]), Path(config["contrast"])
    files = [prepared / "dataset", exported / "model.onnx", lexical / FILE, calibrated / "calibration.json", gold, pairs_file, RULES]
    with stage(out, inputs=config, code=[Path(__file__), Path(card.__file__), Path(baseline.__file__)], files=files) as done:
        if done is None:
            return
        before = {f: json.loads((f / "done.json").read_text(encoding="utf-8")) for f in (prepared, trained, lexical, calibrated, exported)}
        facts: dict[str, Any] = {k: v for content in before.values() for k, v in content.items()}
        facts |= {"train_seconds": before[trained]["seconds"], "data_digest": before[prepared]["fingerprint"]}
        facts_of_origin = {"base_model": config["base_model"], "config": config, "prepared_digest": facts["data_digest"]}
        bundle_id = fill(config["name"], exported, lexical, calibrated, out)
        seal = partial(write_manifest, out, id=bundle_id, max_tokens=config["max_tokens"], **facts_of_origin)
        (out / "README.md").write_text("", encoding="utf-8")
        seal()
        bundle, classifier, examples = open_bundle(out), Classifier.load(out, norm="base"), read_folder(gold)
        texts, true = [e.text for e in examples], [e.labels for e in examples]
        found, predicted = results(classifier, examples)
        data = load_from_disk(str(prepared / "dataset"), keep_in_memory=True)
        by_baseline = baseline.tfidf_linear(data["train"].to_dict(), data["held"].to_dict(), [normalise(t) for t in texts])
        found["tf-idf"] = by_part(examples, label_sets(by_baseline))
        (out / "evaluation.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

        p, t = classifier.predict_proba(texts), targets(examples)
        facts["ece_gold"] = round(expected_calibration_error(p, t), 4)
        facts["ece_worst_label"] = round(max(expected_calibration_error(a, b) for a, b in zip(p.T, t.T, strict=True)), 4)
        (out / "reliability.svg").write_text(card.reliability_svg(p, t), encoding="utf-8")
        facts["bundle_megabytes"] = round(sum((out / name).stat().st_size for name in FILES) / 1e6, 1)
        facts |= parity(exported, examples, bundle, out / "flips.tsv")
        ranges = intervals(predicted, true, [e.fields.get("call_id", e.id) for e in examples])
        pairs = check_cases(read_cases(pairs_file), lambda t: (s.labels for s in classifier.predict_many(t, split=False)))
        (out / "README.md").write_text(card.card(bundle, facts, found, ranges, pairs), encoding="utf-8")
        seal()
        done.update(id=bundle_id, **{k: v for k, v in facts.items() if k.startswith(("float_", "int8_", "ece_"))},
                    **{f"{way}_{k}": round(e["gold"][k], 4) for way, e in found.items() for k in ("micro_f1", "macro_f1")})  # fmt: skip


def parity(exported: Path, examples: list[Example], bundle: Bundle, listed: Path) -> dict[str, float]:
    """The int8 model against the float one on the same sentences: micro-F1 of both, and the label decisions that flip, which `listed` gets."""
    texts, true = [normalise(e.text) for e in examples], targets(examples) > 0
    linear = Lexical.load(bundle.file("lexical.npz")).logits(texts)
    p = {
        name: bundle.calibration.probabilities(
            logits_of(exported / f"{name}.onnx", exported / "tokenizer.json", texts, bundle.max_tokens) + linear
        )
        for name in ("float", "model")
    }
    decided = {name: q >= bundle.calibration.threshold for name, q in p.items()}
    f1 = {name: multilabel_f1(d, true)["micro_f1"] for name, d in decided.items()}
    flips = np.argwhere(decided["float"] != decided["model"])
    lines = [
        f"{examples[i].id}\t{NAMES[j]}\t{p['float'][i, j]:.3f}\t{p['model'][i, j]:.3f}\t{bundle.calibration.threshold[j]:.3f}"
        for i, j in flips
    ]
    listed.write_text("\n".join(["id\tlabel\tfloat\tint8\tthreshold", *lines]) + "\n", encoding="utf-8")
    return {"float_micro_f1": round(f1["float"], 4), "int8_micro_f1": round(f1["model"], 4), "int8_flips": round(len(flips) / true.size, 5),
            "int8_flips_per_label": round(len(flips) / max(decided["float"].sum(), 1), 4)}  # fmt: skip
