"""Writes all that the user sees: messages to standard error, results and tables to standard output, progress bars.

The commands choose the words.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TextIO

from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from ..progress import ProgressCallback
from .options_in_text import in_record

FOREIGN = ("py.warnings", "pyvips", "PIL")
"""Loggers of libraries, whose warnings tell a user nothing: they are shown with --verbose only."""

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

WIDEST = 500
"""The width of tables in a file or a pipe, in characters."""

LONGEST_NAME = 32
"""The most characters of a picture's name that are shown before its bar."""


class _ThroughBars(logging.Handler):
    """A handler that writes log records, in terms of options, to standard error above the progress bars."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno == logging.WARNING else ""
        if record.name == "upscaler":
            record = copy(record)
            record.msg, record.args = in_record(record), None
        for line in self.format(record).splitlines():
            say(prefix + line)
            prefix = ""


def is_terminal(stream: TextIO | None) -> bool:
    """Returns whether a standard stream is open and shown on a terminal."""
    return stream is not None and stream.isatty()


def say(text: str) -> None:
    """Writes one line to standard error, above the bars, unless that is closed."""
    if sys.stderr is not None:
        tqdm.write(_escape(text), file=sys.stderr)


def show(text: str) -> None:
    """Writes one line to standard output."""
    if sys.stdout is not None:
        sys.stdout.write(_escape(text) + "\n")


def set_up_logging(quiet: bool, verbose: bool) -> None:
    """Sets up logging to show warnings; only errors if `quiet`; everything, also of libraries, if `verbose`."""
    logging.captureWarnings(True)
    for name in ("upscaler", *FOREIGN):
        log = logging.getLogger(name)
        log.handlers[:] = [_ThroughBars() if verbose or name == "upscaler" else logging.NullHandler()]
        log.setLevel(logging.WARNING)
        log.propagate = False
    logging.getLogger("upscaler").setLevel(logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING)


def table(columns: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
    """Writes a table to standard output, a row a line unless the terminal is too narrow. Its first column never wraps.

    `columns`: the headings; None for a table of labels and texts, which leaves out labels without a text.
    """
    result = Table(box=None, pad_edge=False, show_header=columns is not None)
    for index, column in enumerate(columns or ("", "")):
        result.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        if columns is not None or row[-1]:
            result.add_row(*map(_escape, row))
    console = Console(width=None if is_terminal(sys.stdout) else WIDEST, markup=False, emoji=False, highlight=False)
    with console.capture() as lines:
        console.print(result)
    for line in lines.get().splitlines():
        show(line.rstrip())


class Bars:
    """A bar for the tiles of the present picture and, above it, if there are several, one for the pictures of the run.

    The bar of the run counts fractions of pictures, so that its estimate of the time left is useful from the start.
    Without a terminal only one bar is drawn, and seldom, because each drawing adds a line to a log.
    """

    def __init__(self, names: Sequence[str], visible: bool) -> None:
        self._column = max(map(len, ["all", *map(_shorten, names)]))
        self._on_terminal = is_terminal(sys.stderr)
        several = len(names) > 1
        self._run = self._bar("all", len(names), "{n:.1f}", "pictures", visible and several)
        self._shows_tiles = visible and (self._on_terminal or not several)
        self._tiles: tqdm[NoReturn] | None = None
        self._finished = 0

    def progress(self, name: str) -> ProgressCallback:
        """Returns the callback for one picture. Of a name that is a path, the last part is shown."""
        return lambda done, total: self.tiles(Path(name).name, done, total or 0)

    def tiles(self, name: str, done: int, total: int) -> None:
        """Shows how many tiles of that picture are done."""
        if self._tiles is None or done == 0:
            if self._tiles is not None:
                self._tiles.close()
            self._tiles = self._bar(_shorten(name), total, "{n}", "tiles", self._shows_tiles)
        self._tiles.update(done - self._tiles.n)
        self._advance(done / max(total, 1))

    def picture_done(self) -> None:
        """Counts a picture whose result is written or has failed; another one may be computed meanwhile."""
        self._finished += 1
        self._advance(0)

    def _advance(self, part: float) -> None:
        """Moves the bar of the run, but never back: the next picture begins before this one is written."""
        self._run.update(max(self._finished + part - self._run.n, 0))

    def close(self) -> None:
        for bar in (self._tiles, self._run):
            if bar is not None:
                bar.close()

    def _bar(self, name: str, total: int, count: str, unit: str, visible: bool) -> tqdm[NoReturn]:
        return tqdm(
            desc=f"{name:<{self._column}}",
            total=total,
            disable=not visible,
            leave=False,
            dynamic_ncols=self._on_terminal,
            mininterval=0.1 if self._on_terminal else 1.0,
            smoothing=0.1,
            bar_format=f"{{desc}} {{percentage:3.0f}}% |{{bar}}| {count} of {{total}} {unit}, {{remaining}} left",
        )


@contextmanager
def download_bar(name: str, visible: bool) -> Iterator[ProgressCallback]:
    """Yields a callback for a download, which takes the bytes so far and in all; a bar appears at its first call."""
    begin = partial(tqdm, desc=_escape(name), unit="B", unit_scale=True, leave=False, disable=not visible)
    bar: tqdm[Any] | None = None
    with ExitStack() as stack:

        def progress(done: int, total: int | None) -> None:
            nonlocal bar
            if bar is None:
                bar = stack.enter_context(begin(total=total, initial=done))
            bar.update(done - bar.n)

        yield progress


def _shorten(name: str) -> str:
    return _escape(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")


def _escape(text: str) -> str:
    """Escapes characters that move the cursor or cannot be written: names of files may hold any."""
    return UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], text)
