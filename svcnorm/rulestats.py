"""What rules do on labelled sentences, and what changes when one norm takes the place of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from svcnorm.calls import Call, CallAudit, audit
from svcnorm.classifier import Classifier, ways
from svcnorm.examples import Example
from svcnorm.norms import Norm
from svcnorm.results import Finding


def rule_statistics(norm: Norm, examples: Iterable[Example], model: Classifier | None = None) -> list[dict[str, Any]]:
    """A row for each rule, in the norm's order, over sentences with labels (each taken as one sentence).

    "hits": sentences that it hits; "labels", "right": labels that it supports there, and how many of them the sentence truly has. With a
    model: "added", "added_right": labels found with the norm's rules that the model alone does not find, where this rule is evidence;
    "conflicts", "conflicts_right": labels that it supports and the answer of model and rules leaves out, and how many the sentence has.
    """
    examples = list(examples)
    rows = {rule.id: {"rule": rule.id, "norm": rule.norm, "line": rule.line, "for": list(rule.labels), "hits": 0, "labels": 0, "right": 0,
                      **({"added": 0, "added_right": 0, "conflicts": 0, "conflicts_right": 0} if model else {})} for rule in norm.rules}  # fmt: skip
    both = alone = [None] * len(examples)
    if model and model.scorer:
        by = ways(model.scorer, norm)
        texts = [e.text for e in examples]
        both, alone = ([frozenset(p.labels) for p in by[way].predict_many(texts, split=False)] for way in ("both", "model"))
    for example, together, single in zip(examples, both, alone, strict=True):
        for hit in norm.match(example.text):
            row, supported = rows[hit.rule.id], set(hit.rule.labels)
            row["hits"] += 1
            row["labels"] += len(supported)
            row["right"] += len(supported & set(example.labels))
            if together is not None and single is not None:
                added, refused = supported & (together - single), supported - together
                row["added"] += len(added)
                row["added_right"] += len(added & set(example.labels))
                row["conflicts"] += len(refused)
                row["conflicts_right"] += len(refused & set(example.labels))
    return list(rows.values())


def norm_changes(old: Classifier, new: Classifier, calls: Iterable[Call]) -> Iterator[dict[str, Any]]:
    """Which decisions differ between two classifiers (same model, other norms): findings of a turn, and steps of a call.

    A row: {"call_id", "turn", "sentence", "label", "old", "new"} or {"call_id", "step", "old", "new"}, where "old" and "new" are the
    severity and clause (of a step: its status) or `None` where it is not there. The same severity under another clause is a change too.
    """
    for call in calls:
        a, b = audit(call, old), audit(call, new)
        was, now = _findings(a), _findings(b)
        for key in dict.fromkeys((*was, *now)):
            if (before := _verdict(was.get(key))) != (after := _verdict(now.get(key))):
                turn, sentence, label = key
                yield {"call_id": call.id, "turn": turn, "sentence": sentence, "label": label, "old": before, "new": after}
        was_steps, now_steps = ({s.step: {"status": s.status, "severity": s.severity} for s in x.steps} for x in (a, b))
        for step in dict.fromkeys((*was_steps, *now_steps)):
            if was_steps.get(step) != now_steps.get(step):
                yield {"call_id": call.id, "step": step, "old": was_steps.get(step), "new": now_steps.get(step)}


def _findings(a: CallAudit) -> dict[tuple[int, str, str], Finding]:
    return {(i, s.text, f.label): f for i, p in enumerate(a.predictions) for s in p or () for f in s.findings}


def _verdict(finding: Finding | None) -> dict[str, Any] | None:
    return finding and {"severity": finding.severity, "clause": finding.clause}
