"""A classifier measured on labelled sentences: the content of evaluation.json, the errors behind it, and old against new.

Needs the extra `[evaluate]`: curves, average precision and the exact test are scikit-learn's and SciPy's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from svcnorm.checks import judge_cases, read_cases, shipped_cases
from svcnorm.classifier import Classifier
from svcnorm.errors import DataError, optional
from svcnorm.evaluation import (
    TABOO,
    Evaluation,
    evaluate_matrix,
    expected_calibration_error,
    indicator,
    intervals,
    paired_intervals,
    reliability,
)
from svcnorm.examples import Example
from svcnorm.labels import NAMES, digest
from svcnorm.results import Prediction, Source

FORMAT = 1  # of evaluation.json; raised when a field changes its meaning or goes away
SOURCES: tuple[str, ...] = get_args(Source)
CURVE_POINTS = 50
SLICE_VALUES = (2, 40)  # a field of the data becomes a slice by itself if it has this many different values
FIGURES = ("micro_f1", "macro_f1", "taboo_precision", "taboo_recall", "label_f1", "contrast", *NAMES)  # what a gate can name
LENGTHS = ((10, "1–10"), (30, "11–30"), (10**9, "> 30"))


@dataclass(frozen=True, slots=True)
class Measured:
    """Labelled sentences and what a classifier made of them; each example is taken as one sentence, as its annotators took it."""

    examples: Sequence[Example]
    predictions: Sequence[Prediction]
    probabilities: NDArray[np.float32] | None
    """Calibrated, before rules and thresholds. Shape: (n, len(LABELS)); `None` where rules alone decided."""
    said: NDArray[np.bool_]
    true: NDArray[np.bool_]

    @property
    def groups(self) -> list[str]:
        """What the bootstrap draws: a call as a whole, else the sentence."""
        return [str(e.fields.get("call_id", f"#{i}")) for i, e in enumerate(self.examples)]

    @property
    def label_sets(self) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        return [p.labels for p in self.predictions], [e.labels for e in self.examples]


def measure(classifier: Classifier, examples: Iterable[Example]) -> Measured:
    """Label the sentences once. Raises `DataError` if there are none."""
    examples = list(examples)
    if not examples:
        raise DataError('no labelled sentence to evaluate on; a line looks like {"text": "您好", "labels": ["greeting"]}')
    pairs = list(classifier.scored_many((e.text for e in examples), split=False))
    p = None
    if classifier.scorer:
        p = np.stack([rows[0] if len(rows) else np.zeros(len(NAMES), np.float32) for _, rows in pairs])  # no letter, no sentence
    predictions = [prediction for prediction, _ in pairs]
    return Measured(examples, predictions, p, indicator(x.labels for x in predictions), indicator(e.labels for e in examples))


def describe(m: Measured, *, fields: Sequence[str] | None = None, repeats: int = 1000, seed: int = 0) -> dict[str, Any]:
    """The content of evaluation.json: plain numbers and label names, no text of the data.

    `fields`: fields of the data to slice by; `None`: each that has few different values. `repeats`: of the bootstrap. Figures without
    anything to divide by are `None`. Raises `DataError` for a field that no line has.
    """
    metrics = optional("sklearn.metrics", "evaluation needs scikit-learn; install svcnorm[evaluate]")
    overall = evaluate_matrix(m.said, m.true)
    ranges = intervals(*m.label_sets, m.groups, repeats=repeats, seed=seed)
    content = overall.to_dict()
    rows, sources = content.pop("labels"), _sources(m)
    for i, name in enumerate(NAMES):
        rows[name] |= {"interval": ranges.get(name), "sources": sources[name]}
        if m.probabilities is not None:
            rows[name] |= _curves(metrics, m.probabilities[:, i], m.true[:, i])
    content["taboo"] |= {"precision_interval": ranges.get("taboo_precision"), "recall_interval": ranges.get("taboo_recall")}
    if m.probabilities is not None:
        content["taboo"] |= _curves(metrics, m.probabilities[:, TABOO].max(axis=1), m.true[:, TABOO].any(axis=1))
        content["reliability"] = reliability(m.probabilities, m.true, 15)
        content["ece"] = expected_calibration_error(m.probabilities, m.true)
    first = m.predictions[0]
    return {
        "format": FORMAT, "model": first.model, "norm": first.norm, "labels_digest": digest(),
        **content, "micro_f1_interval": ranges.get("micro_f1"), "macro_f1_interval": ranges.get("macro_f1"),
        "labels": rows, "sources": {k: {n: sum(by[k][n] for by in sources.values()) for n in ("given", "right")} for k in SOURCES}, "review": _review(m), "confusions": _confusions(m), "slices": _slices(m, fields),
    }  # fmt: skip


def _curves(metrics: Any, p: NDArray, true: NDArray) -> dict[str, Any]:
    """Average precision, precision and recall by threshold (thinned to about 50 points), calibration; without support there is no curve."""
    found: dict[str, Any] = {"reliability": reliability(p, true), "ece": expected_calibration_error(p, true), "average_precision": None,
                             "curve": [], "recall_at_precision_95": None}  # fmt: skip
    if true.any():
        precision, recall, threshold = metrics.precision_recall_curve(true, p)
        wanted = np.linspace(1, 0, CURVE_POINTS)  # evenly spaced in recall: the thresholds crowd where there is nothing to find
        keep = np.unique(np.searchsorted(-recall[:-1], -wanted).clip(max=len(threshold) - 1))
        found["average_precision"] = float(metrics.average_precision_score(true, p))
        found["curve"] = [[round(float(x), 4) for x in point] for point in zip(threshold[keep], precision[keep], recall[keep], strict=True)]
        found["recall_at_precision_95"] = float(recall[:-1][precision[:-1] >= 0.95].max(initial=0))
    return found


def _sources(m: Measured) -> dict[str, dict[str, dict[str, int]]]:
    """Label, then source: how often it was given, and how often rightly. Every label and source has its place."""
    found = {name: {source: {"given": 0, "right": 0} for source in SOURCES} for name in NAMES}
    for example, prediction in zip(m.examples, m.predictions, strict=True):
        for f in (f for s in prediction for f in s.findings):
            counts = found[f.label][f.source]
            counts["given"] += 1
            counts["right"] += f.label in example.labels
    return found


def _review(m: Measured) -> dict[str, Any]:
    """The sentences that the classifier leaves to a person, and how its own answers fare there and elsewhere."""
    marked = np.array([p.needs_review for p in m.predictions])
    right = (m.said == m.true).all(axis=1)
    share = lambda x: float(x.mean()) if len(x) else None  # noqa: E731
    return {"sentences": int(marked.sum()), "share": share(marked), "exact_match": share(right[marked]),
            "exact_match_elsewhere": share(right[~marked]), "errors_marked": share(marked[~right])}  # fmt: skip


def _confusions(m: Measured) -> list[dict[str, Any]]:
    """Labels that were missed where another was given wrongly, in the same sentence; `None`: nothing instead. The most frequent first."""
    counts: Counter[tuple[str | None, str | None]] = Counter()
    for missed, extra in zip(m.true & ~m.said, m.said & ~m.true, strict=True):
        lost, wrong = ([NAMES[i] for i in np.flatnonzero(row)] for row in (missed, extra))
        if lost or wrong:
            counts.update((a, b) for a in lost or [None] for b in wrong or [None])
    return [{"missed": a, "given": b, "sentences": n} for (a, b), n in counts.most_common()]


def _slices(m: Measured, fields: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    columns: dict[str, list[Any]] = {"length": [next(name for most, name in LENGTHS if len(e.text) <= most) for e in m.examples]}
    known = dict.fromkeys(key for e in m.examples for key in e.fields)
    if unknown := [f for f in fields or () if f not in known]:
        raise DataError(f"no line has the field {', '.join(unknown)}; there are {', '.join(known) or 'none besides text and labels'}")
    for key in known if fields is None else fields:
        values = [e.fields.get(key) for e in m.examples]
        plain = all(isinstance(v, str | int | bool | None) for v in values)
        if fields is not None or (plain and SLICE_VALUES[0] <= len(set(values)) <= SLICE_VALUES[1]):
            columns[key] = ["–" if v is None else str(v) for v in values]
    return {key: {value: _brief(evaluate_matrix(m.said[part], m.true[part])) for value in sorted(set(values))
                  for part in [np.array([v == value for v in values])]} for key, values in columns.items()}  # fmt: skip


def _brief(e: Evaluation) -> dict[str, Any]:
    return {"sentences": e.sentences, "micro_f1": e.micro.f1, "macro_f1": e.macro_f1, "exact_match": e.exact / e.sentences,
            "taboo_precision": e.taboo.precision, "taboo_recall": e.taboo.recall, "taboo_support": e.taboo.support}  # fmt: skip


def errors(m: Measured) -> list[dict[str, Any]]:
    """Every sentence whose set is not wholly right, the model's surest mistakes first, with evidence, probabilities and the fields of its line."""
    found = []
    for i in np.flatnonzero((m.said != m.true).any(axis=1)):
        example, prediction = m.examples[i], m.predictions[i]
        wrong = np.flatnonzero(m.said[i] != m.true[i])
        shown = np.flatnonzero(m.said[i] | m.true[i])
        p = m.probabilities[i] if m.probabilities is not None else None
        findings = [f for s in prediction for f in s.findings]
        found.append({
            "id": example.id, "text": example.text, "true": list(example.labels), "predicted": [NAMES[j] for j in np.flatnonzero(m.said[i])],
            "missed": [NAMES[j] for j in wrong if m.true[i, j]], "extra": [NAMES[j] for j in wrong if m.said[i, j]],
            "surprise": round(float(np.abs(p[wrong] - m.true[i, wrong]).max()), 4) if p is not None else None,
            "probabilities": {NAMES[j]: round(float(p[j]), 4) for j in shown} if p is not None else {},
            "sources": {f.label: f.source for f in findings}, "evidence": [{"label": f.label, **e.to_dict()} for f in findings for e in f.evidence],
            "review": prediction.needs_review, "fields": example.fields,
        })  # fmt: skip
    return sorted(found, key=lambda row: -(row["surprise"] if row["surprise"] is not None else len(row["missed"]) + len(row["extra"])))


def compare(old: Measured, new: Measured, *, repeats: int = 1000, seed: int = 0) -> dict[str, Any]:
    """New against old on the same sentences: differences with paired bootstrap intervals, sentences fixed and broken, McNemar's exact test.

    Every difference is new minus old. `mcnemar`: of the question taboo or not, the sentences that one alone has right, and the
    two-sided p-value of the exact binomial test on them (McNemar 1947).
    """
    if [(e.text, e.labels) for e in old.examples] != [(e.text, e.labels) for e in new.examples]:
        raise DataError("two models are compared on the same labelled sentences in the same order; these differ")
    a, b = (_figures(evaluate_matrix(m.said, m.true)) for m in (old, new))
    ranges = paired_intervals(old.label_sets[0], *new.label_sets, new.groups, repeats=repeats, seed=seed)
    was, now = ((m.said == m.true).all(axis=1) for m in (old, new))
    ids = lambda chosen: [new.examples[i].id or f"#{i + 1}" for i in np.flatnonzero(chosen)]  # noqa: E731
    return {
        "old": {"model": old.predictions[0].model, "norm": old.predictions[0].norm},
        "new": {"model": new.predictions[0].model, "norm": new.predictions[0].norm},
        "figures": {k: {"old": a[k], "new": b[k], "difference": b[k] - a[k] if None not in (a[k], b[k]) else None, "interval": ranges.get(k)} for k in a},
        "fixed": ids(now & ~was), "broken": ids(was & ~now), "mcnemar": _mcnemar(old, new),
    }  # fmt: skip


def compare_contrast(old: Classifier, new: Classifier, *, repeats: int = 1000, seed: int = 0) -> dict[str, Any]:
    """The share of the shipped contrast pairs that pass (`checks.check_cases`), in the form of a figure of `compare`; the bootstrap draws pairs."""
    cases = list(read_cases(shipped_cases()))
    passed = [np.array([row["passed"] for row in judge_cases(cases, lambda texts, c=c: (p.labels for p in c.predict_many(texts, split=False)))], float)
              for c in (old, new)]  # fmt: skip
    difference, rng = passed[1] - passed[0], np.random.default_rng(seed)
    draws = [difference[rng.integers(len(cases), size=len(cases))].mean() for _ in range(repeats)]
    was, now = (float(p.mean()) for p in passed)
    return {"old": was, "new": now, "difference": now - was, "interval": [float(x) for x in np.quantile(draws, (0.025, 0.975))]}


def _figures(e: Evaluation) -> dict[str, float | None]:
    return {"micro_f1": e.micro.f1, "macro_f1": e.macro_f1, "taboo_precision": e.taboo.precision, "taboo_recall": e.taboo.recall,
            **{name: c.f1 for name, c in e.labels.items()}}  # fmt: skip


def _mcnemar(old: Measured, new: Measured) -> dict[str, Any]:
    from scipy.stats import binomtest

    true = new.true[:, TABOO].any(axis=1)
    was, now = ((m.said[:, TABOO].any(axis=1) == true) for m in (old, new))
    lost, won = int((was & ~now).sum()), int((now & ~was).sum())
    return {"old_alone_right": lost, "new_alone_right": won, "p_value": float(binomtest(won, won + lost).pvalue) if won + lost else 1.0}


def read_gates(path: Path) -> list[dict[str, Any]]:
    """The gates of a YAML file: `gates:` with a list for `check_gates`. Raises `DataError` if it is none."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise DataError(f"{path}: cannot be read as YAML: {e}") from None
    if not isinstance(content, dict) or set(content) != {"gates"} or not isinstance(content["gates"], list):
        raise DataError(f"{path}: `gates:` with a list is expected, and nothing else; svcnorm/gates.yaml is an example")
    for gate in content["gates"]:
        check_gate(gate)
    return content["gates"]


def check_gate(gate: Any) -> str:
    """Which limit a gate sets, "min" or "max_drop". Raises `DataError` for a gate of another form than `check_gates` takes."""
    limits = [k for k in ("min", "max_drop") if isinstance(gate, dict) and isinstance(gate.get(k), int | float)]
    if len(limits) != 1 or set(gate) != {"figure", *limits} or gate["figure"] not in FIGURES:
        raise DataError(
            f"gate {gate!r}: {{figure: NAME, min: X}} or {{figure: NAME, max_drop: X}} is expected, NAME one of {', '.join(FIGURES)}"
        )
    return limits[0]


def check_gates(gates: Sequence[dict[str, Any]], comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """Whether a new model may replace the old one: each gate with "passed" and, where it fails, what failed.

    A gate is {"figure", "min"} (the new model's figure is at least that) or {"figure", "max_drop"} (its 95 % interval of new minus old
    does not lie wholly below minus that: what is no worse than chance may pass). "figure": a key of `compare`'s figures, "label_f1"
    for every label with support, or "contrast" (`compare_contrast`).
    """
    figures, rows = comparison["figures"], []
    for gate in gates:
        kind, name = check_gate(gate), gate["figure"]
        chosen = {k: v for k, v in figures.items() if (k in NAMES if name == "label_f1" else k == name) and v["new"] is not None}
        failed = [
            k
            for k, v in chosen.items()
            if (v["new"] < gate["min"] if kind == "min" else v["interval"] and v["interval"][1] < -gate["max_drop"])
        ]
        rows.append({**gate, "passed": bool(chosen) and not failed, "failed": failed})
    return rows
