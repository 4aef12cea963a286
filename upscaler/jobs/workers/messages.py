"""The messages between a job and its workers, and the contract of a pool of workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from ...errors import PlanError, UpscalerError
from ..stages import Report, Task


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Who does the work: raises PlanError unless one of both is given."""

    devices: tuple[str, ...] = ()
    """Of this machine, a process for each; "all" is every GPU, or else the CPU."""
    cluster: str | None = None
    """The address of a Ray cluster, a process for each of its GPUs, or else for CPUS of its processors; "local" is one
    of this machine alone."""

    def __post_init__(self) -> None:
        if bool(self.devices) == bool(self.cluster):
            raise PlanError("--devices and --cluster: one of them says who does the work. Name one, and not both.")

    @property
    def first(self) -> str | None:
        """The device of one of them; None: the best there is."""
        return None if not self.devices or "all" in self.devices else self.devices[0]


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has begun, and may be given pictures."""


@dataclass(frozen=True, slots=True)
class Finished:
    """With a picture: the task of that number."""

    number: int
    report: Report


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What a worker would have logged."""

    logger: str
    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker has ended for a reason that ends the job."""

    error: UpscalerError


@dataclass(frozen=True, slots=True)
class Died:
    """A worker is gone, with all that it had."""

    reason: str


Message: TypeAlias = Ready | Finished | LogRecord | Failed
"""What workers tell."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a worker tells, or what is seen of it."""

    worker: int
    what: Message | Died


class WorkerPool(Protocol):
    """Workers, numbered from 0."""

    @property
    def size(self) -> int: ...

    def start(self, worker: int) -> None:
        """For the first time, or again after it was lost."""
        ...

    def put(self, worker: int, task: Task) -> None:
        """Never fails: that a worker is lost is an event."""
        ...

    def wait(self, timeout: float | None) -> Event | None:
        """What happens next; None if that is nothing for `timeout` seconds. Raises EngineError when there is nobody to
        wait for."""
        ...

    def close(self) -> None:
        """All workers end, whatever they are doing, and are gone afterwards."""
        ...
