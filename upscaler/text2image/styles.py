"""Named styles: templates of prompts and negative prompts, in `styles.toml`."""

from __future__ import annotations

import difflib
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

from ..catalog import normalize_name
from ..errors import PlanError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True, slots=True)
class Style:
    """A way to make pictures, in words that models know."""

    name: str
    prompt: str
    """The template, with {prompt} where the prompt goes."""
    negative: str = ""


@functools.cache
def styles() -> tuple[Style, ...]:
    """Returns all styles, in the order of the file."""
    with Path(__file__).with_name("styles.toml").open("rb") as file:
        return tuple(Style(**block) for block in tomllib.load(file)["style"])


def find_style(name: str) -> Style:
    """Returns the style of that name; upper case, hyphens and spaces make no difference.

    Raises PlanError, which suggests the most similar name, for an unknown one.
    """
    known = {normalize_name(found.name): found for found in styles()}
    if normalize_name(name) in known:
        return known[normalize_name(name)]
    near = difflib.get_close_matches(normalize_name(name), known, 1)
    hint = f"Did you mean {known[near[0]].name}?" if near else f"Choose {', '.join(s.name for s in known.values())}."
    raise PlanError(f"no style has this name. {hint}", argument="style", value=name)
