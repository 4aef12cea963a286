"""The exceptions of this package, whose messages tell a user what to do, and the wording of all other exceptions."""

from __future__ import annotations

import errno
import os
from typing import Final

DISK_FULL: Final = "the disk is full. Make room, and run the same command again to go on."

FULL: Final = tuple(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))
"""What file systems answer when a disk is full, or a user's share of it."""

FULL_TEXTS: Final = (
    *(os.strerror(code).lower() for code in FULL),
    "no space left",
    "quota exceeded",
    "database or disk is full",
)
"""The same, in small letters, as libraries report it that pass on no number: libvips and SQLite."""


class UpscalerError(Exception):
    """Base of every error this package raises on purpose.

    Messages name arguments of the library between backticks ("use a smaller `tile`"); the command line shows the
    options that set them.
    """


class PictureError(UpscalerError):
    """A source cannot be read as a picture: missing, damaged, refused, of an unknown format."""


class ModelError(UpscalerError):
    """A model is unknown, its file is missing or broken, or it cannot do what is asked of it."""


class PlanError(UpscalerError):
    """A request cannot be carried out: an impossible size, a tile too small for the model, conflicting arguments.

        raise PlanError("the tile is smaller than this model allows. Use 16 or more.", argument="tile", value=9)

    reads "tile=9: the tile is smaller than this model allows. Use 16 or more."
    """

    def __init__(self, message: str, *, argument: str | None = None, value: object = None) -> None:
        """Takes the name of the `argument` at fault, as Python callers write it, and the `value` that it had."""
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.value = value

    def __str__(self) -> str:
        if self.argument is None:
            return self.message
        value = "" if self.value is None else f"={self.value}"
        return f"{self.argument}{value}: {self.message}"


class EngineError(UpscalerError):
    """Something could not be computed, or its result was refused."""


class OutOfMemory(EngineError):
    """There is too little memory for what was tried; callers may try less."""


class DeviceLost(EngineError):
    """A device has failed so that this process cannot use it any more; another process may."""


class OutputError(UpscalerError):
    """A result cannot be written: it exists already, the disk is full, the format cannot hold it."""


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's text without its full stop, or its class's name if it has no text."""
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def describe(error: Exception, subject: str) -> str:
    """Describes any exception in words, beginning with the file it is about, or with `subject` if it names none.

    The text of this package's own errors is kept; others are put into words.
    """
    if isinstance(error, UpscalerError):
        return str(error) if str(error).startswith(subject) else f"{subject}: {error}"
    if isinstance(error, MemoryError):
        return f"{subject}: there is not enough memory. Close other programs, or allow less with `memory`."
    if isinstance(error, OSError):
        return f"{error.filename or subject}: {error.strerror or error}."
    return (
        f"{subject}: a fault in this program ended the work ({type(error).__name__}: {error}). Nothing was written for "
        "it, and finished pictures stay as they are. Run it again with `verbose`, and report what is said then."
    )


def lacks_room(error: BaseException) -> bool:
    """Returns whether an exception, or what caused it, says that a disk has no room left."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in FULL:
            return True
        if any(text in str(cause).lower() for text in FULL_TEXTS):
            return True
        cause = cause.__cause__
    return False
