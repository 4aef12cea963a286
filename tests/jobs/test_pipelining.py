"""The line of stages: all come through once, alike things together, failures end it."""

import threading
from collections.abc import Hashable, Iterable

import pytest

from upscaler.jobs import pipelining


def through(items: Iterable[int], groups: list[list[int]], most: int, gate: threading.Event | None = None) -> list[int]:
    """Numbers through a line that computes together those with the same last digit; the first waits at the gate."""

    def compute(group: list[int]) -> list[int]:
        if gate is not None:
            gate.wait(10)
        groups.append(group)
        return [item * 100 for item in group]

    def batch_key(item: int) -> tuple[Hashable, int]:
        return item % 10, most

    stages = pipelining.StageFunctions(
        lambda item: item, compute, lambda item: item + 1, lambda _: False, lambda _: 1, batch_key=batch_key
    )
    return sorted(pipelining.run(items, stages))


def test_items_that_wait_and_are_alike_are_computed_together() -> None:
    groups: list[list[int]] = []
    gate = threading.Event()

    def items() -> Iterable[int]:
        yield from range(1, 42)
        gate.set()

    assert through(items(), groups, 3, gate) == [item * 100 + 1 for item in range(1, 42)]
    assert all(len({item % 10 for item in group}) == 1 and len(group) <= 3 for group in groups)
    assert [2, 12, 22] in groups
    assert [32] in groups


def test_items_are_computed_alone_when_there_is_room_for_one() -> None:
    groups: list[list[int]] = []
    assert through(range(30), groups, 1) == [item * 100 + 1 for item in range(30)]
    assert groups == [[item] for item in range(30)]


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_what_a_stage_raises_ends_the_line(stage: str) -> None:
    def read(item: int) -> int:
        if stage == "read" and item == 5:
            raise ValueError(item)
        return item

    def compute(group: list[int]) -> list[int]:
        if stage == "compute" and 5 in group:
            raise ValueError(5)
        return group

    def write(item: int) -> int:
        if stage == "write" and item == 5:
            raise ValueError(item)
        return item

    told: list[Exception] = []
    stages = pipelining.StageFunctions(read, compute, write, lambda _: False, lambda _: 1, on_error=told.append)
    with pytest.raises(ValueError, match="5") as raised:
        list(pipelining.run(range(1000), stages))
    assert raised.value in told


def test_what_was_kept_back_comes_when_nothing_waits_and_at_the_end() -> None:
    """None among the items says that the next one may take long."""
    kept: list[int] = []
    groups: list[list[int]] = []
    flushed = threading.Event()

    def items() -> Iterable[int | None]:
        yield from (1, 2, 3, None)
        assert flushed.wait(10), "nothing asked for what was kept back"
        yield from (4, None, 5)  # that one comes at once

    def compute(group: list[int]) -> list[int]:
        kept.extend(group)
        return []

    def flush() -> list[int]:
        groups.append(kept[:])
        kept.clear()
        flushed.set()
        return groups[-1]

    stages = pipelining.StageFunctions(
        lambda item: item, compute, lambda item: item, lambda _: False, lambda _: 1, flush=flush
    )
    assert sorted(pipelining.run(items(), stages)) == [1, 2, 3, 4, 5]
    assert groups[0] == [1, 2, 3]
    assert [item for group in groups for item in group] == [1, 2, 3, 4, 5]
