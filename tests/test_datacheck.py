"""Labelled data looked over before it trains."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
from svcnorm.datacheck import agreement, check, leakage, near, out_of_fold, probable_errors
from svcnorm.examples import Example
from svcnorm.labels import LABELS, NAMES

pytestmark = pytest.mark.filterwarnings("ignore:May not flag all label issues")  # cleanlab, of labels that so small a file does not have


def example(text, *labels, id="", **fields):
    return Example(id, text, labels, fields)


def test_near_duplicates_are_found_where_there_are_some():
    assert near({"a": "请问您还有别的问题要咨询吗？"}, {"b": "请问您还有别的问题要咨询吗", "c": "请问您贵姓"}) == [("a", "b")]
    assert near({"a": "好的好的"}, {"b": "好的好的", "c": "请问您还有别的问题要咨询吗"}) == []
    assert near({"a": "好的好的"}, {"b": "好的好的"}) == []


def test_duplicates_and_conflicts_are_told_apart_whatever_the_marks():
    found = check([
        example("您稍等，我看一下。", "hold", id="a"), example("您稍等我看一下", "hold", id="b"),
        example("这个没有", "blunt_refusal", id="c"), example("这个没有。", "explanation", id="d"), example("再见", "farewell", id="a"),
    ])  # fmt: skip
    assert found["duplicates"] == [["a", "b"]]
    assert found["conflicts"] == [{"ids": ["c", "d"], "labels": [["blunt_refusal"], ["explanation"]]}]
    assert found["repeated_ids"] == ["a"]


def test_labels_with_next_to_nothing_to_learn_from_are_named():
    found = check([example(f"您稍等第{i}次", "hold") for i in range(25)])
    assert found["labels"]["hold"] == 25
    assert set(found["few"]) == set(NAMES) - {"hold"}


def test_what_stands_in_held_out_data_too_is_leakage_even_with_a_word_changed():
    held = [example("我这边帮您把上个月多扣的流量费退回到原来的账户里", id="h1"), example("好的", id="h2")]
    assert leakage([example("我这边帮您把上个月多扣的流量费退回原来的账户里。", id="a"), example("好的", id="b")], held) == [["a", "h1"]]
    assert leakage([], held) == []


def test_agreement_is_cohens_kappa_averaged_over_pairs_of_annotators():
    rows = [("hold", "hold"), ("hold", "hold"), ("", ""), ("", "hold")]
    sets = [{"a": [a] if a else [], "b": [b] if b else []} for a, b in rows]
    found = agreement(example(f"句{i}", annotators=s) for i, s in enumerate(sets))
    assert found["hold"] == {"sentences": 4, "kappa": pytest.approx(0.5)}
    assert found["apology"]["kappa"] is None
    assert agreement([example("只有一个人标过", annotators={"a": ["hold"]})]) == {}


def test_the_surest_label_errors_come_first_given_ones_and_missing_ones():
    rng = np.random.default_rng(0)
    examples = [example(f"句子{i}", *(["hold"] if i % 2 else ["apology"]), id=f"s{i}") for i in range(100)]
    p = np.full((100, len(LABELS)), 0.01)
    for i, e in enumerate(examples):
        p[i, NAMES.index(e.labels[0])] = 0.97
    p += rng.uniform(0, 0.01, p.shape)
    hold = NAMES.index("hold")
    p[7, hold], p[8, hold] = 0.001, 0.999  # one that is given and looks wrong, one that is missing
    found = probable_errors(examples, p)
    assert [(r["id"], r["label"], r["given"]) for r in found[:2]] in (
        [("s7", "hold", True), ("s8", "hold", False)],
        [("s8", "hold", False), ("s7", "hold", True)],
    )


def test_out_of_fold_probabilities_have_not_seen_the_sentences_own_call():
    """Each call says the same words with a label of its own; whoever judges it without the call cannot know the label."""
    words = ["橙子苹果香蕉", "钢笔铅笔橡皮", "火车飞机轮船", "衬衫裤子帽子"]
    examples = [
        example(words[c] + "一二三四五"[i], *(["hold"] if c % 2 else []), id=f"{c}-{i}", call_id=f"c{c}")
        for c in range(4)
        for i in range(5)
    ]
    p = out_of_fold(examples, folds=4)[:, NAMES.index("hold")]
    own = np.array([bool(e.labels) for e in examples])
    assert p[own].mean() < p[~own].mean() + 0.2  # with the call in sight the difference would be near 1 the other way


def test_personal_data_are_listed_by_place_without_being_repeated():
    found = check([example("您的手机13800138000对吗", "confirmation", id="a")])["personal_data"]
    assert found == [{"id": "a", "kind": "phone", "start": 4, "end": 15}]
    assert "13800138000" not in str(found)
