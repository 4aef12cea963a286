"""Waits for pictures that arrive in folders, until each is completely written."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from .output import Job

SETTLED = 2.0
"""Seconds for which a file must not have changed to be taken for complete."""

LOOKS = 0.5
"""Seconds between two looks while a file is not complete."""

SILENCE = 60.0
"""Seconds between two looks when nothing is heard: of what others write to a network drive the system says nothing."""


class _Bell(FileSystemEventHandler):
    """Rings when anything happens in a folder."""

    def __init__(self) -> None:
        self.rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # which reading causes, our own too
            self.rings.put(None)


def arriving(
    folders: Iterable[Path], look: Callable[[], Iterable[Job]], settled: float = SETTLED
) -> Generator[list[Job]]:
    """For ever: the jobs of `look()` whose sources have appeared or changed since, when they are complete.

    What is there at the beginning is given too, as soon as it has not changed for `settled` seconds. `look` is called
    when something happened in the `folders` or below, and now and then. Close the iterator to end the watch.
    """
    bell, observer = _Bell(), Observer()
    for folder in folders:
        observer.schedule(bell, str(folder), recursive=True)
    observer.start()
    given: dict[Path, tuple[int, int]] = {}
    waiting: dict[Path, tuple[tuple[int, int], float]] = {}
    try:
        while True:
            ready, now = [], time.monotonic()
            for job in look():
                state = _state(job.source)
                if state is None or given.get(job.source) == state:
                    waiting.pop(job.source, None)
                elif waiting.get(job.source, (None, 0.0))[0] != state:
                    waiting[job.source] = state, now
                elif now - waiting[job.source][1] >= settled:
                    given[job.source] = state
                    del waiting[job.source]
                    ready.append(job)
            if ready:
                yield ready
            _await(bell, LOOKS if waiting else SILENCE)
    finally:
        observer.stop()
        observer.join()


def _await(bell: _Bell, seconds: float) -> None:
    """Until it rings, or for so long; however often it rang, once."""
    try:
        bell.rings.get(timeout=seconds)
        while True:
            bell.rings.get_nowait()
    except queue.Empty:
        pass


def _state(file: Path) -> tuple[int, int] | None:
    """Size and time of a file; None if it is gone."""
    try:
        seen = os.stat(file)
    except OSError:
        return None
    return seen.st_size, seen.st_mtime_ns
