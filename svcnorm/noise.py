"""Text as a speech recogniser would leave it: for augmentation and for tests of robustness. Labels stay what they were.

    python -m svcnorm.noise [--strength 0.5] [--seed 0] < sentences > noisy

What happens follows what real transcripts show: same-sound slips (the candidates are the characters of svcnorm/sounds.txt that
sound alike, weighted by how alike and how common they are), 您 for 你 and 你 for 您, numbers read out or misheard, fillers, repeats,
false starts, punctuation lost, wrong or turned into pauses, an end cut off. Readings come from pypinyin (the extra `[evaluate]`).
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections import defaultdict
from functools import cache
from importlib.resources import files

from svcnorm.errors import MissingExtraError

try:
    from pypinyin import Style, lazy_pinyin
except ImportError:
    raise MissingExtraError("svcnorm.noise needs pypinyin; install svcnorm[evaluate]") from None

# Share of the places where each slip happens at strength 1
HOMOPHONE = 0.06  # of Chinese characters
SPOKEN, MISREAD = 0.9, 0.4  # of numbers
FILLER, REPEAT, FALSE_START = 0.3, 0.15, 0.08  # of clauses
MARK_LOST, MARK_PAUSE, MARK_WRONG = 0.4, 0.25, 0.1  # of punctuation marks
NO_MARKS, CLIPPED, YOU = 0.5, 0.15, 0.6  # of texts

FILLERS = ("嗯", "呃", "啊", "那个", "就是", "这个", "呃那个")  # none that could be heard as an answer
MARKS = "，。！？、；：,.!?;:~～…"
SAME_TONE, OTHER_TONE, ALIKE = 1.0, 0.6, 0.2  # how alike: same syllable and tone, same syllable, a syllable often taken for it
_NEAR = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"))  # initials that speakers and recognisers mix up; -ng / -n likewise
_HAN = re.compile(r"[\u4e00-\u9fff]")
_CLAUSE = re.compile(rf"[^{re.escape(MARKS)}_\s]+")
_MARK = re.compile(rf"(?<!\d)[{re.escape(MARKS)}]|[{re.escape(MARKS)}](?!\d)")  # not the point or colon inside a number
_NUMBER = re.compile(r"(?<![A-Za-z\d.])(\d+(?:\.\d+)?)(?![A-Za-z\d.])(年?)")
_DIGITS = "零一二三四五六七八九"


def noise(text: str, strength: float = 0.5, *, seed: int = 0) -> str:
    """`text` with the slips of a recogniser. `strength` is from 0 (the text itself) to 1 (a bad line and a bad engine).

    The result depends on the three arguments alone, not on what was turned before. Raises `ValueError` for a strength outside 0 to 1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must lie between 0 and 1, got {strength}")
    if strength == 0 or not _HAN.search(text):
        return text
    rng = random.Random(f"{seed}:{strength}:{text}")
    likely = lambda rate: rng.random() < rate * strength  # noqa: E731
    text = _NUMBER.sub(lambda m: _other_number(m[0], rng) if likely(MISREAD) else m[0], text)
    if likely(YOU):
        text = text.translate(str.maketrans(*(("您", "你") if rng.random() < 0.7 else ("你", "您"))))
    text = _NUMBER.sub(lambda m: spoken(m[1], by_digit=len(m[1]) == 4 and bool(m[2])) + m[2] if likely(SPOKEN) else m[0], text)
    text = _CLAUSE.sub(lambda m: _hesitant(m[0], likely, rng), text)
    text = _misheard(text, likely, rng)
    bare = likely(NO_MARKS)
    text = _MARK.sub(lambda m: "" if bare else _mark(m[0], likely, rng), text)
    text = re.sub("_{2,}", "_", text).strip("_")
    return text[:-1] if len(text) > 12 and likely(CLIPPED) else text


def spoken(number: str, *, by_digit: bool = False) -> str:
    """A number as it is read out: up to four digits as a number, longer ones and those with a leading zero digit by digit (1 as 幺, not in years).

    >>> spoken("305"), spoken("19.9"), spoken("1008611")
    ('三百零五', '十九点九', '幺零零八六幺幺')
    """
    whole, _, rest = number.partition(".")
    tail = "点" + "".join(_DIGITS[int(d)] for d in rest) if rest else ""
    if by_digit:
        return "".join(_DIGITS[int(d)] for d in whole) + tail
    if len(whole) > 4 or (len(whole) > 1 and whole[0] == "0"):
        return "".join("幺" if d == "1" else _DIGITS[int(d)] for d in whole) + tail
    read = "".join(
        _DIGITS[int(d)] + ("" if d == "0" else unit) for d, unit in zip(whole, ("千", "百", "十", "")[4 - len(whole) :], strict=True)
    )
    read = re.sub("零+", "零", read)
    read = read.rstrip("零") or "零"
    read = re.sub("^一十", "十", read)
    return read + tail


def _other_number(number: str, rng: random.Random) -> str:
    """`number` with one of its digits replaced by any of 1 to 9."""
    at = rng.choice([i for i, c in enumerate(number) if c.isdigit()])
    return number[:at] + rng.choice("123456789") + number[at + 1 :]


def _hesitant(clause: str, likely, rng: random.Random) -> str:
    """A clause with a repeat, a false start or a filler. Short ones stay: a filler there would be an answer."""
    if len(clause) < 5:
        return clause
    if likely(REPEAT):  # 那这边这边给您
        start, length = rng.randrange(len(clause) - 3), rng.choice((1, 2, 2))
        chunk = clause[start : start + length]
        if all(map(_HAN.match, chunk)):
            clause = clause[: start + length] + chunk + clause[start + length :]
    if likely(FALSE_START):  # 您这个呃您这个套餐
        clause = clause[: rng.choice((2, 3, 4))] + rng.choice(("呃", "啊", "_")) + clause
    if likely(FILLER):
        at = 0 if rng.random() < 0.6 else rng.randrange(1, len(clause))
        clause = clause[:at] + rng.choice(FILLERS) + clause[at:]
    return clause


def _misheard(text: str, likely, rng: random.Random) -> str:
    places = [i for i, c in enumerate(text) if _HAN.match(c) and likely(HOMOPHONE)]
    if not places:
        return text
    readings = lazy_pinyin(text, style=Style.TONE3, errors=list)
    chars = list(text)
    for i in places:
        if others := sound_alikes(chars[i], readings[i]):
            chars[i] = rng.choices(list(others), list(others.values()))[0]
    return "".join(chars)


def _mark(mark: str, likely, rng: random.Random) -> str:
    if likely(MARK_LOST):
        return ""
    if likely(MARK_PAUSE):
        return "_"
    return rng.choice("，。") if likely(MARK_WRONG) else mark


def alike(syllable: str) -> str:
    """A key that syllables share which are often taken for each other: zh/z, ch/c, sh/s, n/l, -ng/-n."""
    for initial, plain in _NEAR:
        if syllable.startswith(initial):
            syllable = plain + syllable[len(initial) :]
            break
    return re.sub("(?<=[aei])ng$", "n", syllable)


@cache
def sound_alikes(char: str, reading: str) -> dict[str, float]:
    """Characters that sound like `char` when read `reading` (pinyin with the tone as a last digit), and their weights."""
    syllable = reading.rstrip("12345")
    found = {}
    for other, (its, count) in _by_sound().get(alike(syllable), {}).items():
        if other != char:
            likeness = SAME_TONE if its == reading else OTHER_TONE if its.rstrip("12345") == syllable else ALIKE
            found[other] = likeness * count**0.5
    return found


@cache
def _by_sound() -> dict[str, dict[str, tuple[str, int]]]:
    """Key of `alike` -> character -> its reading and its count in the corpus (svcnorm/sounds.txt, made by scripts/make_sounds.py)."""
    table: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for line in (files("svcnorm") / "sounds.txt").read_text(encoding="utf-8").splitlines():
        char, reading, count = line.split()
        table[alike(reading.rstrip("12345"))][char] = (reading, int(count))
    return dict(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strength", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for line in sys.stdin:
        print(noise(line.rstrip("\n"), args.strength, seed=args.seed))


if __name__ == "__main__":
    main()
