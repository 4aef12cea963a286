"""Decides which worker gets which picture, and what becomes of its pictures when a worker is lost.

`processes` and `ray_cluster` start workers and reach them; `worker` is what they run.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from ...errors import EngineError
from ...inputs.discover import Job
from ..outcome import Outcome
from ..stages import Report, Stages, Task
from ..tracker import JobTracker
from .messages import Died, Event, Failed, LogRecord, Ready, WorkerOptions, WorkerPool

AHEAD = 16
"""Pictures that a worker has at most, or small ones would come too slowly."""

AHEAD_BYTES = 4 * 2**20
"""Bytes of their sources after which it gets no more, or at the end of a job some would wait for others for long."""

FEWEST = 3
"""Pictures that it has all the same: one is read, one computed, one written."""

STRIKES = 3
"""Times that a worker is lost, without a picture made in between, before it is given up."""

THREADS = 8
"""That look for what is done, and give names: at a URL each takes a while."""

UNSETTLED = 64
"""Results that wait for their names, after which no more are asked for."""

POLL = 0.05
"""Seconds between two looks at names being given."""

log = logging.getLogger("upscaler")

Item = TypeVar("Item")
Result = TypeVar("Result")


def run(workers: WorkerOptions, tracker: JobTracker, stages: Stages, jobs: Iterable[Job]) -> Generator[Outcome]:
    """The outcomes of all jobs, as they are done.

    The pictures that a lost worker had are done by others. Each then comes last, and alone, so that a second loss names
    the one at fault: that has failed. Raises what a worker refused the job for, and EngineError when none is left.
    """
    with ThreadPoolExecutor(THREADS) as pool, closing(_ahead(pool, tracker.start, jobs)) as admitted:
        for item in admitted:
            if isinstance(item, Task):  # before that nobody is needed
                with closing(_make_pool(workers, stages)) as crew:
                    yield from _Dispatch(crew, tracker, pool, itertools.chain([item], admitted)).outcomes()
                return
            yield item


def _make_pool(workers: WorkerOptions, stages: Stages) -> WorkerPool:
    if workers.cluster is not None:
        from .ray_cluster import Cluster

        return Cluster(workers.cluster, stages)
    from .processes import Processes

    return Processes(workers.devices, stages)


def _ahead(pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
    """Of every item, in order, some begun before they are asked for."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) > THREADS:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


class _Dispatch:
    """One run of a crew."""

    def __init__(
        self, crew: WorkerPool, tracker: JobTracker, pool: ThreadPoolExecutor, admitted: Iterator[Task | Outcome]
    ) -> None:
        self._crew = crew
        self._tracker = tracker
        self._pool = pool
        self._admitted = admitted
        self._is_over = False
        """All that was admitted has been given to somebody."""
        self._count = itertools.count()
        self._held: dict[int, dict[int, Task]] = {}
        """By worker, and by number, what is in its hands. Those who are not ready are not here."""
        self._suspects: deque[Task] = deque()
        """To be done last, and alone."""
        self._seen: set[int] = set()
        """Numbers of those that were with a worker when it was lost."""
        self._strikes: Counter[int] = Counter()
        self._settling: deque[Future[Outcome]] = deque()

    def outcomes(self) -> Generator[Outcome]:
        for worker in range(self._crew.size):
            self._crew.start(worker)
        while True:
            yield from self._give()
            if self._is_over and not self._suspects and not any(self._held.values()):
                break
            event = self._crew.wait(POLL if self._settling else None)
            if event is not None:
                self._handle(event)
            while self._settling and self._settling[0].done():
                yield self._settling.popleft().result()
        yield from (settling.result() for settling in self._settling)

    def _give(self) -> Iterator[Outcome]:
        """As many pictures as are needed, to whoever has fewest; the outcomes that are met on the way."""
        while not self._is_over and len(self._settling) < UNSETTLED and (worker := self._hungriest()) is not None:
            item = next(self._admitted, None)
            if item is None:
                self._is_over = True
            elif isinstance(item, Outcome):
                yield item
            else:
                self._put(worker, replace(item, number=next(self._count)))
        for worker, held in self._held.items() if self._is_over else ():
            if self._suspects and not held:
                self._put(worker, self._suspects.popleft())

    def _hungriest(self) -> int | None:
        def wants(held: dict[int, Task]) -> bool:
            return len(held) < FEWEST or (len(held) < AHEAD and sum(task.size for task in held.values()) < AHEAD_BYTES)

        wanting = [worker for worker, held in self._held.items() if wants(held)]
        return min(wanting, key=lambda worker: len(self._held[worker]), default=None)

    def _put(self, worker: int, task: Task) -> None:
        self._held[worker][task.number] = task
        self._crew.put(worker, task)

    def _handle(self, event: Event) -> None:
        worker, what = event.worker, event.what
        if isinstance(what, Ready):
            self._held[worker] = {}
        elif isinstance(what, LogRecord):
            logging.getLogger(what.logger).log(what.level, "%s", what.text)
        elif isinstance(what, Failed):
            raise what.error
        elif isinstance(what, Died):
            self._lose(worker, what.reason)
        else:
            self._strikes[worker] = 0
            self._settle(self._held[worker].pop(what.number), what.report)

    def _lose(self, worker: int, reason: str) -> None:
        tasks = self._held.pop(worker, {}).values()
        guilty = [task for task in tasks if task.number in self._seen]
        for task in guilty:
            error = (
                f"{task.job.source}: two workers were lost while they were at this picture ({reason}). "
                "Look at it on its own; a smaller --tile takes less memory."
            )
            self._settle(task, Report(error))
        innocent = [task for task in tasks if task.number not in self._seen]
        self._suspects.extend(innocent)
        self._seen.update(task.number for task in innocent)
        self._strikes[worker] += not guilty
        if self._strikes[worker] < STRIKES:
            log.warning("a worker was lost (%s). Others do what it had.", reason)
            self._crew.start(worker)
        elif sum(strikes >= STRIKES for strikes in self._strikes.values()) < self._crew.size:
            log.warning("a worker was lost %d times (%s). The job goes on without it.", STRIKES, reason)
        else:
            raise EngineError(
                f"all workers were lost, the last one {STRIKES} times in a row ({reason}). "
                "Run the same command again to go on; a smaller --tile takes less memory."
            )

    def _settle(self, task: Task, report: Report) -> None:
        self._settling.append(self._pool.submit(self._tracker.finish, task, report))
