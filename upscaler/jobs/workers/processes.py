"""Workers on this machine: a process for each device."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import NoReturn

from ..stages import Stages, Task
from .messages import Died, Event, Message
from .worker import serve

SHUTDOWN_TIMEOUT = 3.0
"""Seconds in which workers unwind, so that they leave no files; then they are killed."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, and the way to it."""

    process: SpawnProcess
    way: Connection


class Processes:
    """A `WorkerPool`. The processes are begun anew, not forked: torch and CUDA do not survive a fork.

    As ever with such processes, a program's main module is imported in them: what it does belongs below
    `if __name__ == "__main__":`.
    """

    def __init__(self, devices: Sequence[str], stages: Stages) -> None:
        """Raises PlanError when a device is not on this machine."""
        self._devices = _found(devices)
        self._maker = replace(stages, progress=None)
        self._level = logging.getLogger("upscaler").getEffectiveLevel()
        self._workers: dict[int, _Worker] = {}

    @property
    def size(self) -> int:
        return len(self._devices)

    def start(self, worker: int) -> None:
        device = self._devices[worker]
        sharing = sum(other == "cpu" for other in self._devices)
        threads = max(_processors() // sharing, 1) if device == "cpu" else None
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, threads), name=f"upscaler on {device}", daemon=True)
        with _unheard():
            process.start()
        theirs.close()
        self._workers[worker] = _Worker(process, ours)
        self._send(worker, (replace(self._maker, pipeline=self._maker.pipeline.on(device)), self._level))

    def put(self, worker: int, task: Task) -> None:
        self._send(worker, task)

    def wait(self, timeout: float | None) -> Event | None:
        ways = {each.way: number for number, each in self._workers.items()}
        for way in connection.wait(list(ways), timeout):
            assert isinstance(way, Connection)
            try:
                return Event(ways[way], way.recv())
            except (EOFError, OSError):  # also in the middle of what it was telling
                way.close()
                return Event(ways[way], Died(_end_of(self._workers.pop(ways[way]).process)))
        return None

    def close(self) -> None:
        for number, worker in self._workers.items():
            self._send(number, None)
            worker.process.terminate()
        end = time.monotonic() + SHUTDOWN_TIMEOUT
        for worker in self._workers.values():
            worker.process.join(max(end - time.monotonic(), 0))
            worker.process.kill()
            worker.process.join()
            worker.way.close()
        self._workers.clear()

    def _send(self, worker: int, what: object) -> None:
        with suppress(OSError):  # that it is gone will be an event
            self._workers[worker].way.send(what)


def _work(way: Connection, threads: int | None) -> None:
    """What the process does."""
    signal.signal(signal.SIGTERM, _end)
    if threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # torch is not loaded yet, and will heed it
    mutex = threading.Lock()

    def tell(message: Message) -> None:
        try:
            with mutex:
                way.send(message)
        except OSError:
            _leave()

    def tasks() -> Iterator[Task]:
        try:
            yield from iter(way.recv, None)
        except (EOFError, OSError):
            _leave()

    stages, level = way.recv()
    serve(stages, tasks(), level, tell)


def _end(*_: object) -> NoReturn:
    sys.exit()


def _leave() -> NoReturn:
    """Who started this process was killed: nobody wants what it does."""
    os._exit(1)


def _end_of(process: SpawnProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code >= 0:
        return f"it ended with code {code}"
    hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"it was ended by {signal.Signals(-code).name}{hint}"


@contextmanager
def _unheard() -> Iterator[None]:
    """A process that is started inside never hears a Ctrl-C, which is for the one that started it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # it would be started inside, and unblock the signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _found(names: Sequence[str]) -> tuple[str, ...]:
    """One device for each name. Loads torch, unless all are the CPU."""
    if all(name == "cpu" for name in names):
        return tuple(names)
    from ...device import devices, pick_device

    if "all" in names:
        return tuple(str(device) for device in devices() if device.type != "cpu") or ("cpu",)
    return tuple(str(pick_device(name)) for name in names)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
