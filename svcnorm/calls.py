"""Whole calls: read them, label the agent's turns, and check the steps that the norm requires of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svcnorm.classifier import Classifier
from svcnorm.errors import DataError
from svcnorm.examples import ROLE_WORDS, ROLES, raise_problem, read_rows
from svcnorm.norms import Step, Trait
from svcnorm.results import FORMAT, Finding, Prediction, Severity
from svcnorm.tables import SUFFIXES, read_table
from svcnorm.text import normalise

Status = Literal["passed", "missed", "not_applicable"]
Role = Literal["agent", "customer", "unknown"]

CALL_KEYS, ROLE_KEYS = ("call_id", "call", "id"), ("role", "speaker")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said before the other spoke."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """The turns of one call in their order."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class StepResult:
    """Whether a call has a step. `turns` are the indices that show it: where it was done, or (for what must not be) where it was."""

    step: str
    title: str
    status: Status
    severity: Severity | None
    clause: str | None
    say_instead: str | None
    turns: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class CallAudit:
    """A call with the labels of its agent turns (`None` for the customer's turns) and its steps."""

    call: Call
    predictions: tuple[Prediction | None, ...]
    steps: tuple[StepResult, ...]
    norm: str
    model: str | None
    norm_version: str = ""

    @property
    def missed(self) -> tuple[StepResult, ...]:
        return tuple(s for s in self.steps if s.status == "missed")

    @property
    def breaches(self) -> tuple[tuple[int, Finding], ...]:
        """(turn, finding) of what the norm forbids or discourages. A turn whose speaker is unknown counts for no breach."""
        pairs = zip(self.call.turns, self.predictions, strict=True)
        return tuple((i, f) for i, (turn, p) in enumerate(pairs) if p and turn.role == "agent" for f in p.breaches)

    def to_dict(self) -> dict[str, Any]:
        turns = [
            {"role": turn.role, "text": turn.text, **({"sentences": p.to_dict()["sentences"]} if p else {})}
            for turn, p in zip(self.call.turns, self.predictions, strict=True)
        ]
        return {"format": FORMAT, "call_id": self.call.id, "norm": self.norm, "norm_version": self.norm_version, "model": self.model, "turns": turns,
                "steps": [s.to_dict() for s in self.steps], "breaches": [{"turn": i, **f.to_dict()} for i, f in self.breaches]}  # fmt: skip


def audit(call: Call, classifier: Classifier, predictions: Iterable[Prediction] | None = None) -> CallAudit:
    """Label the agent's turns and check the norm's steps.

    `predictions`: of the turns that are not the customer's, in their order, where the classifier has made them already.

    A step that had no occasion (no hold to apologise for, no thanks to answer) is `not_applicable`. Turns of unknown role get the
    benefit of the doubt: they are labelled and may pass a step, but never breach one.
    """
    spoken = [i for i, t in enumerate(call.turns) if t.role != "customer"]
    if predictions is None:
        predictions = classifier.predict_many(call.turns[i].text for i in spoken)
    labelled = dict(zip(spoken, predictions, strict=True))
    by_turn = tuple(labelled.get(i) for i in range(len(call.turns)))
    steps = tuple(_check(step, call, by_turn) for step in classifier.norm.steps)
    return CallAudit(call, by_turn, steps, classifier.norm.name, classifier.model, classifier.norm.version)


def _check(step: Step, call: Call, predictions: tuple[Prediction | None, ...]) -> StepResult:
    def result(status: Status, turns: Iterable[int] = ()) -> StepResult:
        j = step.judgement
        return StepResult(step.id, step.title, status, j.severity, j.clauses[0] if j.clauses else None, j.say_instead, tuple(turns))

    def holds(trait: Trait | None, i: int) -> bool:
        p = predictions[i]
        return bool(trait and trait.holds(normalise(call.turns[i].text), p.labels if p else ()))

    agent = [i for i, t in enumerate(call.turns) if t.role == "agent"]
    maybe_agent = [i for i, t in enumerate(call.turns) if t.role != "customer"]
    occasions = [i for i in range(len(call.turns))
                 if (call.turns[i].role == "customer" and holds(step.when_customer, i)) or (i in agent and holds(step.when_agent, i))]  # fmt: skip
    conditional = step.when_agent or step.when_customer
    if not maybe_agent or (conditional and not occasions):
        return result("not_applicable")

    def place(turns: list[int]) -> list[list[int]]:
        """The stretches of turns in which the step is looked for."""
        if step.where == "opening":
            return [turns[: step.within]]
        if step.where == "ending":
            return [turns[-step.within :]]
        if step.where == "after":
            return [[i for i in turns if i > o][: step.within] for o in occasions]
        return [turns]

    if step.never:
        found = [i for i in dict.fromkeys(i for stretch in place(agent) for i in stretch) if holds(step.never, i)]
        return result("missed" if len(found) >= step.at_least else "passed", found)
    stretches = [s for s in place(maybe_agent) if s]
    if not stretches:  # the call ended on the occasion
        return result("not_applicable")
    found = list(dict.fromkeys(i for stretch in stretches for i in stretch if holds(step.need, i)))
    return result("passed" if len(found) >= step.at_least else "missed", found)


def read_calls(path: Path, on_problem: Callable[[str], object] = raise_problem) -> Iterator[Call]:
    """Calls of a file: JSONL with one call a line (`{"call_id", "turns": [{"role", "text"}, …]}`) or one turn a line
    (`{"call_id", "role", "text"}`), or a table (CSV, TSV, Excel) with the columns call_id, role, text. Turns of one call stand together.

    Roles are agent, customer, unknown (also 坐席, 客服, 客户, 用户, 未知). A bad line goes to `on_problem` as `path:line: …` and the rest
    is read; by default it raises `DataError`.
    """
    table = path.suffix.lower() in SUFFIXES
    rows = read_table(path, on_problem, needed=("role", "text")) if table else read_rows(path, on_problem)
    current: str | None = None
    turns: list[Turn] = []
    seen: set[str] = set()
    for number, row in rows:
        try:
            call_id = str(next((row[k] for k in CALL_KEYS if row.get(k) not in (None, "")), ""))
            if "turns" in row:
                if not isinstance(row["turns"], list):
                    raise DataError(f"'turns' must be a list of objects with role and text, got {type(row['turns']).__name__}")
                whole = tuple(_turn(t) for t in row["turns"])
            elif not call_id:
                raise DataError(f"a turn needs the id of its call in one of {', '.join(CALL_KEYS)}")
            else:
                whole, turn = None, _turn(row)
        except DataError as e:
            on_problem(f"{path}:{number}: {e}")
            continue
        if turns and (whole is not None or call_id != current):
            yield Call(str(current), tuple(turns))
            turns = []
        if whole is not None:
            yield Call(call_id or f"line-{number}", whole)
            continue
        if call_id != current and call_id in seen:
            on_problem(
                f"{path}:{number}: call {call_id!r} comes back after another call; sort the file so that the turns of a call stand together"
            )
        seen.add(call_id)
        current = call_id
        turns.append(turn)
    if turns:
        yield Call(str(current), tuple(turns))


def _turn(row: Any) -> Turn:
    if not isinstance(row, dict):
        raise DataError(f"a turn is an object with role and text, got {type(row).__name__}")
    word = next((row[k] for k in ROLE_KEYS if k in row), None)
    role = ROLE_WORDS.get(word, word) if isinstance(word, str) else word
    if role not in ROLES:
        raise DataError(f"unknown role {word!r}: expected {', '.join(ROLES)} or {', '.join(w for w in ROLE_WORDS if w)}")
    if not isinstance(row.get("text"), str):
        raise DataError(f"'text' of a turn must be a string, got {row.get('text')!r}")
    return Turn(role, row["text"])
