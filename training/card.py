"""The model card: Markdown and a calibration plot, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from svcnorm.bundle import Bundle
from svcnorm.evaluation import reliability
from svcnorm.labels import LABELS
from svcnorm.report import percent

BUILT = "build/encoder"  # what training/base.py makes


def between(interval: Iterable[float] | None) -> str:
    return "–".join(f"{100 * x:.0f}" for x in interval) if interval else ""


def table(header: str, rows: Iterable[Iterable[Any]]) -> list[str]:
    columns = header.split(" | ")
    return [f"| {header} |", "|" + "---|" * len(columns), *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def reliability_svg(p: np.ndarray, true: np.ndarray) -> str:
    """A calibration plot: where the dots lie on the diagonal, probabilities mean what they say."""
    dots = [(40 + 300 * x, 310 - 300 * y, n) for x, y, n in reliability(p, true, 10)]
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#4477aa"><title>{n} decisions</title></circle>' for x, y, n in dots)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in dots)
    ticks = "".join(
        f'<text x="{40 + 300 * t:.0f}" y="328" text-anchor="middle">{t:g}</text><text x="34" y="{314 - 300 * t:.0f}" text-anchor="end">{t:g}</text>'
        for t in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 350" font-family="sans-serif" font-size="12"><rect width="360" height="350" fill="#fff"/>'
        '<path d="M40 10V310H340" fill="none" stroke="#888"/><path d="M40 310L340 10" stroke="#bbb" stroke-dasharray="4"/>'
        f'<polyline points="{path}" fill="none" stroke="#4477aa"/>{marks}{ticks}'
        '<text x="190" y="345" text-anchor="middle">probability</text><text x="12" y="160" transform="rotate(-90 12 160)" text-anchor="middle">share that is true</text></svg>\n'
    )


def card(bundle: Bundle, facts: dict[str, Any], found: dict[str, Any], ranges: dict[str, Any], pairs: dict[str, dict[str, int]]) -> str:
    """`found`: evaluations by way and part (`training.evaluate.results`); `ranges`: bootstrap intervals; `pairs`: of `check_cases`."""
    parts, config, measured = found["both"], bundle.manifest["config"], bundle.measured
    base = "intfloat/multilingual-e5-small (MIT), vocabulary cut to Chinese" if config["base_model"] == BUILT else config["base_model"]
    gold, alarms = parts["gold"], measured["any taboo"]
    layers = config["layers"]
    teachers = " and ".join(config["teachers"])
    taught = f"Half of what it learns is the labels, half the mean of the logits of {teachers}. " if teachers else ""
    epochs = f"{config['epochs']} epochs, learning rate {config['learning_rate']:g} (× {config['layer_decay']:g} a layer downwards), ASR noise on {percent(config['noise'])} % of the sentences, "
    epochs += f"{percent(config['subword_dropout'])} % of the pieces cut into characters, seed {config['seed']}; {facts['train_seconds'] / 60:.0f} minutes on two cores. "
    others = [f"{name}{f' ({minutes:.0f} minutes)' if minutes else ''}" for name, minutes in facts["averaged"].items()]
    averaged = (
        f"Its weights are the mean of {'those trained so' if config['epochs'] else 'the weights of the base'} and of {', '.join(others)} (docs/log.md). "
        if others
        else ""
    )
    kept = f"its lowest {layers} layers" if isinstance(layers, int) else f"its layers {layers}" if layers else "all its layers"
    row = lambda e: (e["sentences"], percent(e["micro_f1"]), percent(e["macro_f1"]), percent(e["taboo"]["precision"]), percent(e["taboo"]["recall"]), percent(e["exact_match"]))  # fmt: skip  # noqa: E731
    differing = [r for r in pairs.values() if not r["same_labels"]]
    same = [r for r in pairs.values() if r["same_labels"]]
    rate = lambda rows, key: percent(sum(r[key] for r in rows) / n) if (n := sum(r["cases"] for r in rows)) else "–"  # noqa: E731
    return "\n".join([
        f"# {bundle.id}", "",
        "Labels sentences of Chinese call-centre agents with the 31 labels of svcnorm (docs/labels.md). Written by `python -m training` (training/card.py); no number is typed in. Percent; intervals are 95 % bootstrap over calls.", "",
        "## Recipe", "",
        f"Base: {base}, {kept}{', and one layer that starts as mean pooling' if config['pooling_layer'] else ''}. "
        f"{facts['train']} sentences of data/train (written for this project by many authors, each labelled twice: data/README.md) trained, {facts['held']} of other authors "
        f"({', '.join(config['held_out'])}) were held back for calibration, thresholds and every choice. "
        f"{epochs if config['epochs'] else ''}{averaged}"
        f"{taught}The whole configuration is in manifest.json. int8.", "",
        f"Beside the network a logistic regression for each label on {config['lexical_size']} hashed n-grams of characters and of syllables and pairs of characters ({bundle.path.joinpath('lexical.npz').stat().st_size / 1e6:.1f} MB, weight {config['lexical_weight']:g}; svcnorm/lexical.py), "
        f"fitted to the same sentences: the two logits are added. The bundle has {facts['bundle_megabytes']} MB.", "",
        "## On data/gold (never used to train, tune or choose)", "",
        f"By the public API with the rules of the base norm: micro-F1 {percent(gold['micro_f1'])} ({between(ranges.get('micro_f1'))}), macro-F1 {percent(gold['macro_f1'])} ({between(ranges.get('macro_f1'))}); "
        f"taboo or not: precision {percent(gold['taboo']['precision'])} ({between(ranges.get('taboo_precision'))}), recall {percent(gold['taboo']['recall'])} ({between(ranges.get('taboo_recall'))}).", "",
        *table("decided by | precision | recall | micro-F1 | macro-F1", ((way, percent(e["gold"]["micro"]["precision"]), percent(e["gold"]["micro"]["recall"]), percent(e["gold"]["micro_f1"]), percent(e["gold"]["macro_f1"])) for way, e in found.items())),
        *table("part | sentences | micro-F1 | macro-F1 | taboo precision | taboo recall | exact", ((name, *row(e)) for name, e in parts.items())),
        "## Per label", "",
        "Threshold, and precision, recall and false alarms of the model alone on the held-back authors (each author by thresholds of the others); then on gold, with rules.", "",
        *table("label | 中文 | threshold | held: precision | recall | false alarms in 1,000 | gold: precision | recall | F1 | 95 % | support",
               ((x.name, x.zh, f"{cut:.2f}", percent(measured[x.name]["precision"]), percent(measured[x.name]["recall"]), measured[x.name]["false_alarms_per_1000"],
                 percent(c["precision"]), percent(c["recall"]), percent(c["f1"]), between(ranges.get(x.name)), c["support"])
                for x, cut in zip(LABELS, bundle.calibration.threshold, strict=True) for c in (gold["labels"][x.name],))),
        f"Taboo or not, on the held-back authors: precision {percent(alarms['precision'])}, recall {percent(alarms['recall'])}; in 1,000 sentences of their whole calls (the natural label mix) "
        f"{alarms['false_alarms_per_1000']} false alarms.", "",
        "## Calibration", "",
        f"Expected calibration error (15 bins, all labels): {facts['ece_gold']} on gold, {facts['ece']} on the held-back authors (each by a calibration of the others); the worst single label on gold {facts['ece_worst_label']}.", "",
        "![calibration on gold](reliability.svg)", "",
        "## Contrast pairs (data/contrast.jsonl)", "",
        f"Both sides wholly right: {rate(differing, 'right')} % of the pairs whose labels differ; the difference right: {rate(differing, 'passed')} %. Pairs whose labels are the same: unchanged {rate(same, 'passed')} %.", "",
        *table("capability | pairs | both sides right | difference right, or unchanged", ((name, r["cases"], rate([r], "right"), rate([r], "passed")) for name, r in pairs.items())),
        "## int8", "",
        f"On gold, model alone: micro-F1 {percent(facts['int8_micro_f1'])} in int8, {percent(facts['float_micro_f1'])} in float; {100 * facts['int8_flips']:.2f} % of the label decisions differ, {percent(facts['int8_flips_per_label'])} % as many as there are labels ([flips.tsv](flips.tsv) lists them).", "",
        "## Limits", "",
        "Written sentences by many authors, not recorded calls; authors, annotators and adjudicators are of one kind, so the bar of human agreement is an upper bound. A sentence is judged alone, without what was said before. "
        "Irony and contempt in courteous words are what it misses most: see the taboos' recall above. Labels are functions by the guide; whether one is allowed is for the norm to say. A taboo is a reason to listen to the call, not a verdict.", "",
        "## Cite, retrain", "",
        f"svcnorm, model {bundle.id}, data digest {facts['data_digest'][:16]} (CITATION.cff). `make train CONFIG=training/configs/base.yaml` trains it again; `training/README.md` says how to add sentences of your own.", "",
    ])  # fmt: skip
