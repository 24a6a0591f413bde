from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcnorm import DataError
from svcnorm.text import MAX_SENTENCE, _t2s, normalise, split

texts = st.text(st.characters() | st.sampled_from("您好_ 　，。！？；\n…嗯ＡＢ１２繁體對話"), max_size=300)


def pieces(text):
    return [span.of(text) for span in split(text)]


@given(texts)
def test_normalising_keeps_the_length_and_is_done_in_one_go(text):
    once = normalise(text)
    assert len(once) == len(text)
    assert normalise(once) == once


@given(texts)
def test_sentences_are_in_order_do_not_overlap_and_lose_no_word(text):
    spans = split(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(0 <= s.start < s.end <= len(text) for s in spans)
    assert all(s.end - s.start <= MAX_SENTENCE for s in spans)
    covered = set().union(*(range(s.start, s.end) for s in spans), set())
    assert all(i in covered for i, c in enumerate(text) if "\u4e00" <= c <= "\u9fff")


@given(texts)
def test_a_sentence_that_was_split_off_is_one_sentence(text):
    for sentence in pieces(text):
        assert [s.of(sentence) for s in split(sentence)] in ([sentence], pieces(sentence))
        assert "".join(pieces(sentence)).replace(" ", "")[:1] == sentence[:1]


def test_letters_digits_case_controls_and_traditional_forms_are_evened_out():
    assert normalise("ＷＩＦＩ１２３\t沒辦法\u200b，OK") == "wifi123 没办法 ，ok"


def test_punctuation_stays_as_it_is():
    assert normalise("您好，请稍等。！？") == "您好，请稍等。！？"


def test_characters_that_are_simplified_themselves_are_not_mapped():
    assert normalise("著名乾隆") == "著名乾隆"


def test_a_lone_surrogate_becomes_something_that_can_be_encoded():
    assert normalise("好\ud800").encode() == "好\ufffd".encode()


def test_the_table_maps_one_character_to_one_and_never_in_two_steps():
    table = _t2s()
    assert len(table) > 3500
    assert all(len(k) == len(v) == 1 for k, v in table.items())
    assert not set(table.values()) & set(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("您好。请稍等！好吗？", ["您好。", "请稍等！", "好吗？"]),
        ("真的吗？！我看看", ["真的吗？！", "我看看"]),
        ("他说“不行。”我没听见", ["他说“不行。”", "我没听见"]),
        ("第一行\n第二行；第三", ["第一行", "第二行；", "第三"]),
        ("好的那您稍等一下_我这边帮您查询", ["好的那您稍等一下", "我这边帮您查询"]),
        ("幺三八_零零四_二二", ["幺三八_零零四_二二"]),
        ("这个我看一下啊 您是上个月办的", ["这个我看一下啊", "您是上个月办的"]),
        ("用 Wi Fi 连 5 G", ["用 Wi Fi 连 5 G"]),
        ("费用128.50元。", ["费用128.50元。"]),
        ("", []),
        ("。。。！ _ _", []),
        ("😀🙏", []),
    ],
)
def test_splitting(text, expected):
    assert pieces(text) == expected


def test_speech_without_any_mark_stays_whole_up_to_the_bound_and_is_then_cut_at_a_comma():
    speech = "就是说" * 30
    assert pieces(speech) == [speech]
    long = "那" * 80 + "，" + "对" * 100
    assert pieces(long) == ["那" * 80 + "，", "对" * 100]


def test_a_hundred_thousand_characters_are_all_kept():
    text = "好" * 100_000
    assert "".join(pieces(text)) == text


@pytest.mark.parametrize("value", [None, 3, b"\xc4\xe3", ["您好"]])
def test_what_is_no_string_is_refused_with_its_type(value):
    for function in (normalise, split):
        with pytest.raises(DataError, match=f"a text must be str, got {type(value).__name__}"):
            function(value)
