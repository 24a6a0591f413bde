"""What to label next."""

import numpy as np

from svcnorm.labels import LABELS, NAMES
from svcnorm.selection import REASONS, diverse, rare, select, uncertain


def table(*rows: dict[str, float]) -> np.ndarray:
    out = np.zeros((len(rows), len(LABELS)), np.float32)
    for row, labels in zip(out, rows, strict=True):
        for name, p in labels.items():
            row[NAMES.index(name)] = p
    return out


def test_the_least_sure_sentence_comes_first():
    assert uncertain(table({"hold": 0.95}, {"hold": 0.5}, {"hold": 0.3, "apology": 0.4}), {}) == [2, 1, 0]


def test_doubt_about_a_rare_label_weighs_more():
    p = table({"hold": 0.5}, {"rudeness": 0.4})
    assert uncertain(p, {}) == [0, 1]
    assert uncertain(p, {"hold": 1000, "rudeness": 3}) == [1, 0]


def test_labels_with_few_sentences_take_their_turn_before_others():
    p = table({"hold": 0.9}, {"rudeness": 0.3}, {"rudeness": 0.2}, {"rudeness": 0.05})
    assert rare(p, {"hold": 1000, "rudeness": 3}) == [1, 2, 0]
    assert rare(p, {"hold": 3, "rudeness": 1000})[0] == 0


def test_diverse_sentences_are_unlike_each_other():
    texts = ["请您稍等我查一下", "请您稍等我查一下啊", "您的套餐下个月到期", "您的套餐下个月就到期"]
    first, second = diverse(texts, 2)
    assert {first // 2, second // 2} == {0, 1}


def test_the_budget_is_kept_and_reasons_take_turns():
    texts = [f"这是第{c}句要标的话" for c in "一二三四五六七八九十"]
    p = table(*({"hold": 0.05 * i + 0.2} for i in range(10)))
    chosen = select(texts, p, 6, strategies=REASONS)
    assert len({i for i, _ in chosen}) == 6
    assert [reason for _, reason in chosen[:4]] == ["uncertain", "rare", "diverse", "random"]


def test_a_random_pick_hangs_on_its_seed_alone():
    texts = [f"这是第{c}句要标的话" for c in "一二三四五六七八九十"]
    low, high = table(*({"hold": 0.1},) * 10), table(*({"hold": 0.05 * i} for i in range(10)))
    picked = {seed: select(texts, low, 5, strategies=("random",), seed=seed) for seed in range(4)}
    assert {reason for chosen in picked.values() for _, reason in chosen} == {"random"}
    assert len({tuple(chosen) for chosen in picked.values()}) > 1
    assert picked[1] == select(texts, high, 5, strategies=("random",), seed=1)


def test_what_is_labelled_or_repeated_is_passed_over_whatever_its_marks():
    texts = ["好的，您稍等。", "好的您稍等", "请问您贵姓", "？", "请问您贵姓？"]
    chosen = select(texts, table(*({"hold": 0.5},) * 5), 10, known=["好的_您稍等"])
    assert [i for i, _ in chosen] == [2]


def test_more_budget_than_sentences_takes_them_all_and_an_empty_pool_none():
    texts = ["请问您贵姓", "您的地址是哪里"]
    assert sorted(i for i, _ in select(texts, table({}, {}), 50)) == [0, 1]
    assert select([], table(), 5) == []
