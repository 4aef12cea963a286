"""Decides which worker gets which task, and what becomes of its tasks when a worker dies.

`processes` and `ray_cluster` start workers and reach them; `worker` is what they run.
"""

from __future__ import annotations

import itertools
import logging
import math
import operator
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

from ...errors import DeviceLost, EngineError
from ...inputs.discover import Job
from ..outcome import Outcome
from ..stages import Stages
from ..task import Task
from ..tracker import JobTracker
from .messages import Died, Event, Failed, LogRecord, Ready, WorkerOptions, WorkerPool
from .processes import Processes
from .ray_cluster import Cluster

MOST_TASKS = 16
"""The most tasks that a worker has; with fewer it would have to wait for small pictures."""

MOST_BYTES = 4 * 2**20
"""Bytes of sources after which a worker gets no more tasks, or at the end of a job the others would wait for it."""

FEWEST_TASKS = 3
"""The fewest tasks that a worker has: one is read, one computed, one written."""

SHARES = 2
"""A worker gets its part of the tasks in at least this many shares, in a job that has enough of them; otherwise the
first worker that is ready would take the tasks of all."""

STRIKES = 3
"""Deaths of a worker, without a picture made in between, after which it is given up."""

THREADS = 8
"""Threads that look for what is done, and name results: at a URL each takes a while."""

UNSETTLED = 64
"""Results that wait for their names, after which no more tasks are given out."""

POLL = 0.05
"""Seconds between two looks at results being named."""

log = logging.getLogger("upscaler")


def run(workers: WorkerOptions, tracker: JobTracker, stages: Stages, jobs: Iterable[Job[Any]]) -> Generator[Outcome]:
    """Yields the outcomes of all jobs, as they are finished.

    The tasks that a dead worker had are given to others at the end, one at a time, so that a second death shows which
    picture is at fault; that one fails. Raises the error for which a worker has ended the job, and EngineError when no
    worker is left.
    """
    count = operator.length_hint(jobs)
    with ThreadPoolExecutor(THREADS) as threads, closing(_start_ahead(threads, tracker, jobs)) as started:
        for task in started:
            if not task.is_over:  # workers are started when the first task needs one
                pool: WorkerPool
                if workers.cluster is None:
                    pool = Processes(workers.devices, stages)
                else:
                    pool = Cluster(workers.cluster, stages)
                with closing(pool):
                    tasks = itertools.chain([task], started)
                    yield from _Dispatch(pool, tasks, count, lambda each: threads.submit(tracker.finish, each)).run()
                return
            yield task.outcome()


def _start_ahead(threads: ThreadPoolExecutor, tracker: JobTracker, jobs: Iterable[Job[Any]]) -> Generator[Task]:
    """Yields the tasks of all jobs, in order, some of which are started before they are asked for."""
    begun: deque[Future[Task]] = deque()
    for job in jobs:
        begun.append(threads.submit(tracker.start, job))
        if len(begun) > THREADS:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


class _Dispatch:
    """One run of a pool of workers."""

    def __init__(
        self, pool: WorkerPool, tasks: Iterator[Task], count: int, settle: Callable[[Task], Future[Task]]
    ) -> None:
        """Takes as `count` the number of tasks, 0 if it is not known. `settle` finishes a task in another thread."""
        self._pool = pool
        self._tasks = tasks
        self._settle = settle
        share = math.ceil(count / (SHARES * pool.size)) if count else MOST_TASKS
        self._most = min(max(share, FEWEST_TASKS), MOST_TASKS)
        self._is_over = False
        """Whether all tasks have been given to somebody."""
        self._numbers = itertools.count()
        self._held: dict[int, dict[int, Task]] = {}
        """The tasks of each worker, by number. Workers that are not ready are not here."""
        self._suspects: deque[Task] = deque()
        """Tasks to be done last, and alone."""
        self._seen: set[int] = set()
        """The numbers of tasks that were with a worker when it died."""
        self._strikes: Counter[int] = Counter()
        self._broken: dict[int, DeviceLost] = {}
        """Workers about to end because their device is lost."""
        self._settling: deque[Future[Task]] = deque()

    def run(self) -> Generator[Outcome]:
        for worker in range(self._pool.size):
            self._pool.start(worker)
        while True:
            yield from self._give()
            if self._is_over and not self._suspects and not any(self._held.values()):
                break
            event = self._pool.wait(POLL if self._settling else None)
            if event is not None:
                self._handle(event)
            while self._settling and self._settling[0].done():
                yield self._settling.popleft().result().outcome()
        yield from (settling.result().outcome() for settling in self._settling)

    def _give(self) -> Iterator[Outcome]:
        """Gives out as many tasks as are needed, to the workers with fewest; yields outcomes of tasks over already."""
        while not self._is_over and len(self._settling) < UNSETTLED and (worker := self._least_busy()) is not None:
            task = next(self._tasks, None)
            if task is None:
                self._is_over = True
            elif task.is_over:
                yield task.outcome()
            else:
                self._put(worker, replace(task, number=next(self._numbers)))
        for worker, held in self._held.items() if self._is_over else ():
            if self._suspects and not held:
                self._put(worker, self._suspects.popleft())

    def _least_busy(self) -> int | None:
        def wants(held: dict[int, Task]) -> bool:
            size = sum(task.source_bytes for task in held.values())
            return len(held) < FEWEST_TASKS or (len(held) < self._most and size < MOST_BYTES)

        wanting = [worker for worker, held in self._held.items() if wants(held)]
        return min(wanting, key=lambda worker: len(self._held[worker]), default=None)

    def _put(self, worker: int, task: Task) -> None:
        self._held[worker][task.number] = task
        self._pool.put(worker, task)

    def _handle(self, event: Event) -> None:
        worker, what = event
        if isinstance(what, Ready):
            self._held[worker] = {}
        elif isinstance(what, LogRecord):
            logging.getLogger(what.logger).log(what.level, "%s", what.text)
        elif isinstance(what, Failed):
            if not isinstance(what.error, DeviceLost):
                raise what.error
            self._broken[worker] = what.error
        elif isinstance(what, Died):
            self._lose(worker, what.reason)
        else:
            self._strikes[worker] = 0
            del self._held[worker][what.task.number]
            self._settling.append(self._settle(what.task))

    def _lose(self, worker: int, reason: str) -> None:
        tasks = list(self._held.pop(worker, {}).values())
        if worker in self._broken:  # the device is at fault, and no picture
            reason = str(self._broken.pop(worker)).partition(". ")[0]
            self._tasks, self._is_over = itertools.chain(tasks, self._tasks), False
            tasks = []
        guilty = [task for task in tasks if task.number in self._seen]
        for task in guilty:
            error = (
                f"{task.job.source}: two workers were lost while they were at this picture ({reason}). "
                "Try it alone, or allow less with `memory`."
            )
            self._settling.append(self._settle(task.end(error=error)))
        innocent = [task for task in tasks if task.number not in self._seen]
        self._suspects.extend(innocent)
        self._seen.update(task.number for task in innocent)
        self._strikes[worker] += not guilty
        if self._strikes[worker] < STRIKES:
            log.warning("a worker was lost (%s). Others do what it had.", reason)
            self._pool.start(worker)
        elif sum(strikes >= STRIKES for strikes in self._strikes.values()) < self._pool.size:
            log.warning("a worker was lost %d times (%s). The job goes on without it.", STRIKES, reason)
        else:
            raise EngineError(
                f"all workers were lost, the last one {STRIKES} times in a row ({reason}). "
                "Run the same command again to go on, or allow less with `memory`."
            )
