"""The noise function: what it may do to a sentence, and what it may not."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pypinyin = pytest.importorskip("pypinyin")
from svcnorm import noise as module  # noqa: E402
from svcnorm.noise import alike, noise, sound_alikes, spoken  # noqa: E402

LINES = [
    "您好，很高兴为您服务，请问有什么可以帮您？",
    "套餐是每月129.5元，合约期24个月，到2026年12月到期。",
    "对不起，这个我也没办法，您自己当时没看清楚吗？",
    "请您稍等，我帮您查一下这个订单的物流信息，大概需要两分钟。",
]


def edits(strength: float) -> int:
    """Characters of LINES that differ, in twenty versions of each."""
    pairs = [(line, noise(line, strength, seed=s)) for line in LINES for s in range(20)]
    return sum(sum(x != y for x, y in zip(a, b, strict=False)) + abs(len(a) - len(b)) for a, b in pairs)


@settings(deadline=None)  # the first call reads the corpus
@given(st.text(max_size=60), st.floats(0, 1), st.integers(0, 1000))
def test_any_text_gives_a_text_and_the_same_arguments_the_same_one(text, strength, seed):
    noisy = noise(text, strength, seed=seed)
    assert noisy == noise(text, strength, seed=seed)
    assert bool(noisy) == bool(text)


def test_the_result_does_not_depend_on_what_was_turned_before():
    alone = noise(LINES[0], 0.8, seed=3)
    for line in LINES:
        noise(line, 0.8, seed=3)
    random.seed(1)
    assert noise(LINES[0], 0.8, seed=3) == alone


def test_strength_nought_changes_nothing_and_more_strength_changes_more():
    assert [noise(line, 0) for line in LINES] == LINES
    assert 0 < edits(0.2) < edits(0.5) < edits(1)


def test_a_strength_outside_nought_to_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        noise("好的", 1.5)


def test_texts_without_chinese_stay_as_they_are():
    assert [noise(t, 1) for t in ("", "OK, 12.5!", "[链接x]"[0])] == ["", "OK, 12.5!", "["]


@pytest.mark.parametrize(
    ("number", "read"),
    [
        ("0", "零"), ("7", "七"), ("10", "十"), ("15", "十五"), ("110", "一百一十"), ("305", "三百零五"), ("1000", "一千"),
        ("2026", "二千零二十六"), ("19.90", "十九点九零"), ("010", "零幺零"), ("12345", "幺二三四五"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_read_them(number, read):
    assert spoken(number) == read


def test_years_are_read_digit_by_digit():
    assert "二零二六年" in "".join(noise("到2026年到期的呢这个", 1, seed=s) for s in range(5))


def test_a_replaced_character_sounds_like_the_one_that_was_said(monkeypatch):
    for rate in (
        "SPOKEN",
        "FILLER",
        "REPEAT",
        "FALSE_START",
        "NO_MARKS",
        "MARK_LOST",
        "MARK_PAUSE",
        "MARK_WRONG",
        "CLIPPED",
        "YOU",
        "MISREAD",
    ):
        monkeypatch.setattr(module, rate, 0)
    monkeypatch.setattr(module, "HOMOPHONE", 1)
    changed = 0
    for line in LINES:
        noisy = noise(line, 1)
        assert len(noisy) == len(line)
        said = pypinyin.lazy_pinyin(line, style=pypinyin.Style.TONE3, errors=list)
        for i, (a, b) in enumerate(zip(line, noisy, strict=True)):
            if a != b:
                changed += 1
                assert alike(said[i].rstrip("12345")) == alike(pypinyin.lazy_pinyin(b)[0])
    assert changed > 60


def test_the_two_words_for_you_are_taken_for_each_other():
    assert any("您" not in noise("这个您看一下", 1, seed=s) for s in range(20))
    assert any("您" in noise("这个你看一下", 1, seed=s) for s in range(40))


def test_a_misheard_number_keeps_its_length(monkeypatch):
    for rate in ("SPOKEN", "REPEAT", "FALSE_START"):
        monkeypatch.setattr(module, rate, 0)
    found = {re.sub(r"\D", "", noise("一共是129元", 1, seed=s)) for s in range(60)}
    assert "129" in found
    assert len(found) > 5
    assert {len(n) for n in found} == {3}


def test_the_closest_sounds_are_the_likeliest():
    found = sound_alikes("是", "shi4")
    assert found["事"] > found["时"] > found["四"]  # same tone, other tone, another initial; all three are frequent
    assert "是" not in found


@pytest.mark.parametrize(
    ("name", "sign"), [("pause", "_"), ("filler", "嗯|呃"), ("repeat", r"([^零二])\1"), ("false start", r"(..+)[呃啊]\1")]
)
def test_every_kind_of_slip_occurs(name, sign):
    assert not any(re.search(sign, line) for line in LINES), name
    assert any(re.search(sign, noise(line, 1, seed=s)) for line in LINES for s in range(60)), name


def test_short_answers_get_no_filler_and_no_repeat_that_would_be_an_answer(monkeypatch):
    monkeypatch.setattr(module, "HOMOPHONE", 0)
    assert {noise(t, 1, seed=s) for t in ("好的", "没有") for s in range(50)} == {"好的", "没有"}
