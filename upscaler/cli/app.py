"""The typer app: its commands, and how errors become a sentence and an exit code.

Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import functools
import logging
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from .. import __version__
from ..errors import PlanError, UpscalerError
from .console import say, show
from .doctor import doctor
from .upscale import upscale

app = typer.Typer(
    name="upscaler",
    help="Makes pictures larger. `upscaler PICTURE…` is short for `upscaler upscale PICTURE…`.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with every error as one sentence on standard error and the right exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except UpscalerError as error:
            say(f"error: {error}")
            raise typer.Exit(2 if isinstance(error, PlanError) else 1) from error
        except KeyboardInterrupt as error:
            say("interrupted.")
            raise typer.Exit(130) from error
        except BrokenPipeError as error:
            raise typer.Exit(1) from error
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            logging.getLogger("upscaler").debug("traceback:", exc_info=True)
            say(f"error: unexpected {type(error).__name__} ({error}). Please report it, with --verbose.")
            raise typer.Exit(1) from error

    return run


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        show(f"upscaler {__version__}")
        raise typer.Exit


app.command()(guarded(upscale))
app.command()(guarded(doctor))

COMMANDS = ("upscale", "doctor")
OWN_OPTIONS = ("-h", "--help", "--version")


def main() -> None:
    """The console script. What does not begin with a command is for `upscale`."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] not in (*COMMANDS, *OWN_OPTIONS):
        arguments = ["upscale", *arguments]
    signal.signal(signal.SIGTERM, _terminated)
    app(args=arguments, prog_name="upscaler")


def _terminated(*_: object) -> NoReturn:
    """Unwinds, so that no partial file is left."""
    raise SystemExit(143)
