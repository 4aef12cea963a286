"""What a person sees: messages on standard error, progress bars, tables."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from tqdm import tqdm


class _ThroughBars(logging.Handler):
    """Writes records to standard error without tearing progress bars apart."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        say(prefix + self.format(record))


def say(text: str) -> None:
    """One line on standard error."""
    tqdm.write(text, file=sys.stderr)


def show(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def set_up_logging(quiet: bool, verbose: bool) -> None:
    """Warnings are shown, nothing with `quiet`, everything with `verbose`."""
    log = logging.getLogger("upscaler")
    log.handlers[:] = [_ThroughBars()]
    log.setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)
    log.propagate = False


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """A table on standard output."""
    result = Table(box=None, pad_edge=False)
    for column in columns:
        result.add_column(column, overflow="fold")
    for row in rows:
        result.add_row(*row)
    Console(soft_wrap=False).print(result)


class Bars:
    """One bar for the pictures of a run, if there are several, and one for the tiles of the present picture."""

    def __init__(self, pictures: int, visible: bool) -> None:
        self._pictures = tqdm(total=pictures, unit="picture", disable=not visible or pictures < 2, file=sys.stderr)
        self._tiles: tqdm[Any] | None = None
        self._visible = visible

    def tiles(self, done: int, total: int) -> None:
        """For `Upscaler`'s progress."""
        if self._tiles is None:
            self._tiles = tqdm(total=total, unit="tile", leave=False, disable=not self._visible, file=sys.stderr)
        self._tiles.update(done - self._tiles.n)

    def picture_done(self) -> None:
        if self._tiles is not None:
            self._tiles.close()
            self._tiles = None
        self._pictures.update()

    def close(self) -> None:
        if self._tiles is not None:
            self._tiles.close()
        self._pictures.close()


@contextmanager
def bars(pictures: int, visible: bool) -> Iterator[Bars]:
    """Progress bars that are gone at the end, however it ends."""
    shown = Bars(pictures, visible)
    try:
        yield shown
    finally:
        shown.close()
