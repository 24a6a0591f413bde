"""An evaluation on paper: JSON, and one HTML file that opens offline, in Chinese and English. It computes nothing: numbers come from svcnorm/assessment.py.

Text of the data is escaped by Jinja2 everywhere; the script in the page reads attributes and never builds HTML.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from svcnorm import assessment
from svcnorm.classifier import Classifier
from svcnorm.errors import optional
from svcnorm.examples import Example, write_rows, write_text
from svcnorm.labels import LABELS

ERRORS_SHOWN = 500


def render(
    evaluation: Mapping[str, Any],
    errors: Sequence[Mapping[str, Any]],
    comparison: Mapping[str, Any] | None = None,
    *,
    title: str = "svcnorm",
) -> str:
    """The report as HTML. `evaluation`, `errors`, `comparison`: what `describe`, `errors` and `compare` give; the first 500 errors are shown."""
    jinja2 = optional("jinja2", "reports need Jinja2; install svcnorm[evaluate]")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "between": between, "pieces": pieces, "radius": radius}
    template = environment.from_string((files("svcnorm") / "report.html.j2").read_text(encoding="utf-8"))
    return template.render(e=evaluation, errors=errors[:ERRORS_SHOWN], total=len(errors), c=comparison, title=title,
                           labels=LABELS, zh={x.name: x.zh for x in LABELS})  # fmt: skip


def percent(x: float | None, digits: int = 1) -> str:
    return "–" if x is None else f"{100 * x:.{digits}f}"


def between(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else " … ".join(percent(x) for x in interval)


def radius(decisions: int) -> float:
    """Of a dot that stands for so many decisions."""
    return round(0.7 + 1.1 * math.log10(decisions), 1)


def pieces(error: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The text of an error cut at the ends of its evidence, each piece with the rules that hit there."""
    text, spans = error["text"], [(x["start"], x["end"], x["rule"]) for x in error["evidence"]]
    cuts = sorted({0, len(text), *(at for s, e, _ in spans for at in (s, e))})
    return [(text[a:b], sorted({rule for s, e, rule in spans if s <= a and b <= e})) for a, b in itertools.pairwise(cuts)]


def write_evaluation(
    out: Path, examples: Iterable[Example], new: Classifier, old: Classifier | None = None, *, gates: Sequence[dict[str, Any]] = (),
    fields: Sequence[str] | None = None, origin: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any] | None]:  # fmt: skip
    """Measure `new`, and judge it against `old` by the gates, and write evaluation.json, errors.jsonl, report.html and comparison.json to `out`.

    `origin`: what evaluation.json says of the data; its "path" names the report. Returns the content of evaluation.json and of
    comparison.json.
    """
    measured = assessment.measure(new, examples)
    found, comparison = {**assessment.describe(measured, fields=fields), "data": origin}, None
    if old:
        comparison = assessment.compare(assessment.measure(old, measured.examples), measured)
        if any(gate.get("figure") == "contrast" for gate in gates):
            comparison["figures"]["contrast"] = assessment.compare_contrast(old, new)
        comparison["gates"] = assessment.check_gates(gates, comparison)
    wrong = assessment.errors(measured)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "report.html", render(found, wrong, comparison, title=f"svcnorm · {Path(origin['path']).name}"))
    write_rows(out / "errors.jsonl", wrong)
    if comparison:
        write_text(out / "comparison.json", _json(comparison))
    write_text(out / "evaluation.json", _json(found))
    return found, comparison


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
