"""Text before anything looks at it: `normalise` keeps every offset, `split` finds the sentences.

Everything that the model and the rules see has gone through `normalise`, which maps one character to one character; a span found in
the normalised text is therefore a span of the caller's own string.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from svcnorm.errors import DataError
from svcnorm.results import Span

MAX_SENTENCE = 120  # characters; longer speech is cut at its last comma or pause before this
_MIN_PIECE = 6  # a pause mark cuts only where both sides have this many characters: 幺三八_零零四 is one utterance

_TERMINATORS = "。！？!?；;\n"
_CLOSERS = "”’\"'」』）)】》〉]"
_SENTENCE_END = re.compile(rf"[{re.escape(_TERMINATORS)}]+[{re.escape(_CLOSERS)}]*")
_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_PAUSE = re.compile(rf"_+\s*|(?<=[{_HAN}])[ \t\u3000]+(?=[{_HAN}])")
_SOFT_CUT = re.compile(r"[，,、：:_\s]+")
_WORD = re.compile(r"[^\W_]")


class _Table(dict):
    """A `str.translate` table that works out each code point once."""

    def __missing__(self, point: int) -> int:
        self[point] = mapped = ord(_map(chr(point)))
        return mapped


def _map(char: str) -> str:
    point = ord(char)
    if 0xFF10 <= point <= 0xFF5A and chr(point - 0xFEE0).isalnum():  # full-width digits and letters, not punctuation
        char = chr(point - 0xFEE0)
    category = unicodedata.category(char)
    if category == "Cs":  # a lone surrogate cannot be encoded
        return "\ufffd"
    if category in ("Cc", "Cf", "Zs", "Zl", "Zp") and char != "\n":
        return " "
    lower = char.lower()
    return _t2s().get(char, lower if len(lower) == 1 else char)


@cache
def _t2s() -> dict[str, str]:
    traditional, simplified = (files("svcnorm") / "t2s.txt").read_text(encoding="utf-8").split()
    return dict(zip(traditional, simplified, strict=True))


_TABLE = _Table()


def normalise(text: str) -> str:
    """`text` with full-width letters and digits, case, control characters and traditional forms evened out.

    One character becomes one character, so `len(normalise(text)) == len(text)` and offsets carry over. Controls and odd spaces become
    a plain space, line ends stay, lone surrogates become U+FFFD. The result of a normalised text is itself.
    """
    return check_text(text).translate(_TABLE)


def check_text(text: object) -> str:
    """`text` itself if it is a string; raises `DataError` otherwise."""
    if not isinstance(text, str):
        raise DataError(f"a text must be str, got {type(text).__name__}; decode bytes, and replace nulls by '' before predicting")
    return text


def split(text: str) -> list[Span]:
    """The sentences of `text`, in order, as half-open spans into it.

    Cuts behind 。！？!?；; and at line ends; at pause marks (`_`, a space between Chinese characters) where both sides have some
    length; and, where there is nothing of the kind for `MAX_SENTENCE` characters, at the last comma before that or just there. Spans
    never overlap, have no white space or pause mark at their ends, and hold at least one letter, digit or Chinese character.
    """
    check_text(text)
    spans = []
    for start, end in _edited(text):
        for s, e in _paused(text, start, end):
            for s2, e2 in _bounded(text, s, e):
                s2, e2 = _trim(text, s2, e2)
                if s2 < e2 and _WORD.search(text, s2, e2):
                    spans.append(Span(s2, e2))
    return spans


def _edited(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _SENTENCE_END.finditer(text):
        yield start, match.end()
        start = match.end()
    yield start, len(text)


def _paused(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _PAUSE.finditer(text, start, end):
        if match.start() - start >= _MIN_PIECE and end - match.end() >= _MIN_PIECE:
            yield start, match.start()
            start = match.end()
    yield start, end


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > MAX_SENTENCE:
        cut = start + MAX_SENTENCE
        for match in _SOFT_CUT.finditer(text, start + MAX_SENTENCE // 2, cut):
            cut = match.end()
        yield start, cut
        start = cut
    yield start, end


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and (text[start].isspace() or text[start] == "_"):
        start += 1
    while end > start and (text[end - 1].isspace() or text[end - 1] == "_"):
        end -= 1
    return start, end


def bare(text: str) -> str:
    """The text normalised and without its marks: what two transcripts of the same words have in common."""
    return "".join(c for c in normalise(text) if c.isalnum())
