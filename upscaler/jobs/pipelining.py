"""Runs items through three stages at the same time: reading, computing, writing.

The queue between two stages is bounded by its bytes, so that many small pictures wait where few large ones would.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

Item = TypeVar("Item")

WAITING = 256 * 2**20
"""Bytes of pixels that wait between two stages at most, or one picture."""

WRITERS = 2
"""Threads that write: encoding is work for one core, and slower than a fast network."""


@dataclass(frozen=True, slots=True)
class StageFunctions(Generic[Item]):
    """What is done with each item. An item that `is_done` goes through no further stage."""

    read: Callable[[Item], Item]
    compute: Callable[[list[Item]], Iterable[Item]]
    """Gets waiting items with the same `batch_key` together, one item mostly. May keep items back until `flush`."""
    write: Callable[[Item], Item]
    is_done: Callable[[Item], bool]
    bytes: Callable[[Item], int]
    """The memory that an item takes while it waits."""
    flush: Callable[[], Iterable[Item]] = tuple
    """Gives the items that `compute` has kept back; called when no further item is there."""
    batch_key: Callable[[Item], tuple[Hashable, int]] = lambda _: (None, 1)
    """A key that is equal for items that may be computed together, and the number of them at most."""
    on_error: Callable[[Exception], None] = lambda _: None
    """Called with what a stage has raised, at once and in its thread."""


class Cancelled(Exception):
    """The queue was stopped; the items in it are dropped."""


class BoundedQueue(Generic[Item]):
    """A queue from one stage to the next."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._is_idle = False
        self._is_ended = False
        self._is_stopped = False

    def put(self, item: Item, size: int) -> None:
        """Waits until there is room; one item may always wait, however large it is. Raises Cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped or not self._items or self._bytes + size <= self._limit)
            if self._is_stopped:
                raise Cancelled
            self._items.append((item, size))
            self._bytes += size
            self._is_idle = False
            self._changed.notify_all()

    def idle(self) -> None:
        """Says that it is not known when the next item comes, or whether one does."""
        with self._changed:
            self._is_idle = True
            self._changed.notify_all()

    def end(self) -> None:
        """Says that no more items come."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Drops all items. Whoever waits for the queue stops waiting."""
        with self._changed:
            self._is_stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Every item, until the end or until the queue is stopped."""
        return (item for group in self.groups(lambda _: (None, 1)) for item in group)

    def groups(self, batch_key: Callable[[Item], tuple[Hashable, int]]) -> Iterator[list[Item]]:
        """Every item together with other waiting ones of its key; an empty list when the queue is empty and idle."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped or self._is_ended or self._is_idle or bool(self._items))
                if self._is_stopped or (self._is_ended and not self._items):
                    return
                group = self._take(batch_key)
            yield group

    def _take(self, batch_key: Callable[[Item], tuple[Hashable, int]]) -> list[Item]:
        if not self._items:
            self._is_idle = False
            return []
        key, most = batch_key(self._items[0][0])
        group: list[tuple[Item, int]] = []
        rest: deque[tuple[Item, int]] = deque()
        for entry in self._items:
            belongs = not group or (len(group) < most and batch_key(entry[0])[0] == key)
            (group if belongs else rest).append(entry)
        self._items = rest
        self._bytes -= sum(size for _, size in group)
        self._changed.notify_all()
        return [item for item, _ in group]


def run(items: Iterable[Item | None], stages: StageFunctions[Item]) -> Generator[Item]:
    """Yields every item as its last stage returns it, as soon as it does.

    `items` may yield None before it blocks, to say that there is no item at the moment. `compute` and `flush` are
    called in the caller's thread, the other stages in threads of their own. Whatever a stage raises ends the run and is
    raised here, as soon as what was being written has been written.
    """
    ready: BoundedQueue[Item] = BoundedQueue(WAITING)
    waiting: BoundedQueue[Item] = BoundedQueue(WAITING)
    done: SimpleQueue[Item] = SimpleQueue()
    failures: list[BaseException] = []

    def read() -> None:
        for item in items:
            if item is None:
                ready.idle()
            else:
                product = stages.read(item)
                ready.put(product, stages.bytes(product))
        ready.end()

    def compute() -> Iterator[Item | None]:
        for group in ready.groups(stages.batch_key):
            if group and stages.is_done(group[0]):
                yield from group
            else:
                yield from stages.compute(group) if group else stages.flush()
            yield None  # time to look for what was written meanwhile
        yield from stages.flush()

    def write() -> None:
        for item in waiting:
            done.put(stages.write(item))

    threads = [_start(stage, failures, stages.on_error, (ready, waiting)) for stage in (read, *[write] * WRITERS)]
    try:
        for product in compute():
            if product is not None and stages.is_done(product):
                yield product
            elif product is not None:
                waiting.put(product, stages.bytes(product))
            while not done.empty():
                yield done.get()
        waiting.end()
        for ended in threads:
            ended.wait()
        while not done.empty():
            yield done.get()
    except Cancelled:
        pass  # a failure of another thread, raised below
    except Exception as error:
        stages.on_error(error)
        raise
    finally:
        ready.stop()
        waiting.stop()
        for ended in threads:
            ended.wait()
    if failures:
        raise failures[0]


def _start(
    stage: Callable[[], None],
    failures: list[BaseException],
    on_error: Callable[[Exception], None],
    queues: Iterable[BoundedQueue[Item]],
) -> threading.Event:
    """Starts a thread; the event is set at its end. (Joining it would not do: CPython 3.11 takes a thread for ended
    when joining it is interrupted.)"""
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
