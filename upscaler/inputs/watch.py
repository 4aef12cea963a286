"""Waits for pictures that arrive in folders, until each is completely written."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from .discover import Job

SETTLED = 2.0
"""Seconds without a change after which a file is taken for complete."""

POLL = 0.5
"""Seconds between two looks at files that are not complete."""

RESCAN_AFTER = 60.0
"""Seconds between two looks for files without any event: the system reports nothing of what others write to a network
drive."""


class _Watcher(FileSystemEventHandler):
    """Sets an event when something has happened in a folder."""

    def __init__(self) -> None:
        self.change = threading.Event()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # reading causes these, our own too
            self.change.set()


def watch_folders(
    folders: Iterable[Path], look: Callable[[], Iterable[Job[Path]]], settled: float = SETTLED
) -> Generator[list[Job[Path]]]:
    """Yields, for ever, the jobs of `look()` whose sources have appeared or changed, as soon as these are complete.

    Sources that are there at the beginning are included, once they have not changed for `settled` seconds. `look` is
    called when something happened in the `folders` or below, and now and then. Close the iterator to end the watch.
    """
    watcher, observer = _Watcher(), Observer()
    for folder in folders:
        observer.schedule(watcher, str(folder), recursive=True)
    observer.start()
    jobs: Iterable[Job[Path]] = ()
    yielded: dict[Path, tuple[int, int]] = {}
    waiting: dict[Path, tuple[tuple[int, int], float]] = {}
    """The state of files that are not complete, and since when they have it."""
    has_changed = True
    try:
        while True:
            if has_changed:
                watcher.change.clear()
                jobs = tuple(look())
            ready, incomplete, now = [], {}, time.monotonic()
            for job in jobs:
                state = _state(job.source)
                if state is None or state == yielded.get(job.source):
                    continue
                before, since = waiting.get(job.source, (None, now))
                if before != state:
                    since = now
                if now - since >= settled:
                    yielded[job.source] = state
                    ready.append(job)
                else:
                    incomplete[job.source] = state, since
            waiting = incomplete
            if ready:
                yield ready
            has_changed = watcher.change.wait(POLL if waiting else RESCAN_AFTER) or not waiting
    finally:
        observer.stop()
        observer.join()


def _state(file: Path) -> tuple[int, int] | None:
    """Returns size and time of a file; None if it is gone."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
