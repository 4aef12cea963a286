"""Turns messages of the library about its arguments into messages about the options of the command line.

The library writes an argument between backticks ("use a smaller `tile`"), or before the message it is about
("tile=9: too small"). Both become options here if the command that runs has such an option; all else stays.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from logging import LogRecord

from ..errors import PlanError

RENAMED = {
    "image": "--init-image",
    "loras": "--lora",
    "max_pixels": "--max-megapixels",
    "paper": "--print",
    "safety_checker": "--no-safety-checker",
    "workers": "--devices",
}
"""Arguments whose option has another name; the option of any other is its name with hyphens."""

ARGUMENT = r"(?<![^\s(])`(?P<argument>[a-z][a-z_]*)`(?=[),;:.?!]*(?:\s|$))"
"""An argument between backticks that stands as a word of its own; backticks inside the name of a file do not match."""

FAULT = r"(?:^|(?<=: ))(?P<fault>[a-z][a-z_]*)=(?P<value>.*?): "

_known: Collection[str] | None = None


def limit_options(options: Iterable[str] | None) -> None:
    """Limits the options that messages name from now on to these; None allows any."""
    global _known  # noqa: PLW0603 - one command runs in a process
    _known = None if options is None else frozenset(options)


def option(argument: str) -> str | None:
    """Returns the option that sets an argument of the library, as --long-edge for `long_edge`; None without one."""
    name = RENAMED.get(argument, "--" + argument.replace("_", "-"))
    return name if _known is None or name in _known else None


def with_options(text: str, names: Iterable[str] = ()) -> str:
    """Returns a message of the library in terms of options. Leaves `names` of files and the like in it unchanged."""
    kept = [re.escape(name) for name in sorted(names, key=len, reverse=True) if "`" in name or "=" in name]
    return re.sub("|".join([*kept, ARGUMENT, FAULT]), _renamed, text)


def sentence(error: BaseException, names: Iterable[str] = ()) -> str:
    """Returns the text of an error in terms of options: "tile=9: …" becomes "--tile 9: …"."""
    if isinstance(error, PlanError) and error.argument is not None and (name := option(error.argument)) is not None:
        value = "" if error.value is None else f" {error.value}"
        return f"{name}{value}: {with_options(error.message, names)}"
    return with_options(str(error), names)


def in_record(record: LogRecord) -> str:
    """Returns a log record's message in terms of options. Arguments stay unchanged, except errors and whole texts."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    if record.msg == "%s" or not arguments:
        return with_options(record.getMessage())
    return with_options(str(record.msg)) % tuple(
        sentence(argument) if isinstance(argument, Exception) else argument for argument in arguments
    )


def _renamed(found: re.Match[str]) -> str:
    name = option(found["argument"] or found["fault"] or "")
    if name is None or not (found["argument"] or found["fault"]):
        return found[0]
    return name if found["argument"] else f"{name} {found['value']}: "
