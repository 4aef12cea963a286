"""Takes tasks through the three stages of a job at the same time: reading, computing, writing.

The queue between two stages is bounded by its bytes, so that many small pictures wait where few large ones would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue

from .stages import Stages
from .task import Task

OnError = Callable[[Exception], None]

WAITING = 256 * 2**20
"""The most bytes of pixels that wait between two stages, unless a single picture has more."""

WRITERS = 2
"""Threads that write: encoding is work for one core, and slower than a fast network."""


class Cancelled(Exception):
    """The queue was stopped; the tasks in it are dropped."""


class BoundedQueue:
    """A queue from one stage to the next, of WAITING bytes."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []
        self._changed = threading.Condition()
        self._is_idle = False
        self._is_ended = False
        self._is_stopped = False

    def put(self, task: Task) -> None:
        """Waits until there is room; one task may always wait, however large it is. Raises Cancelled."""

        def has_room() -> bool:
            return not self._tasks or sum(other.bytes for other in self._tasks) + task.bytes <= WAITING

        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or has_room())
            if self._is_stopped:
                raise Cancelled
            self._tasks.append(task)
            self._is_idle = False
            self._changed.notify_all()

    def idle(self) -> None:
        """Notes that it is not known when the next task comes, or whether one does, so that `take` need not wait."""
        with self._changed:
            self._is_idle = True
            self._changed.notify_all()

    def end(self) -> None:
        """Notes that no more tasks come."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Drops all tasks. Whoever waits for the queue stops waiting."""
        with self._changed:
            self._is_stopped = True
            self._tasks.clear()
            self._changed.notify_all()

    def take(self, most: int | None = None) -> list[Task] | None:
        """Waits for a task, and returns it with others of its batch key that wait, `most` at most.

        The list is empty when the queue is empty and idle. Returns None at the end, or when the queue is stopped.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or self._is_ended or self._is_idle or bool(self._tasks))
            if self._is_stopped or (self._is_ended and not self._tasks):
                return None
            if not self._tasks:
                self._is_idle = False
                return []
            key, together = self._tasks[0].batch_key
            group, rest = list[Task](), list[Task]()
            for task in self._tasks:
                belongs = not group or (len(group) < (most or together) and task.batch_key[0] == key)
                (group if belongs else rest).append(task)
            self._tasks = rest
            self._changed.notify_all()
            return group


def run(
    stages: Stages, tasks: Iterable[Task | None], settle: Callable[[Task], Task], on_error: OnError = lambda _: None
) -> Generator[Task]:
    """Calls `settle` as soon as a stage ends a task, and yields what it returns.

    `tasks` may yield None before it blocks. Computing is done in the caller's thread, the rest in threads of their own.
    An error in a stage is given to `on_error` at once, and raised here when the results being written are complete."""
    ready, waiting = BoundedQueue(), BoundedQueue()
    done: SimpleQueue[Task] = SimpleQueue()
    failures: list[BaseException] = []

    def advance(task: Task) -> Task:
        return settle(task) if task.is_over else task

    def read() -> None:
        for task in tasks:
            if task is None:
                ready.idle()
            else:
                ready.put(advance(stages.guard(stages.read, task)))
        ready.end()

    def compute() -> Iterator[Task | None]:
        while (group := ready.take()) is not None:
            if group and group[0].is_over:
                yield from group
            else:
                yield from map(advance, stages.compute(group) if group else stages.flush())
            yield None  # time to look for what was written meanwhile
        yield from map(advance, stages.flush())

    def write() -> None:
        while group := waiting.take(1):
            done.put(advance(stages.guard(stages.write, group[0])))

    threads = [_start(stage, failures, on_error, (ready, waiting)) for stage in (read, *[write] * WRITERS)]
    try:
        for task in compute():
            if task is not None and task.is_over:
                yield task
            elif task is not None:
                waiting.put(task)
            while not done.empty():
                yield done.get()
        waiting.end()
        for ended in threads:
            ended.wait()
        while not done.empty():
            yield done.get()
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
