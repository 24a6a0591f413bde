"""The cache in front of the model, and the threads behind it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from fakes import FakeScorer

from svcnorm.bundle import open_bundle
from svcnorm.labels import LABELS
from svcnorm.model import CachedScorer, OnnxScorer, in_batches


class Counting(FakeScorer):
    def __init__(self):
        super().__init__({"稍等": {"hold": 0.9}, "您好": {"greeting": 0.8}})
        self.asked = []

    def probabilities(self, sentences, batch_size=32):
        self.asked += sentences
        return super().probabilities(sentences, batch_size)


def test_a_repeated_sentence_is_asked_once_and_answered_alike_wherever_it_stands():
    inner = Counting()
    scorer = CachedScorer(inner, 10)
    first = scorer.probabilities(["您好", "您稍等", "您好"])
    again = scorer.probabilities(["您稍等", "您好", "好的"])
    assert inner.asked == ["您好", "您稍等", "好的"]
    assert (first == FakeScorer(inner.words).probabilities(["您好", "您稍等", "您好"])).all()
    assert (again[:2] == first[[1, 0]]).all()
    assert scorer.probabilities([]).shape == (0, len(LABELS))


def test_the_cache_is_bounded_and_forgets_what_was_used_longest_ago():
    inner = Counting()
    scorer = CachedScorer(inner, 2)
    for sentence in ("一", "二", "一", "三", "一", "二"):
        scorer.probabilities([sentence])
    assert inner.asked == ["一", "二", "三", "二"]
    assert scorer.probabilities([f"第{i}句" for i in range(50)]).shape[0] == 50  # a batch larger than the cache


def test_what_a_caller_does_to_an_answer_changes_no_later_one():
    scorer = CachedScorer(Counting(), 10)
    scorer.probabilities(["您好"])[:] = 0
    assert scorer.probabilities(["您好"]).max() == np.float32(0.8)


def test_threads_share_one_cache_and_get_right_answers():
    inner = Counting()
    scorer, wrong = CachedScorer(inner, 5), []

    def work(offset: int) -> None:
        for i in range(200):
            sentences = [f"您稍等{(i + offset) % 9}", "您好"]
            if not np.array_equal(scorer.probabilities(sentences), FakeScorer(inner.words).probabilities(sentences)):
                wrong.append(sentences)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_batch_has_sentences_of_like_length_and_fewer_of_the_long_ones():
    lengths = [4, 90, 5, 128, 400, 5, 4, 6, 4]
    assert in_batches(lengths, 4) == [[4], [3], [1], [7, 2, 5, 0], [6, 8]]
    assert in_batches([], 4) == []


SENTENCES = [f"{i}号工单{'我帮您查一下，' * (i % 7)}请稍等" for i in range(60)]


def test_batches_side_by_side_give_what_one_thread_gives_and_in_its_order():
    together, alone = (OnnxScorer(open_bundle(), threads=n) for n in (3, 1))
    assert (together.logits(SENTENCES, 4) == alone.logits(SENTENCES, 4)).all()
    assert len(np.unique(alone.logits(SENTENCES, 4).round(2), axis=0)) > 10  # they differ, so the order shows


def test_several_callers_share_the_threads_and_get_right_answers():
    scorer = OnnxScorer(open_bundle(), threads=2)
    parts = [SENTENCES[i::4] for i in range(4)]
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(partial(scorer.logits, batch_size=2), parts))
    for part, logits in zip(parts, found, strict=True):
        assert (logits == OnnxScorer(open_bundle(), threads=1).logits(part, 2)).all()
