"""Personal data in Chinese transcripts: found, and masked character for character, so that every offset and every other character stays.

What is masked becomes 0. The model reads any digit as the same one (training/train.py, FOLDS), so a masked number is to it what the number was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from svcnorm.results import Span
from svcnorm.text import normalise

_SEP = r"[ _－-]?"  # speech recognisers and people put these between groups of digits
_DIGITS = rf"(?<![0-9])[0-9](?:{_SEP}[0-9]){{%s}}(?![0-9])"
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True, slots=True)
class PersonalData:
    """`kind`: phone, identity_card, bank_card or plate; `span` in the caller's own text."""

    kind: str
    span: Span


def _identity_card(value: str) -> bool:
    """Checksum of GB 11643-1999."""
    return "10X98765432"[sum(w * int(c) for w, c in zip(_WEIGHTS, value, strict=False)) % 11] == value[17].upper()


def _luhn(value: str) -> bool:
    """Checksum of ISO/IEC 7812-1."""
    doubled = [int(c) * (1 + i % 2) for i, c in enumerate(reversed(value))]
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0 and any(doubled)


_KINDS = (  # the first kind that claims a place has it
    ("identity_card", re.compile(rf"(?<![0-9])[1-9](?:{_SEP}[0-9]){{16}}{_SEP}[0-9x](?![0-9a-z])"), _identity_card),
    ("bank_card", re.compile(_DIGITS % "15,18"), _luhn),
    ("phone", re.compile(rf"(?<![0-9])(?:[+＋]?86{_SEP})?1[3-9](?:{_SEP}[0-9]){{9}}(?![0-9])"), None),
    ("phone", re.compile(rf"(?<![0-9])0[1-9][0-9]{{1,2}}{_SEP}[2-9][0-9]{{6,7}}(?![0-9])"), None),
    ("plate", re.compile(rf"[{_PROVINCES}][a-z][·. ]?(?:[a-z0-9]{{5,6}}|[a-z0-9]{{4}}[学警港澳挂])(?![a-z0-9])"), lambda v: any(map(str.isdigit, v))),
)  # fmt: skip


def find_personal_data(text: str) -> list[PersonalData]:
    """Mobile and fixed phones, identity cards and bank cards (with a right checksum), number plates, in the order of their places."""
    found: list[PersonalData] = []
    plain = normalise(text)
    for kind, pattern, valid in _KINDS:
        for match in pattern.finditer(plain):
            span = Span(*match.span())
            taken = any(span.start < p.span.end and p.span.start < span.end for p in found)
            if not taken and (valid is None or valid(re.sub(r"[ _·.－-]", "", match[0]))):
                found.append(PersonalData(kind, span))
    return sorted(found, key=lambda p: p.span.start)


def mask(text: str) -> str:
    """The text with 0 for every letter and digit of personal data; the province of a plate stays. As long as the text was."""
    chars = list(text)
    for i in _masked(text):
        chars[i] = "0"
    return "".join(chars)


def _masked(text: str) -> Iterator[int]:
    for p in find_personal_data(text):
        yield from (i for i in range(p.span.start + (p.kind == "plate"), p.span.end) if text[i].isalnum())
