"""The line of stages: all come through once, alike things together, failures end it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from upscaler import Target
from upscaler.inputs.discover import Job
from upscaler.jobs import stage_queues
from upscaler.jobs.stages import Stages
from upscaler.jobs.task import Task


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


def numbered(number: int, most: int = 1) -> Task:
    """A task of that number; those with the same last digit may be computed together."""
    estimate: Any = SimpleNamespace(batch_key=number % 10, max_batch=most)
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


def test_items_that_wait_and_are_alike_are_computed_together() -> None:
    groups: list[list[int]] = []
    gate = threading.Event()

    def tasks() -> Iterator[Task]:
        yield from (numbered(number, 3) for number in range(1, 42))
        gate.set()

    assert hundredfold(tasks(), groups, gate) == [number * 100 + 1 for number in range(1, 42)]
    assert all(len({number % 10 for number in group}) == 1 and len(group) <= 3 for group in groups)
    assert [2, 12, 22] in groups
    assert [32] in groups


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
