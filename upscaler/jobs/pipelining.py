"""A line of three stages that work at the same time: reading, computing, writing.

What waits between two of them is bounded by its bytes, so that many small pictures wait where few large ones would.
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
    """What is done with an item, one after the other."""

    read: Callable[[Item], Item]
    compute: Callable[[list[Item]], Iterable[Item]]
    """Gets together what is waiting and alike, one item mostly."""
    write: Callable[[Item], Item]
    alike: Callable[[Item], tuple[Hashable, int]] = lambda _: (None, 1)
    """What is equal for alike items, and how many of them are computed together at most."""


class Cancelled(Exception):
    """The line has been stopped; what is in it is dropped."""


class BoundedQueue(Generic[Item]):
    """A queue from one stage to the next."""

    def __init__(self, limit: int) -> None:
        """`limit` in bytes."""
        self._limit = limit
        self._items: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False

    def put(self, item: Item, size: int) -> None:
        """Waits until there is room: one thing may always wait, however large. Raises Stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._items or self._bytes + size <= self._limit)
            if self._stopped:
                raise Cancelled
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Whoever waits here, or comes, is sent away."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Everything that is put, until the end or until it is stopped."""
        return (item for group in self.groups(lambda _: (None, 1)) for item in group)

    def groups(self, alike: Callable[[Item], tuple[Hashable, int]]) -> Iterator[list[Item]]:
        """The same, each with what else is waiting and alike; see `StageFunctions.alike`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._ended or bool(self._items))
                if self._stopped or not self._items:
                    return
                key, most = alike(self._items[0][0])
                group: list[tuple[Item, int]] = []
                rest: deque[tuple[Item, int]] = deque()
                for entry in self._items:
                    belongs = not group or (len(group) < most and alike(entry[0])[0] == key)
                    (group if belongs else rest).append(entry)
                self._items = rest
                self._bytes -= sum(size for _, size in group)
                self._changed.notify_all()
            yield [item for item, _ in group]


def run(
    items: Iterable[Item], stages: StageFunctions[Item], is_done: Callable[[Item], bool], size: Callable[[Item], int]
) -> Generator[Item]:
    """Every item as its last stage gives it, as soon as it does; or an earlier one, if it is done then.

    `compute` is called in the caller's thread, the others in threads of their own. Whatever a stage raises ends the
    line and is raised here, as soon as what was being written has been written. `size` in bytes.
    """
    ready: BoundedQueue[Item] = BoundedQueue(WAITING)
    waiting: BoundedQueue[Item] = BoundedQueue(WAITING)
    done: SimpleQueue[Item] = SimpleQueue()
    failures: list[BaseException] = []

    def reading() -> None:
        for item in items:
            read = stages.read(item)
            ready.put(read, size(read))
        ready.end()

    def writing() -> None:
        for item in waiting:
            done.put(stages.write(item))

    def begun(stage: Callable[[], None]) -> threading.Event:
        """Starts a thread; the event is set at its end. (To join it would not do: CPython 3.11 takes a thread for ended
        when joining it is interrupted.)"""
        ended = threading.Event()

        def work() -> None:
            try:
                stage()
            except Cancelled:
                pass
            except BaseException as error:
                failures.append(error)
                ready.stop()
                waiting.stop()
            finally:
                ended.set()

        threading.Thread(target=work, daemon=True).start()
        return ended

    threads = [begun(stage) for stage in (reading, *[writing] * WRITERS)]
    try:
        for group in ready.groups(stages.alike):
            for product in group if is_done(group[0]) else stages.compute(group):
                if is_done(product):
                    yield product
                else:
                    waiting.put(product, size(product))
                while not done.empty():
                    yield done.get()
        waiting.end()
        for ended in threads:
            ended.wait()
        while not done.empty():
            yield done.get()
    except Cancelled:
        pass  # a failure of another thread, raised below
    finally:
        ready.stop()
        waiting.stop()
        for ended in threads:
            ended.wait()
    if failures:
        raise failures[0]
