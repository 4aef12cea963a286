"""The messages between a job and its workers, and the contract of a pool of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ...errors import PlanError, UpscalerError
from ..task import Task


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The workers that do the work. Raises PlanError unless exactly one of both is given."""

    devices: tuple[str, ...] = ()
    """Devices of this machine, a process for each; "all" is every GPU, or else the CPU."""
    cluster: str | None = None
    """The address of a Ray cluster, on which an actor runs for each GPU or, if it has none, for every few processors;
    "local" is a cluster of this machine alone."""

    def __post_init__(self) -> None:
        if bool(self.devices) == bool(self.cluster):
            raise PlanError("`devices` and `cluster`: one of them says who does the work. Name one, and not both.")

    @property
    def first(self) -> str | None:
        """The device of one worker; None is the best there is."""
        return None if not self.devices or "all" in self.devices else self.devices[0]


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has started, and may be given tasks."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A worker has finished a task, which is over."""

    task: Task


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record that a worker would have logged."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker has ended for a reason that ends the job; or for DeviceLost, which ends that worker alone."""

    error: UpscalerError


@dataclass(frozen=True, slots=True)
class Died:
    """A worker is gone, with all the tasks that it had."""

    reason: str


Message: TypeAlias = Ready | Finished | LogRecord | Failed
"""A message that a worker sends."""


Event: TypeAlias = tuple[int, Message | Died]
"""The number of a worker, and its message or its death."""


class WorkerPool(Protocol):
    """Workers, numbered from 0."""

    @property
    def size(self) -> int: ...

    def start(self, worker: int) -> None:
        """Starts a worker for the first time, or again after it has died."""

    def put(self, worker: int, task: Task) -> None:
        """Gives a task to a worker. Never fails: the death of a worker is an event."""

    def wait(self, timeout: float | None) -> Event | None:
        """Returns the next event; None if there is none for `timeout` seconds. Raises EngineError when there is nobody
        to wait for."""

    def close(self) -> None:
        """Ends all workers, whatever they are doing, and returns when they are gone."""
