"""Which patterns can match a sentence at all: those whose literal text it has. A pattern is read once, and not run on sentences that lack it.

RE2's own filter does this with an automaton whose states are made as new text asks for them: half a millisecond a sentence, and memory that
grows (docs/log.md). Here the n-grams of a sentence are looked up in a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

LONGEST = 4  # characters of a literal that are looked at: a longer one is sought by its first ones
MOST = 64  # strings that a piece of a pattern is spelled out to

Clause = frozenset[str]
"""Strings of which every match has one at least."""
Piece = tuple["set[str] | None", "list[Clause]"]
"""Part of a pattern: all that it can match, or `None` if that is not spelled out; and then its clauses."""

_UNKNOWN: Piece = (None, [])
_EMPTY: Piece = ({""}, [])
_TOKEN = re.compile(
    r"""[^\\\[\](){}|*+?.^$]+(?![*+?{]) | [^\\\[\](){}|*+?.^$]   # characters that stand for themselves; a quantifier takes the last one
    | \((?!\?) | \(\?: | \(\?P?<\w+> | [)|.^$]
    | (?:[*+?] | \{\d+(?:,\d*)?\})\??
    | \[\^?\]?(?:\\[pP]\{\^?\w+\}|\\.|\[:\^?\w+:\]|[^\]\\])*\]
    | \\[pP](?:\{\^?\w+\}|\w) | \\x(?:\{\w+\}|\w\w) | \\[0-7]{1,3} | \\[^QC]""",
    re.VERBOSE | re.DOTALL,
)
_PLAIN_CLASS = re.compile(r"\[([^\^\]\\\[-][^\]\\\[-]*)\]")


def grams(text: str, longest: int) -> set[str]:
    """Every string of 1 to `longest` characters in the text."""
    return {text[i : i + n] for n in range(1, longest + 1) for i in range(len(text) - n + 1)}


def required(pattern: str) -> list[Clause]:
    """Clauses that hold for every text that the pattern (RE2 syntax) matches, with `LONGEST` characters of each string at most; none: nothing is known."""
    tokens = _TOKEN.findall(pattern)
    if "".join(tokens) != pattern:  # flags, \Q…\E and whatever else this does not read
        return []
    exact, clauses = _alternatives(iter(tokens))
    return clauses if exact is None else _clause(exact)


def _alternatives(tokens: Iterator[str]) -> Piece:
    """What stands up to the end, or up to the parenthesis that closes a group."""
    branches, sequence, last = [], _Sequence(), _EMPTY
    for token in tokens:
        first = token[0]
        if first in "*+?{":
            last = _repeated(last, token)
            continue
        sequence.add(*last)
        if first == ")":
            break
        if first == "|":
            branches.append(sequence.piece())
            sequence, last = _Sequence(), _EMPTY
        elif first == "(":
            last = _alternatives(tokens)
        elif first == "[":
            found = _PLAIN_CLASS.fullmatch(token)
            last = (set(found[1]), []) if found else _UNKNOWN
        elif first == "\\":
            last = ({token[1]}, []) if len(token) == 2 and not token[1].isalnum() else _UNKNOWN
        elif first in "^$":
            last = _EMPTY
        else:
            last = _UNKNOWN if first == "." else ({token}, [])
    else:
        sequence.add(*last)
    branches.append(sequence.piece())
    if len(branches) == 1:
        return branches[0]
    spelled = [exact for exact, _ in branches if exact is not None]
    if len(spelled) == len(branches) and len(exact := set(chain.from_iterable(spelled))) <= MOST:
        return exact, []
    best = [min(clauses if exact is None else _clause(exact), key=frequency, default=None) for exact, clauses in branches]
    return None, [] if None in best else [frozenset(chain.from_iterable(best))]  # type: ignore[arg-type]


def _repeated(piece: Piece, quantifier: str) -> Piece:
    (exact, clauses), first = piece, quantifier[0]
    least = int(re.findall(r"\d+", quantifier)[0]) if first == "{" else first == "+"
    if first == "?" and exact is not None:
        return {"", *exact}, []
    if not least:
        return _UNKNOWN
    return None, clauses if exact is None else _clause(exact)


def _clause(exact: set[str]) -> list[Clause]:
    return [] if "" in exact else [frozenset(s[:LONGEST] for s in exact)]


class _Sequence:
    """Pieces one after another. `run`: what those since the last one that is not spelled out match together."""

    def __init__(self) -> None:
        self.run, self.clauses, self.whole = {""}, [], True

    def add(self, exact: set[str] | None, clauses: list[Clause]) -> None:
        if exact is None:
            self._stop()
            self.clauses += clauses
        else:
            if len(self.run) * len(exact) > MOST or len(min(self.run, key=len)) >= LONGEST:
                self._stop()
            self.run = {a + b for a in self.run for b in exact}

    def _stop(self) -> None:
        self.clauses += _clause(self.run)
        self.run, self.whole = {""}, False

    def piece(self) -> Piece:
        if self.whole:
            return self.run, []
        self._stop()
        return None, self.clauses


def frequency(clause: Clause) -> float:
    """Roughly how often a sentence has one of the strings: each further character makes one ten times as rare."""
    return sum(10.0 ** -len(s) for s in clause)


class Index:
    """Finds the patterns that can match a text, by the clauses of each."""

    def __init__(self, patterns: Sequence[str]):
        self._always: list[int] = []
        self._by_string: dict[str, list[int]] = {}
        self._others: list[list[Clause]] = []
        for i, pattern in enumerate(patterns):
            clauses = sorted(required(pattern), key=frequency)
            self._others.append(clauses[1:])
            if not clauses:
                self._always.append(i)
            for string in clauses[0] if clauses else ():
                self._by_string.setdefault(string, []).append(i)

    def candidates(self, text: str) -> list[int]:
        """The numbers of the patterns that may match, ascending: all that do, and a few others."""
        has = grams(text, LONGEST)
        named = {i for string in self._by_string.keys() & has for i in self._by_string[string]}
        return sorted(chain(self._always, (i for i in named if not any(map(has.isdisjoint, self._others[i])))))
