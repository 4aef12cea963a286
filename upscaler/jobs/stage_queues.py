"""Takes tasks through the three stages of a job at the same time: reading, computing, writing.

The queue between two stages is bounded by its bytes, so that many small pictures wait where few large ones would. While
a GPU computes, the processors of this process read and write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from itertools import chain, repeat
from queue import SimpleQueue
from typing import Literal, TypeAlias

from ..machine import count_processors
from .stages import Stages
from .task import Task

OnError = Callable[[Exception], None]

Item: TypeAlias = "Task | Literal['end'] | None"
""""end" says that no more tasks come; None that it is not known when the next one does, or whether."""

WAITING = 256 * 2**20
"""The most bytes of pixels in the queue before computing, and for each writer in the one before writing."""

WRITERS = 2
"""Threads that write while a CPU computes: encoding is work for one core, and slower than a fast network."""


class Cancelled(Exception):
    """The queue was stopped; the tasks in it are dropped."""


class BoundedQueue:
    """A queue from one stage to the next.

    Tasks of one batch key leave it in groups. Which tasks are together depends on their order and bytes alone, not on
    time, so that a job computes the same batches whenever it runs. A group is complete when it has as many tasks as may
    be computed together, when the incomplete groups and the next task have more than half of WAITING, and at the end.
    """

    def __init__(self, consumers: int = 1, has_batches: bool = False) -> None:
        """Makes a queue of WAITING bytes for each of the threads that take from it."""
        self.consumers = consumers
        self._has_batches = has_batches
        self._turn = 0
        self._complete: list[list[Task]] = []
        self._incomplete: dict[Hashable, list[Task]] = {}
        self._bytes: list[int] = []
        """The bytes of each task that was put here and is not released."""
        self._changed = threading.Condition()
        self._is_idle = False
        self._is_ended = False
        self._is_stopped = False

    def put(self, task: Item, turn: int | None = None) -> None:
        """Waits until there is room; with `turn`, until all of lower turns are here. Raises Cancelled.

        One task always has room, however large it is, and a second one where there are several consumers.
        """
        with self._changed:
            self._wait(lambda: turn is None or turn == self._turn)
            if isinstance(task, Task):
                self._add(task)
            self._is_idle = task is None
            self._is_ended |= task == "end"
            self._turn += 1
            self._changed.notify_all()

    def _add(self, task: Task) -> None:
        def has_room() -> bool:
            used = sum(self._bytes) + task.bytes
            return len(self._bytes) < min(self.consumers, WRITERS) or used <= WAITING * self.consumers

        while self._incomplete and 2 * (task.bytes + sum(map(_sum_bytes, self._incomplete.values()))) > WAITING:
            self._complete_oldest()
        self._wait(has_room)
        key, most = task.batch_key if self._has_batches else (None, 1)
        self._incomplete.setdefault(key, []).append(task)
        if len(self._incomplete[key]) >= most:
            self._complete.append(self._incomplete.pop(key))
        self._bytes.append(task.bytes)

    def _wait(self, condition: Callable[[], bool]) -> None:
        self._changed.wait_for(lambda: self._is_stopped or condition())
        if self._is_stopped:
            raise Cancelled

    def _complete_oldest(self) -> None:
        self._complete.append(self._incomplete.pop(next(iter(self._incomplete))))
        self._changed.notify_all()

    def stop(self) -> None:
        """Drops all tasks. Whoever waits for the queue stops waiting."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def take(self) -> list[Task] | None:
        """Waits for a group of tasks and returns it. It takes room until it is given to `release`.

        At the end, and when the queue is idle, the oldest group is returned even if it is incomplete. The list is empty
        when the queue is empty and idle. Returns None at the end, or when the queue is stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._is_ended or self._is_idle or bool(self._complete))
            if self._incomplete and not self._complete:
                self._complete_oldest()
            if self._is_stopped or (self._is_ended and not self._complete):
                return None
            self._is_idle &= bool(self._complete)
            return self._complete.pop(0) if self._complete else []

    def release(self, tasks: Iterable[Task]) -> None:
        """Gives the room of tasks that were taken to others."""
        with self._changed:
            for task in tasks:
                self._bytes.remove(task.bytes)
            self._changed.notify_all()


def _sum_bytes(tasks: Iterable[Task]) -> int:
    return sum(task.bytes for task in tasks)


def run(
    stages: Stages, tasks: Iterable[Task | None], settle: Callable[[Task], Task], on_error: OnError = lambda _: None
) -> Generator[Task]:
    """Calls `settle` as soon as a stage ends a task, and yields what it returns.

    `tasks` may yield None before it blocks. Computing is done in the caller's thread, the rest in threads of their own.
    An error in a stage is given to `on_error` at once, and raised here when the results being written are complete."""
    ready, waiting = BoundedQueue(has_batches=True), BoundedQueue(WRITERS)
    done: SimpleQueue[Task] = SimpleQueue()
    threads: list[threading.Event] = []
    failures: list[BaseException] = []
    turns: Iterator[tuple[int, Item]] = enumerate(chain(tasks, repeat("end")))
    taking = threading.Lock()

    def start(*work: Callable[[], None]) -> None:
        threads.extend(_start(stage, failures, on_error, (ready, waiting)) for stage in work)

    def advance(task: Task) -> Task:
        return settle(task) if task.is_over else task

    def read() -> None:
        task: Item = None
        while task != "end":
            with taking:
                turn, task = next(turns)
            if isinstance(task, Task):
                task = advance(stages.guard(stages.read, task))
                if task.uses_gpu and waiting.consumers == WRITERS:
                    readers, waiting.consumers = count_threads()
                    start(*[read] * (readers - 1), *[write] * (waiting.consumers - WRITERS))
            ready.put(task, turn)

    def write() -> None:
        while group := waiting.take():
            done.put(advance(stages.guard(stages.write, group[0])))
            waiting.release(group)

    start(read, *[write] * WRITERS)
    try:
        for task in _compute(stages, ready, advance):
            if task is not None and task.is_over:
                yield task
            elif task is not None:
                waiting.put(task)
            yield from _drain(done)
        waiting.put("end")
        for ended in threads:
            ended.wait()
        yield from _drain(done)
    except Exception as error:
        if not isinstance(error, Cancelled):  # the cause of that is an error in another thread, raised below
            on_error(error)
            raise
    finally:
        ready.stop()
        waiting.stop()
        for ended in threads:
            ended.wait()
    if failures:
        raise failures[0]


def _compute(stages: Stages, queue: BoundedQueue, advance: Callable[[Task], Task]) -> Iterator[Task | None]:
    """Yields what is computed, and None when there is time to look for what was written meanwhile."""
    while (group := queue.take()) is not None:
        queue.release(group)
        if group and group[0].is_over:
            yield from group
        else:
            yield from map(advance, stages.compute(group) if group else stages.flush())
        yield None
    yield from map(advance, stages.flush())


def _drain(done: SimpleQueue[Task]) -> Iterator[Task]:
    while not done.empty():
        yield done.get()


def count_threads() -> tuple[int, int]:
    """Returns how many threads read and how many write while a GPU computes."""
    processors = count_processors()
    return max(processors // 4, 1), max(processors - 2, WRITERS)


def _start(
    stage: Callable[[], None], failures: list[BaseException], on_error: OnError, queues: Iterable[BoundedQueue]
) -> threading.Event:
    """Starts a thread and returns an event that is set at its end. (Joining it is no substitute: CPython 3.11 takes a
    thread for ended when joining it is interrupted.)"""
    ended = threading.Event()

    def work() -> None:
        try:
            stage()
        except Cancelled:
            pass
        except BaseException as error:
            failures.append(error)
            if isinstance(error, Exception):
                on_error(error)
            for queue in queues:
                queue.stop()
        finally:
            ended.set()

    threading.Thread(target=work, daemon=True).start()
    return ended
