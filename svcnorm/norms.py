"""Norms: what an organisation allows, in YAML that its own people edit. The format is described in docs/norms.md.

A norm brings three things: rules (patterns that are evidence for a label), judgements (severity, clause and better wording per
label), and steps (what a whole call must have). It defines no labels and holds no thresholds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from svcnorm.errors import LabelError, NormError
from svcnorm.labels import find, ordered
from svcnorm.literals import Index
from svcnorm.results import Evidence, Finding, Severity, Source, Span
from svcnorm.text import normalise

if TYPE_CHECKING:  # imported where it is first needed: `import svcnorm` stays light
    import yaml

FORMAT = 1
SEVERITIES: tuple[str, ...] = get_args(Severity)
WHERES = ("anywhere", "opening", "ending", "after")
_WITHIN = {"anywhere": 0, "opening": 2, "ending": 3, "after": 3}

# What speech puts in front of and behind a phrase without changing it.
_FILLER = r"(?:嗯|呃|啊|哦|唉|哎|诶|欸|噢|喔|额|那个|这个|就是|然后|那么|那|[，,。、_~～… ])*"
_TAIL = r"(?:[啊呀呢哈哦嘛哟啦]|先生|女士|[，,。！!、_~～… ])*"
_GAP = r"[^，,。！!？?；;]{0,8}"  # … in a phrase
# Bytes up to which a pattern keeps what it learns of new text. One that needs more gets RE2's own 8 MB, which hundreds of patterns would fill in time.
PATTERN_MEMORY = 128 << 10
_MARKS = "，,。！!？?；;、：:_~～… "
_FORMS = {  # how a list of phrases becomes a pattern
    "any": "(?:{})",
    "start": f"^{_FILLER}(?:{{}})",
    "whole": f"^{_FILLER}(?:{{}}){_TAIL}$",
    "pattern": "{}",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a norm says of a label: how severe, by which clauses, and what to say instead."""

    severity: Severity | None = None
    clauses: tuple[str, ...] = ()
    say_instead: str | None = None

    def over(self, other: Judgement) -> Judgement:
        """This judgement where it says something, `other` elsewhere."""
        return Judgement(self.severity or other.severity, self.clauses or other.clauses, self.say_instead or other.say_instead)


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern that is evidence for its labels, with the sentences that show what it hits and what it must miss."""

    id: str
    labels: tuple[str, ...]
    pattern: Pattern
    unless: Pattern | None
    decides: bool
    judgement: Judgement
    hits: tuple[str, ...]
    misses: tuple[str, ...]
    norm: str
    line: int

    def span(self, sentence: str) -> Span | None:
        """Where the rule hits the (normalised) sentence, or `None`."""
        found = self.pattern.span(sentence)
        return None if found and self.unless and self.unless.matches(sentence) else found


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule matched a sentence there."""

    rule: Rule
    span: Span

    def evidence(self, sentence: str, start: int) -> Evidence:
        """The hit as evidence; `start` is where the sentence begins in the caller's text, to which the evidence's span refers."""
        clauses = self.rule.judgement.clauses
        return Evidence(self.rule.id, self.span.shift(start), self.span.of(sentence), clauses[0] if clauses else None)


@dataclass(frozen=True, slots=True)
class Trait:
    """A turn that carries one of `labels` or whose text matches `says`."""

    labels: tuple[str, ...] = ()
    says: Pattern | None = None

    def holds(self, text: str, labels: Iterable[str]) -> bool:
        """`text` is normalised."""
        return not set(self.labels).isdisjoint(labels) or bool(self.says and self.says.matches(text))


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a call must have (`need`) or must not have (`never`), and the occasion on which it is due."""

    id: str
    title: str
    judgement: Judgement
    need: Trait | None
    never: Trait | None
    where: str
    within: int
    at_least: int
    when_agent: Trait | None
    when_customer: Trait | None
    norm: str
    line: int


@dataclass(frozen=True)
class Norm:
    """A checked norm together with everything that it extends."""

    name: str
    title: str
    source: str
    extends: str | None
    judgements: dict[str, Judgement]
    rules: tuple[Rule, ...]
    steps: tuple[Step, ...]
    not_in_text: dict[str, str] = field(default_factory=dict)
    """Clause -> why no transcript can show it."""

    @classmethod
    def load(cls, name_or_path: str | Path) -> Norm:
        """A shipped norm by its name, or one's own by the path of its YAML file.

        Raises `NormError` with every problem of the file, one a line, each as `path:line: …`.
        """
        return _load(name_or_path, ())

    @cached_property
    def version(self) -> str:
        """Eight hexadecimal digits that change with anything that the norm and those it extends say."""
        said = [repr(x) for x in (self.name, sorted(self.judgements.items()), self.rules, self.steps)]
        return hashlib.sha256("\n".join(said).encode(errors="surrogatepass")).hexdigest()[:8]

    @cached_property
    def _index(self) -> Index:
        return Index([rule.pattern.source for rule in self.rules])

    def match(self, sentence: str) -> list[Hit]:
        """The rules that hit the sentence, in the norm's order, each with its first place. One pass over the text finds the candidates."""
        text, hits = normalise(sentence), []
        for i in self._index.candidates(text):
            if span := self.rules[i].span(text):
                hits.append(Hit(self.rules[i], span))
        return hits

    def judge(self, label: str, source: Source, probability: float | None, hits: Sequence[Hit], sentence: str, start: int = 0) -> Finding:
        """The finding for a decided label; `start` is where the sentence begins in the caller's text. The severest rule among the evidence speaks first, then the norm's word on the label."""
        hits = sorted(hits, key=lambda h: _rank(h.rule.judgement.severity))
        verdict = Judgement()
        for hit in hits:
            verdict = verdict.over(hit.rule.judgement)
        verdict = verdict.over(self.judgements.get(label, Judgement()))
        return Finding(
            label, source, probability, tuple(h.evidence(sentence, start) for h in hits),
            verdict.severity, verdict.clauses[0] if verdict.clauses else None, verdict.say_instead,
        )  # fmt: skip

    def problems(self) -> list[str]:
        """What the rules' own examples say against them: a `hits` sentence that is not hit, a `misses` sentence that is."""
        found = []
        for rule in self.rules:
            for text in rule.hits:
                if rule.span(normalise(text)) is None:
                    found.append(f"{rule.norm}:{rule.line}: rule {rule.id} does not hit its own example {text!r}")
            for text in rule.misses:
                if span := rule.span(normalise(text)):
                    found.append(f"{rule.norm}:{rule.line}: rule {rule.id} hits {span.of(text)!r} in {text!r}, which it should miss")
        return found


def names() -> list[str]:
    """The norms that come with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in (files("svcnorm") / "rulebooks").iterdir() if p.name.endswith(".yaml"))


@dataclass(frozen=True)
class Pattern:
    """A regular expression in RE2 syntax: matching takes time linear in the text, whatever a user writes. No look-around, no back-references.

    It is compiled when first used, and then raises `re2.error` if it is none: most patterns of a norm never see a sentence that could match.
    """

    source: str

    @cached_property
    def compiled(self) -> Any:
        import re2

        options = re2.Options()
        options.log_errors = False
        try:
            options.max_mem = PATTERN_MEMORY
            return re2.compile(self.source, options=options)
        except re2.error:
            options.max_mem = re2.Options().max_mem
            return re2.compile(self.source, options=options)

    def span(self, text: str) -> Span | None:
        """The first match, without the marks at its ends that a pattern needs only to see where a phrase stops."""
        if not (found := self.compiled.search(text)):
            return None
        start, end = found.span()
        while start < end and text[start] in _MARKS:
            start += 1
        while end > start and text[end - 1] in _MARKS:
            end -= 1
        return Span(start, end) if start < end else Span(*found.span())

    def matches(self, text: str) -> bool:
        return bool(self.compiled.search(text))

    def __reduce__(self) -> tuple:  # a compiled pattern does not travel to another process; its source does
        return Pattern, (self.source,)


def _rank(severity: str | None) -> int:
    return SEVERITIES.index(severity) if severity else len(SEVERITIES)


def _is_name(name_or_path: str | Path) -> bool:
    return not str(name_or_path).endswith((".yaml", ".yml")) and "/" not in str(name_or_path)


def _locate(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if _is_name(text):
        path = Path(str(files("svcnorm") / "rulebooks" / f"{text}.yaml"))
        if path.exists():
            return path
        raise NormError(
            f"no norm named {text!r} comes with svcnorm; there are {', '.join(names())}; give the path of a .yaml file for your own"
        )
    path = Path(text)
    if not path.is_file():
        raise NormError(f"{path}: no such norm file")
    return path


# --- reading -------------------------------------------------------------------------------------------------------------------


class _Mapping(dict):
    """A YAML mapping that knows its line and the lines of its keys."""

    line: int
    lines: dict[str, int]


def _read(path: Path, problems: list[str]) -> _Mapping:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise NormError(f"{path}: byte {e.start} is not UTF-8; save the file as UTF-8") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        raise NormError(f"{path}:{mark.line + 1 if mark else 1}: not YAML: {getattr(e, 'problem', e)}") from None
    if not isinstance(root, yaml.MappingNode):
        raise NormError(f"{path}:1: a norm is a YAML mapping with the keys {', '.join(_KEYS['norm'])}")

    def value(node: yaml.Node) -> Any:
        if isinstance(node, yaml.MappingNode):
            mapping = _Mapping()
            mapping.line, mapping.lines = node.start_mark.line + 1, {}
            for k, v in node.value:
                key, line = str(k.value), k.start_mark.line + 1
                if key in mapping:
                    problems.append(f"{path}:{line}: {key!r} stands twice here (first in line {mapping.lines[key]})")
                mapping[key], mapping.lines[key] = value(v), line
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [value(v) for v in node.value]
        if node.tag.endswith(":bool"):
            return node.value.lower() in ("true", "yes", "on")
        if node.tag.endswith(":int"):
            return int(node.value)
        return None if node.tag.endswith(":null") else node.value

    return value(root)


_KEYS = {
    "norm": ("format", "name", "title", "source", "extends", "judge", "rules", "drop", "steps", "not_in_text"),
    "judgement": ("severity", "clause", "say_instead"),
    "rule": ("id", "labels", *_FORMS, "unless", "decides", "severity", "clause", "say_instead", "hits", "misses"),
    "step": ("id", "title", "severity", "clause", "say_instead", "need", "never", "where", "within", "at_least", "when"),
    "trait": ("labels", "says"),
    "when": ("agent", "customer"),
}


class _Checker:
    """Turns the mappings of one file into checked objects and collects what is wrong with them.

    The patterns of `shipped` norms are not compiled to be checked: the tests have done that, and it is most of the time that loading takes.
    """

    def __init__(self, path: Path, problems: list[str], *, shipped: bool):
        self.path, self.problems, self.name, self.shipped = path, problems, path.stem, shipped

    def wrong(self, line: int, message: str) -> None:
        self.problems.append(f"{self.path}:{line}: {message}")

    def mapping(self, raw: Any, kind: str, line: int) -> _Mapping:
        if not isinstance(raw, _Mapping):
            self.wrong(line, f"a {kind} is a mapping with the keys {', '.join(_KEYS[kind])}")
            raw = _Mapping()
            raw.line, raw.lines = line, {}
        for key in raw:
            if key not in _KEYS[kind]:
                self.wrong(raw.lines[key], f"unknown key {key!r} in a {kind}; it has {', '.join(_KEYS[kind])}")
        return raw

    def strings(self, raw: _Mapping, key: str, *, needed: bool = False) -> tuple[str, ...]:
        """A string or a list of strings, as a tuple."""
        value = raw.get(key)
        values = [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value or []
        if not isinstance(values, list) or any(not isinstance(v, (str, int)) or v == "" for v in values):
            self.wrong(raw.lines[key], f"{key!r} takes a text or a list of texts")
            return ()
        if needed and not values:
            self.wrong(raw.lines.get(key, raw.line), f"{key!r} is missing or empty")
        return tuple(str(v) for v in values)

    def number(self, raw: _Mapping, key: str, default: int) -> int:
        value = raw.get(key, default)
        if not isinstance(value, int) or value < 0:
            self.wrong(raw.lines[key], f"{key!r} takes a whole number, got {value!r}")
            return default
        return value

    def labels(self, raw: _Mapping, key: str = "labels", *, needed: bool = False) -> tuple[str, ...]:
        good = []
        for name in self.strings(raw, key, needed=needed):
            try:
                good.append(find(name).name)
            except LabelError as e:
                self.wrong(raw.lines[key], str(e))
        return ordered(good)

    def judgement(self, raw: _Mapping) -> Judgement:
        severity = raw.get("severity")
        if severity is not None and severity not in SEVERITIES:
            self.wrong(raw.lines["severity"], f"severity is one of {', '.join(SEVERITIES)}, got {severity!r}")
            severity = None
        return Judgement(severity, self.strings(raw, "clause"), next(iter(self.strings(raw, "say_instead")), None))

    def pattern(self, source: str, line: int) -> Pattern | None:
        import re2

        if re.search(r"\\[bBW]", source):
            self.wrong(line, r"\b, \B and \W do not know Chinese characters; write the characters out")
        made = Pattern(source)
        if self.shipped:
            return made
        try:
            made.compiled  # noqa: B018
        except re2.error as e:
            reason = e.args[0].decode() if e.args and isinstance(e.args[0], bytes) else e
            self.wrong(line, f"not an RE2 pattern (no look-around, no back-references): {reason}: {source}")
            return None
        return made

    def rule(self, raw: Any, line: int) -> Rule | None:
        raw = self.mapping(raw, "rule", line)
        rule_id = next(iter(self.strings(raw, "id", needed=True)), "")
        forms = [key for key in _FORMS if key in raw]
        if len(forms) != 1:
            self.wrong(raw.line, f"rule {rule_id!r} needs exactly one of {', '.join(_FORMS)}; it has {', '.join(forms) or 'none'}")
            return None
        form = forms[0]
        phrases = self.strings(raw, form, needed=True)
        body = "|".join(phrases) if form == "pattern" else "|".join(map(_phrase, phrases))
        pattern = self.pattern(_FORMS[form].format(body), raw.lines[form])
        unless = self.strings(raw, "unless")
        decides = raw.get("decides", False)
        if not isinstance(decides, bool):
            self.wrong(raw.lines["decides"], f"decides is true or false, got {decides!r}")
        labels = self.labels(raw, needed=True)
        hits, misses = self.strings(raw, "hits", needed=True), self.strings(raw, "misses", needed=True)
        exception = self.pattern("|".join(f"(?:{u})" for u in unless), raw.lines["unless"]) if unless else None
        if pattern is None or not labels:
            return None
        return Rule(rule_id, labels, pattern, exception, decides is True, self.judgement(raw), hits, misses, self.name, raw.line)

    def trait(self, raw: _Mapping, key: str) -> Trait | None:
        if key not in raw:
            return None
        inner = self.mapping(raw[key], "trait", raw.lines[key])
        says = self.strings(inner, "says")
        trait = Trait(self.labels(inner), self.pattern("|".join(says), inner.lines["says"]) if says else None)
        if not trait.labels and not trait.says:
            self.wrong(raw.lines[key], f"{key!r} needs labels or says")
        return trait

    def step(self, raw: Any, line: int) -> Step | None:
        raw = self.mapping(raw, "step", line)
        step_id = next(iter(self.strings(raw, "id", needed=True)), "")
        title = next(iter(self.strings(raw, "title", needed=True)), "")
        where = raw.get("where", "anywhere")
        when = self.mapping(raw["when"], "when", raw.lines["when"]) if "when" in raw else _Mapping()
        if where not in WHERES:
            self.wrong(raw.lines["where"], f"where is one of {', '.join(WHERES)}, got {where!r}")
            where = "anywhere"
        if where == "after" and not when:
            self.wrong(raw.line, f"step {step_id!r} stands after something: say what, under `when`")
        if ("need" in raw) == ("never" in raw):
            self.wrong(raw.line, f"step {step_id!r} has either `need` or `never`")
        return Step(
            step_id, title, self.judgement(raw), self.trait(raw, "need"), self.trait(raw, "never"), where,
            self.number(raw, "within", _WITHIN[where]), self.number(raw, "at_least", 1),
            self.trait(when, "agent"), self.trait(when, "customer"), self.name, raw.line,
        )  # fmt: skip


def _phrase(phrase: str) -> str:
    """A phrase as a pattern: pauses of speech may stand between its characters, `…` is a short gap."""
    parts = ["[_ ]?".join(re.escape(c) for c in part) for part in normalise(phrase).split("…")]
    return _GAP.join(parts)


def _load(name_or_path: str | Path, children: tuple[Path, ...]) -> Norm:
    problems: list[str] = []
    path = _locate(name_or_path)
    raw = _read(path, problems)
    check = _Checker(path, problems, shipped=_is_name(name_or_path))
    raw = check.mapping(raw, "norm", 1)
    if raw.get("format") != FORMAT:
        check.wrong(raw.lines.get("format", 1), f"`format: {FORMAT}` is expected, got {raw.get('format')!r}")
    name = raw.get("name")
    check.name = str(name or path.stem)
    if not name:
        check.wrong(1, "'name' is missing")

    parent = None
    if base := raw.get("extends"):
        # a path is meant relative to the file that names it
        target = path.parent / base if str(base).endswith((".yaml", ".yml")) else base
        try:
            located = _locate(target)
            if located in (*children, path):
                raise NormError(f"{path}:{raw.lines['extends']}: extends goes round in a circle through {located}")
            parent = _load(target, (*children, path))
        except NormError as e:
            problems.append(str(e) if str(e).startswith(str(path)) else f"{path}:{raw.lines['extends']}: extends {base!r}: {e}")

    judgements = dict(parent.judgements) if parent else {}
    entries = raw.get("judge") or _Mapping()
    if not isinstance(entries, _Mapping):
        check.wrong(raw.lines["judge"], "'judge' is a mapping from labels to severity, clause and say_instead")
        entries = _Mapping()
    for label, entry in entries.items():
        try:
            find(label)
        except LabelError as e:
            check.wrong(entries.lines[label], str(e))
            continue
        own = check.judgement(check.mapping(entry, "judgement", entries.lines[label]))
        judgements[label] = own.over(judgements.get(label, Judgement()))

    rules = _merge(check, raw, "rules", check.rule, parent.rules if parent else ())
    steps = _merge(check, raw, "steps", check.step, parent.steps if parent else ())
    for dropped in check.strings(raw, "drop"):
        if dropped not in {x.id for x in (*rules, *steps)}:
            check.wrong(raw.lines["drop"], f"drop: no inherited rule or step {dropped!r}")
        rules, steps = tuple(r for r in rules if r.id != dropped), tuple(s for s in steps if s.id != dropped)

    reasons = raw.get("not_in_text") or {}
    if not isinstance(reasons, dict) or not all(isinstance(v, str) and v for v in reasons.values()):
        check.wrong(raw.lines["not_in_text"], "'not_in_text' maps a clause to the reason why no transcript shows it")
        reasons = {}
    if problems:
        raise NormError("\n".join(problems))
    return Norm(check.name, str(raw.get("title") or check.name), str(raw.get("source") or ""), str(base) if base else None,
                judgements, rules, steps, dict(reasons))  # fmt: skip


def _merge(check: _Checker, raw: _Mapping, key: str, make: Any, inherited: tuple) -> tuple:
    """Inherited entries with this file's own: one of the same id takes the inherited one's place."""
    items = raw.get(key) or []
    if not isinstance(items, list):
        check.wrong(raw.lines[key], f"{key!r} is a list")
        items = []
    merged = {x.id: x for x in inherited}
    own: dict[str, int] = {}
    for item in items:
        line = getattr(item, "line", raw.lines[key])
        made = make(item, line)
        if made is None:
            continue
        if made.id in own:
            check.wrong(line, f"{key[:-1]} {made.id!r} stands twice (first in line {own[made.id]})")
        own[made.id] = line
        merged[made.id] = made
    return tuple(merged.values())


def covered(norm: Norm) -> Iterator[tuple[str, str]]:
    """(clause, how) for every clause that the norm itself or what it extends speaks of: `rule x`, `judge x`, `step x`, or the reason."""
    for rule in norm.rules:
        yield from ((clause, f"rule {rule.id}") for clause in rule.judgement.clauses)
    for label, judgement in norm.judgements.items():
        yield from ((clause, f"judge {label}") for clause in judgement.clauses)
    for step in norm.steps:
        yield from ((clause, f"step {step.id}") for clause in step.judgement.clauses)
    yield from ((clause, f"not in text: {reason}") for clause, reason in norm.not_in_text.items())


__all__ = ["FORMAT", "SEVERITIES", "WHERES", "Hit", "Judgement", "Norm", "Pattern", "Rule", "Step", "Trait", "covered", "names"]
