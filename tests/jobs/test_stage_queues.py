"""The stages at work: all come through once and in order, alike things together, bounded by bytes; failures end it."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from upscaler import Target, machine
from upscaler.inputs.discover import Job
from upscaler.jobs import stage_queues
from upscaler.jobs.stages import Stages
from upscaler.jobs.task import OVERHEAD, Task


@dataclass(frozen=True, kw_only=True)
class Numbers(Stages):
    """What is done with the numbers of tasks."""

    reading: Callable[[int], int] = lambda number: number
    computing: Callable[[list[int]], list[int]] = lambda numbers: numbers
    writing: Callable[[int], int] = lambda number: number
    flushing: Callable[[], list[int]] = list

    def read(self, task: Task) -> Task:
        return replace(task, number=self.reading(task.number))

    def compute(self, tasks: list[Task]) -> Iterator[Task]:
        return map(numbered, self.computing([task.number for task in tasks]))

    def flush(self) -> Iterator[Task]:
        return map(numbered, self.flushing())

    def write(self, task: Task) -> Task:
        return task.end(is_made=True, number=self.writing(task.number))

    def is_fatal(self, problem: Exception, task: Task) -> bool:
        return True


def numbered(number: int, most: int = 1, device: str = "cpu") -> Task:
    """A task of that number; those with the same last digit may be computed together."""
    engine = SimpleNamespace(device=device)
    estimate: Any = SimpleNamespace(batch_key=number % 10, max_batch=most, engine=engine)
    return Task(Job(Path(), Path()), number=number, estimate=estimate)


def through(
    tasks: Iterable[Task | None], told: Callable[[Exception], None] = lambda _: None, **stages: Any
) -> list[int]:
    """The numbers of the tasks that come through, in order."""
    numbers = Numbers(pipeline=None, target=Target(), parts=None, **stages)
    return sorted(task.number for task in stage_queues.run(numbers, tasks, lambda task: task, told))


def hundredfold(tasks: Iterable[Task], groups: list[list[int]], gate: threading.Event | None = None) -> list[int]:
    """Numbers through a line that notes which it computes together; the first waits at the gate."""

    def compute(group: list[int]) -> list[int]:
        if gate is not None:
            gate.wait(10)
        groups.append(group)
        return [number * 100 for number in group]

    return through(tasks, computing=compute, writing=lambda number: number + 1)


@pytest.mark.parametrize("is_reader_slow", [False, True])
def test_items_that_are_alike_are_computed_together_whenever_they_come(is_reader_slow: bool) -> None:
    groups: list[list[int]] = []
    gate = threading.Event()

    def tasks() -> Iterator[Task]:
        for number in range(1, 42):
            if is_reader_slow:
                time.sleep(0.002)
            yield numbered(number, 3)
        gate.set()

    assert hundredfold(tasks(), groups, None if is_reader_slow else gate) == [i * 100 + 1 for i in range(1, 42)]
    assert groups == [
        *([number, number + 10, number + 20] for number in range(1, 11)),
        [31, 41],
        *([number] for number in range(32, 41)),
    ]


@pytest.mark.parametrize("is_reader_slow", [False, True])
def test_what_waits_to_be_computed_together_is_bounded_by_bytes(
    monkeypatch: pytest.MonkeyPatch, is_reader_slow: bool
) -> None:
    monkeypatch.setattr(stage_queues, "WAITING", 6 * OVERHEAD)
    groups: list[list[int]] = []

    def tasks() -> Iterator[Task]:
        for number in (1, 2, 3, 11, 4, 14, 5, 21):
            if is_reader_slow:
                time.sleep(0.01)
            yield numbered(number, 3)

    hundredfold(tasks(), groups)
    assert groups == [[1], [2], [3], [11], [4, 14], [5], [21]]


def test_items_are_computed_alone_when_there_is_room_for_one() -> None:
    groups: list[list[int]] = []
    assert hundredfold(map(numbered, range(30)), groups) == [number * 100 + 1 for number in range(30)]
    assert groups == [[number] for number in range(30)]


@pytest.mark.parametrize("stage", ["reading", "computing", "writing"])
def test_what_a_stage_raises_ends_the_line(stage: str) -> None:
    def fail(what: int | list[int]) -> int | list[int]:
        if what in (5, [5]):
            raise ValueError(5)
        return what

    told: list[Exception] = []
    with pytest.raises(ValueError, match="5") as raised:
        through(map(numbered, range(1000)), told.append, **{stage: fail})
    assert raised.value in told


def test_what_was_kept_back_comes_when_nothing_waits_and_at_the_end() -> None:
    """None among the tasks says that the next one may take long."""
    kept: list[int] = []
    groups: list[list[int]] = []
    flushed = threading.Event()

    def tasks() -> Iterator[Task | None]:
        yield from (numbered(1), numbered(2), numbered(3), None)
        assert flushed.wait(10), "nothing asked for what was kept back"
        yield from (numbered(4), None, numbered(5))  # that one comes at once

    def compute(group: list[int]) -> list[int]:
        kept.extend(group)
        return []

    def flush() -> list[int]:
        groups.append(kept[:])
        kept.clear()
        flushed.set()
        return groups[-1]

    assert through(tasks(), computing=compute, flushing=flush) == [1, 2, 3, 4, 5]
    assert groups[0] == [1, 2, 3]
    assert [number for group in groups for number in group] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_waits_between_stages_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    """Three sources wait, three results for each writer, and one picture is in the hands of each reader and of what
    computes."""
    monkeypatch.setattr(stage_queues, "WAITING", 3 * OVERHEAD)
    monkeypatch.setattr(stage_queues, "count_threads", lambda: (2, 8))
    readers, writers = (1, 2) if device == "cpu" else (2, 8)
    most = 3 + 3 * writers + readers + 1
    changed = threading.Condition()
    begun, written, peak = 0, 0, 0

    def read(number: int) -> int:
        nonlocal begun, peak
        with changed:
            begun += 1
            peak = max(peak, begun - written)
            changed.notify_all()
        return number

    def write(number: int) -> int:
        nonlocal written
        with changed:
            assert changed.wait_for(lambda: peak >= most, 10), peak
            changed.wait(0.01)  # time to read more
            written += 1
        return number

    tasks = (numbered(number, device=device) for number in range(200))
    assert through(tasks, reading=read, writing=write) == list(range(200))
    assert peak == most


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_pictures_larger_than_what_may_wait_come_through(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(stage_queues, "WAITING", 1)
    monkeypatch.setattr(stage_queues, "count_threads", lambda: (3, 8))
    tasks = (numbered(number, 3, device) for number in range(100))
    writing = 0

    def write(number: int) -> int:
        nonlocal writing
        writing += 1
        assert writing <= 2
        time.sleep(0.001)
        writing -= 1
        return number

    assert through(tasks, writing=write) == list(range(100))


@pytest.mark.parametrize(
    ("processors", "quota", "threads", "expected"),
    [
        (1, "max 100000", None, (1, 2)),
        (2, "max 100000", None, (1, 2)),
        (8, "max 100000", None, (2, 6)),
        (16, "max 100000", None, (4, 14)),
        (64, "800000 100000", None, (2, 6)),
        (64, "50000 100000", None, (1, 2)),
        (64, "max 100000", "16", (4, 14)),
        (4, "", "nonsense", (1, 2)),
    ],
)
def test_threads_follow_from_the_processors_of_this_process(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    processors: int,
    quota: str,
    threads: str | None,
    expected: tuple[int, int],
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(processors)), raising=False)
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(machine, "Path", lambda _: tmp_path / "cpu.max")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert stage_queues.count_threads() == expected


@pytest.mark.parametrize(("device", "readers", "writers"), [("cpu", 1, 2), ("cuda:0", 3, 8)])
def test_so_many_read_and_write_at_once(
    monkeypatch: pytest.MonkeyPatch, device: str, readers: int, writers: int
) -> None:
    monkeypatch.setattr(stage_queues, "count_threads", lambda: (readers, writers))
    peaks = {"reading": 0, "writing": 0}
    inside = dict(peaks)
    changed = threading.Condition()

    def meet(stage: str, count: int, number: int) -> int:
        with changed:
            inside[stage] += 1
            peaks[stage] = max(peaks[stage], inside[stage])
            changed.notify_all()
            if number:  # only the first one shows which device computes
                assert changed.wait_for(lambda: peaks[stage] >= count, 10), peaks
            inside[stage] -= 1
        return number

    tasks = (numbered(number, device=device) for number in range(60))
    reading, writing = partial(meet, "reading", readers), partial(meet, "writing", writers)
    assert through(tasks, reading=reading, writing=writing) == list(range(60))
    assert peaks == {"reading": readers, "writing": writers}


def test_several_readers_keep_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_queues, "count_threads", lambda: (2, 2))
    was_read = [threading.Event() for _ in range(41)]
    computed: list[int] = []

    def read(number: int) -> int:
        if number % 2:
            assert was_read[number + 1].wait(10)
        was_read[number].set()
        return number

    def compute(numbers: list[int]) -> list[int]:
        computed.extend(numbers)
        return numbers

    through((numbered(number, device="cuda:0") for number in range(41)), reading=read, computing=compute)
    assert computed == list(range(41))
