"""Waits for pictures that arrive in folders, until each is completely written."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from .discover import Job

SETTLED = 2.0
"""Seconds for which a file must not have changed to be taken for complete."""

LOOKS = 0.5
"""Seconds between two looks at files that are not complete."""

SILENCE = 60.0
"""Seconds between two looks for files when nothing is heard: of what others write to a network drive the system says
nothing."""


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
    jobs: Iterable[Job] = ()
    given: dict[Path, tuple[int, int]] = {}
    waiting: dict[Path, tuple[tuple[int, int], float]] = {}
    """What files that are not complete were like, and since when."""
    heard = True
    try:
        while True:
            if heard:
                jobs = tuple(look())
            ready, incomplete, now = [], {}, time.monotonic()
            for job in jobs:
                state = _state(job.source)
                if state is None or state == given.get(job.source):
                    continue
                before, since = waiting.get(job.source, (None, now))
                if before != state:
                    since = now
                if now - since >= settled:
                    given[job.source] = state
                    ready.append(job)
                else:
                    incomplete[job.source] = state, since
            waiting = incomplete
            if ready:
                yield ready
            heard = _rings(bell, LOOKS if waiting else SILENCE) or not waiting
    finally:
        observer.stop()
        observer.join()


def _rings(bell: _Bell, seconds: float) -> bool:
    """Whether it does within so long; however often it rang, once."""
    try:
        bell.rings.get(timeout=seconds)
    except queue.Empty:
        return False
    with suppress(queue.Empty):
        while True:
            bell.rings.get_nowait()
    return True


def _state(file: Path) -> tuple[int, int] | None:
    """Size and time of a file; None if it is gone."""
    try:
        seen = os.stat(file)
    except OSError:
        return None
    return seen.st_size, seen.st_mtime_ns
