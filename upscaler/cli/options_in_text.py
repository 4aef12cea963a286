"""Turns what the library says of its arguments into what the command line says of its options."""

from __future__ import annotations

import re

from ..errors import PlanError

RENAMED = {"image": "--init-image", "loras": "--lora", "paper": "--print", "workers": "--devices"}
"""Arguments whose option has another name; the option of any other is its name with hyphens."""


def option(argument: str) -> str:
    """The option that sets an argument of the library: `long_edge` is set by --long-edge."""
    return RENAMED.get(argument, "--" + argument.replace("_", "-"))


def with_options(text: str) -> str:
    """A message of the library, its arguments between backticks replaced by options."""
    return re.sub(r"`([a-z][a-z_]*)`", lambda found: option(found[1]), text)


def sentence(error: Exception) -> str:
    """The text of an error in terms of the command line: "tile=9: …" becomes "--tile 9: …"."""
    if not isinstance(error, PlanError) or error.argument is None:
        return with_options(str(error))
    value = "" if error.value is None else f" {error.value}"
    return f"{option(error.argument)}{value}: {with_options(error.message)}"
