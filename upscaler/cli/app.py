"""The command line as a whole: whatever goes wrong becomes one sentence and an exit code.

Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 143 terminated. The commands are in
`commands`, which is imported late, so that an interruption while modules are imported is caught here too.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from ..errors import PlanError, UpscalerError, describe
from . import interrupt
from .options_in_text import sentence, with_options


def main() -> NoReturn:
    """Runs the command in `sys.argv` and exits with its code; this is the console script."""
    interrupt.install()
    _fill_closed_streams()
    arguments = [_as_path(word) for word in sys.argv[1:]]
    code = _run(arguments or ["--help"])
    interrupt.ignore()
    sys.exit(_flush(code if arguments else 2))


def _run(arguments: list[str]) -> int:
    """Runs a command and returns its exit code. Writes whatever it raises to standard error as one sentence."""
    try:
        import typer

        usage_error: Any = typer.BadParameter.__mro__[1]  # typer has no public name for it
        try:
            from .commands import app

            return int(app(args=arguments, prog_name="upscaler", standalone_mode=False) or 0)
        except usage_error as error:
            command = error.ctx.command_path if error.ctx else "upscaler"
            return _fail(f"{error.format_message().rstrip('.')}. See {command} --help.", 2)
    except interrupt.Interrupted as stop:
        from .console import say

        say("interrupted." if stop.number == signal.SIGINT else "terminated.")
        return 128 + stop.number
    except BrokenPipeError:
        return 1
    except ImportError as error:
        from .doctor import cure

        return _fail(f"a library cannot be loaded ({error}). {cure(error)}; upscaler doctor says more.", 1)
    except UpscalerError as error:
        return _fail(sentence(error, sys.argv), 2 if isinstance(error, PlanError) else 1)
    except Exception as error:
        if isinstance(error, OSError) and not error.filename:
            return _fail(_output_error(error), 1)
        logging.getLogger("upscaler").debug("traceback:", exc_info=error)
        return _fail(with_options(describe(error, "upscaler"), sys.argv), 1)


def _flush(code: int) -> int:
    """Flushes standard output and returns `code`, or 1 if only the flush failed. A closed pipe is not reported."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except OSError as error:
        # The interpreter fails once more when it closes a stream that cannot be written, so it gets another one.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == 0 and not isinstance(error, BrokenPipeError):
            _fail(_output_error(error), 1)
        return code or 1
    return code


def _output_error(error: OSError) -> str:
    return f"standard output cannot be written ({error.strerror or error})."


def _fail(text: str, code: int) -> int:
    from .console import say

    say(f"error: {text}")
    return code


def _as_path(word: str) -> str:
    """Puts "./" before a word that begins with a dash if a file has this name: globs may give such names."""
    return f"./{word}" if word.startswith("-") and Path(word).suffix and os.path.lexists(word) else word


def _fill_closed_streams() -> None:
    """Opens the null device for each closed standard stream, and makes output escape what it cannot encode.

    Otherwise the next file that is opened gets the number of the closed stream, and libraries write their messages
    into that picture.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(number)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
