"""The command line as a whole: whatever can go wrong becomes one sentence and an exit code.

Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 143 terminated. What there is to be done is
in `commands`, which is imported late: an interruption must find `main` at its post, not the interpreter importing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from ..errors import UpscalerError
from . import interrupt


def main() -> NoReturn:
    """The console script."""
    interrupt.install()
    _fill_closed_streams()
    arguments = [_as_path(word) for word in sys.argv[1:]]
    code = _guarded(arguments or ["--help"])
    interrupt.ignore()
    sys.exit(_flushed(code if arguments else 2))


def _guarded(arguments: list[str]) -> int:
    """The exit code of a command; whatever it raises has been said on standard error."""
    try:
        import typer

        usage_error: Any = typer.BadParameter.__mro__[1]  # typer has no public name for it
        try:
            from .commands import app

            return int(app(args=arguments, prog_name="upscaler", standalone_mode=False) or 0)
        except usage_error as error:
            command = error.ctx.command_path if error.ctx else "upscaler"
            return _failed(f"{error.format_message().rstrip('.')}. See {command} --help.", 2)
    except interrupt.Interrupted as stop:
        _say("interrupted." if stop.number == signal.SIGINT else "terminated.")
        return 128 + stop.number
    except BrokenPipeError:
        return 1
    except ImportError as error:
        return _failed(_not_loaded(error), 1)
    except Exception as error:
        from ..errors import PlanError

        return _failed(_sentence(error), 2 if isinstance(error, PlanError) else 1)


def _sentence(error: Exception) -> str:
    from ..errors import describe
    from .options_in_text import sentence, with_options

    if isinstance(error, UpscalerError):
        return sentence(error, sys.argv)
    if isinstance(error, OSError) and not error.filename:
        return _unwritten(error)
    logging.getLogger("upscaler").debug("traceback:", exc_info=error)
    return with_options(describe(error, "upscaler"), sys.argv)


def _flushed(code: int) -> int:
    """The exit code, once standard output has been written to its end; a reader that has gone is not worth a word."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter would fail once more when it closes what cannot be written.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            _failed(_unwritten(error), 1)
        return code or 1
    return code


def _unwritten(error: OSError) -> str:
    return f"standard output: cannot be written ({error.strerror or error})."


def _not_loaded(error: ImportError) -> str:
    from .doctor import cure

    return f"a library cannot be loaded ({error}). {cure(error)}; upscaler doctor says more."


def _failed(text: str, code: int) -> int:
    _say(f"error: {text}")
    return code


def _say(text: str) -> None:
    from .console import say

    say(text)


def _as_path(word: str) -> str:
    """A file whose name begins with a dash, as globs give it, is no option."""
    return f"./{word}" if word.startswith("-") and Path(word).suffix and os.path.lexists(word) else word


def _fill_closed_streams() -> None:
    """A closed standard stream must not leave its number to the next file that is opened: what a library has to say
    would land in a picture. And what names of files hold must not keep a line from being written."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
