"""Texts of concurrent callers, labelled together, in as many batches side by side as there are cores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from svcnorm.classifier import Classifier
from svcnorm.results import Prediction

MODEL_BATCH = 2  # sentences: among a few dozen there are few of one length, and padding costs more than small batches do

log = logging.getLogger(__name__)


class Full(Exception):
    """There is no room for more texts now."""


class Failed(Exception):
    """A text cannot be labelled: our bug. The log says where; neither says the text."""


@dataclass(slots=True)
class _Job:
    text: str
    split: bool
    since: float
    done: asyncio.Future[Prediction]


class Batches:
    """Batches of at most `max_batch` texts, in the order in which they came.

    A batch starts when it is full, or when its first text has waited for `max_wait` seconds. `max_open`: texts that are accepted and not
    answered. `work` must run meanwhile, as a task of the same event loop; each such task labels one batch at a time.
    """

    def __init__(self, classifier: Classifier, *, max_wait: float, max_batch: int, max_open: int):
        self.classifier, self.max_wait, self.max_batch, self.max_open = classifier, max_wait, max_batch, max_open
        self.open = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()

    async def label(self, texts: Sequence[str], *, split: bool = True) -> list[Prediction]:
        """What `predict_many` says of the texts. Raises `Full` (while nothing is open any number is taken) or `Failed`."""
        if self.open and self.open + len(texts) > self.max_open:
            raise Full
        loop = asyncio.get_running_loop()
        jobs = [_Job(text, split, loop.time(), loop.create_future()) for text in texts]
        self.open += len(jobs)
        try:
            for job in jobs:
                self._jobs.put_nowait(job)
            return await asyncio.gather(*(job.done for job in jobs))
        finally:
            self.open -= len(jobs)

    async def work(self) -> None:
        while True:
            batch = [await self._jobs.get()]
            with suppress(TimeoutError):
                async with asyncio.timeout_at(batch[0].since + self.max_wait):
                    while len(batch) < self.max_batch:
                        batch.append(await self._jobs.get())
            for split in (True, False):
                if jobs := [job for job in batch if job.split == split and not job.done.done()]:  # done: given up
                    await self._answer(jobs)

    async def _answer(self, jobs: list[_Job]) -> None:
        try:
            found = await asyncio.to_thread(self._predict, [job.text for job in jobs], jobs[0].split)
        except Exception:
            if len(jobs) == 1:
                log.exception("a text of %d characters could not be labelled", len(jobs[0].text))
                if not jobs[0].done.done():
                    jobs[0].done.set_exception(Failed())
                return
            for job in jobs:  # the text that fails takes no other down
                await self._answer([job])
            return
        for job, prediction in zip(jobs, found, strict=True):
            if not job.done.done():
                job.done.set_result(prediction)

    def _predict(self, texts: list[str], split: bool) -> list[Prediction]:
        return list(self.classifier.predict_many(texts, split=split, batch_size=MODEL_BATCH))
