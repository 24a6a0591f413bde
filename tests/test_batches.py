import asyncio
import sys
import threading

import pytest
from fakes import FakeScorer

from svcnorm import Classifier, Norm
from svcnorm.batches import Batches, Failed, Full

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout")
TEXTS = ["您好。请稍等", "这个没办法", "", "好的"]


class Recorder(FakeScorer):
    """Keeps what it was asked in each call; fails over 坏, and waits for `go` where it is cleared."""

    def __init__(self):
        super().__init__({"您好": {"greeting": 0.9}, "请稍等": {"hold": 0.9}})
        self.asked, self.go, self.begun = [], threading.Event(), threading.Event()
        self.go.set()

    def probabilities(self, sentences, batch_size=32):
        self.asked.append(list(sentences))
        self.begun.set()
        assert self.go.wait(10)
        if any("坏" in s for s in sentences):
            raise ValueError(f"no number for {sentences}")
        return super().probabilities(sentences, batch_size)


@pytest.fixture
def scorer() -> Recorder:
    return Recorder()


def run(scorer, use, workers=1, **limits):
    """The result of `use(batches)`, with the work going on meanwhile."""

    async def main():
        batches = Batches(Classifier(scorer, Norm.load("base")), **{"max_wait": 0.05, "max_batch": 16, "max_open": 100, **limits})
        tasks = [asyncio.create_task(batches.work()) for _ in range(workers)]
        try:
            return await use(batches)
        finally:
            for task in tasks:
                task.cancel()

    return asyncio.run(main())


async def begun(scorer) -> None:
    assert await asyncio.to_thread(scorer.begun.wait, 10)


def test_texts_of_concurrent_callers_share_a_batch_and_each_gets_what_predict_gives(scorer):
    found = run(scorer, lambda b: asyncio.gather(*(b.label([t]) for t in TEXTS)))
    assert scorer.asked == [["您好。", "请稍等", "这个没办法", "好的"]]
    assert [p for (p,) in found] == [Classifier(scorer, Norm.load("base")).predict(t) for t in TEXTS]


def test_a_full_batch_does_not_wait_and_a_lone_text_waits_no_longer_than_it_was_told(scorer):
    async def use(batches):
        async with asyncio.timeout(10):
            return await batches.label(TEXTS[:2])

    run(scorer, use, max_batch=2, max_wait=3600)
    run(scorer, lambda b: b.label(["好的"]), max_wait=0.01)
    assert [len(s) for s in scorer.asked] == [3, 1]


def test_what_came_while_a_batch_was_at_work_goes_next_in_its_order(scorer):
    scorer.go.clear()

    async def use(batches):
        first = asyncio.create_task(batches.label(["一"]))
        await begun(scorer)
        rest = [asyncio.create_task(batches.label([t])) for t in "二三四"]
        while batches.open < 4:
            await asyncio.sleep(0)
        scorer.go.set()
        return await asyncio.gather(first, *rest)

    run(scorer, use, max_wait=0, max_batch=2)
    assert scorer.asked == [["一"], ["二", "三"], ["四"]]


def test_a_second_worker_goes_on_while_the_first_is_at_work(scorer):
    scorer.go.clear()

    async def use(batches):
        first = asyncio.create_task(batches.label(["一"]))
        await begun(scorer)
        second = asyncio.create_task(batches.label(["二"]))
        async with asyncio.timeout(10):
            while len(scorer.asked) < 2:
                await asyncio.sleep(0.001)
        scorer.go.set()
        return await asyncio.gather(first, second)

    (one,), (two,) = run(scorer, use, workers=2, max_wait=0)
    assert scorer.asked == [["一"], ["二"]]
    assert (one.text, two.text) == ("一", "二")


def test_whole_texts_and_texts_to_split_are_not_mixed_up(scorer):
    whole, cut = run(scorer, lambda b: asyncio.gather(b.label(TEXTS[:1], split=False), b.label(TEXTS[:1])))
    assert [len(p.sentences) for p in (*whole, *cut)] == [1, 2]


def test_a_text_that_fails_takes_no_other_down_and_the_log_does_not_have_it(scorer, caplog):
    texts = ["好的", "坏的", "您好"]
    found = run(scorer, lambda b: asyncio.gather(*(b.label([t]) for t in texts), return_exceptions=True))
    assert [isinstance(f, Failed) for f in found] == [False, True, False]
    assert "a text of 2 characters" in caplog.messages[0]
    assert "坏" not in caplog.messages[0]


def test_beyond_the_limit_texts_are_refused_but_an_idle_service_takes_any_number(scorer):
    scorer.go.clear()

    async def use(batches):
        first = asyncio.create_task(batches.label(["好的"] * 5))
        await begun(scorer)
        with pytest.raises(Full):
            await batches.label(["好的"])
        scorer.go.set()
        await first
        return batches.open

    assert run(scorer, use, max_open=3) == 0


def test_what_its_caller_has_given_up_is_not_labelled(scorer):
    scorer.go.clear()

    async def use(batches):
        first = asyncio.create_task(batches.label(["一"]))
        await begun(scorer)
        second, third = (asyncio.create_task(batches.label([t])) for t in "二三")
        while batches.open < 3:
            await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        await asyncio.wait([first, second])
        scorer.go.set()
        await third
        return batches.open

    assert run(scorer, use, max_wait=0) == 0
    assert scorer.asked == [["一"], ["三"]]
