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
from dataclasses import replace
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from ...machine import count_processors
from ...vulkan import is_vulkan, pick_vulkan, vulkan_devices
from ..stages import Stages
from ..task import Task
from .messages import Died, Event, Message
from .worker import serve

SHUTDOWN_TIMEOUT = 3.0
"""Seconds in which workers must unwind, so that they leave no files; then they are killed."""


class Processes:
    """A `WorkerPool`. The processes are spawned, not forked: torch and CUDA do not survive a fork.

    A spawned process imports the main module of the program, so what a script does belongs below
    `if __name__ == "__main__":`.
    """

    def __init__(self, devices: Sequence[str], stages: Stages) -> None:
        """Chooses the devices and starts no process yet. Raises PlanError when a device is not on this machine."""
        self._devices = _resolve(devices)
        self._environment = _share_machine(self._devices)
        self._stages = replace(stages, progress=None)
        self._level = logging.getLogger("upscaler").getEffectiveLevel()
        self._workers: dict[int, tuple[SpawnProcess, Connection]] = {}

    @property
    def size(self) -> int:
        return len(self._devices)

    def start(self, worker: int) -> None:
        device = self._devices[worker]
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        arguments = (theirs, self._environment)
        process = context.Process(target=_run_worker, args=arguments, name=f"upscaler on {device}", daemon=True)
        with _block_signals():
            process.start()
        theirs.close()
        self._workers[worker] = process, ours
        self.put(worker, (self._stages.on(device), self._level))

    def put(self, worker: int, task: object) -> None:
        with suppress(OSError):  # if the process is gone, that will be an event
            self._workers[worker][1].send(task)

    def wait(self, timeout: float | None) -> Event | None:
        numbers = {ours: number for number, (_, ours) in self._workers.items()}
        for ready in connection.wait(list(numbers), timeout):
            assert isinstance(ready, Connection)
            number = numbers[ready]
            try:
                return number, ready.recv()
            except (EOFError, OSError):  # also in the middle of a message
                ready.close()
                return number, Died(_explain_end(self._workers.pop(number)[0]))
        return None

    def close(self) -> None:
        for number, (process, _) in self._workers.items():
            self.put(number, None)
            process.terminate()
        end = time.monotonic() + SHUTDOWN_TIMEOUT
        for process, ours in self._workers.values():
            process.join(max(end - time.monotonic(), 0))
            process.kill()
            process.join()
            ours.close()
        self._workers.clear()


def _share_machine(devices: Sequence[str]) -> dict[str, str]:
    """Returns the environment in which workers on these devices take their share each of processors and memory."""
    threads = os.environ.get("OMP_NUM_THREADS", str(max(count_processors() // len(devices), 1)))
    return {
        "OMP_NUM_THREADS": threads,
        "OPENCV_FOR_THREADS_NUM": threads,
        "UPSCALER_WORKERS": ",".join(devices),  # for device.free_memory
    }


def _run_worker(parent: Connection, environment: dict[str, str]) -> None:
    """Runs the worker's process, and ends it at once when its parent is gone, since nobody takes its results."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    os.environ.update(environment)  # torch and OpenCV have no threads yet, and will heed it
    mutex = threading.Lock()

    def tell(message: Message) -> None:
        try:
            with mutex:
                parent.send(message)
        except OSError:
            os._exit(1)

    def receive_tasks() -> Iterator[Task | None]:
        try:
            while True:
                if not parent.poll():
                    yield None
                task = parent.recv()
                if task is None:
                    return
                yield task
        except (EOFError, OSError):
            os._exit(1)

    stages, level = parent.recv()
    serve(stages, receive_tasks(), level, tell)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # while Python ends, an exception in a handler would be printed


def _explain_end(process: SpawnProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code >= 0:
        return f"it ended with code {code}"
    hint = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return f"it was ended by {signal.Signals(-code).name}{hint}"


@contextmanager
def _block_signals() -> Iterator[None]:
    """Keeps Ctrl-C, which is for the parent, from processes that are started inside. A context manager."""
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


def _resolve(names: Sequence[str]) -> tuple[str, ...]:
    """Returns a device for each worker: "all" are the GPUs of torch, or else those that speak Vulkan. Loads torch only
    where a name is not that of the CPU or a Vulkan device."""
    if "all" in names:
        from ...device import devices

        found = [str(device) for device in devices() if device.type != "cpu"]
        return tuple(found or [each.name for each in vulkan_devices() if not each.is_software] or ["cpu"])
    return tuple(map(_resolve_one, names))


def _resolve_one(name: str) -> str:
    if name == "cpu":
        return name
    if is_vulkan(name):
        return pick_vulkan(name).name
    from ...device import pick_device

    return str(pick_device(name))
