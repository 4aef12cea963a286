"""Named styles: templates of prompts, and what each of them does without, in `styles.toml`."""

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
    """How a picture is made, in words that models know."""

    name: str
    prompt: str
    """With {prompt} where what is in the picture stands."""
    negative: str = ""


@functools.cache
def styles() -> tuple[Style, ...]:
    """All that there are."""
    with Path(__file__).with_name("styles.toml").open("rb") as file:
        return tuple(Style(**block) for block in tomllib.load(file)["style"])


def style(name: str) -> Style:
    """The style of that name, however it is spelt: upper case, hyphens and spaces make no difference.

    Raises PlanError, naming the nearest.
    """
    known = {normalize_name(found.name): found for found in styles()}
    if normalize_name(name) in known:
        return known[normalize_name(name)]
    near = difflib.get_close_matches(normalize_name(name), known, 1)
    hint = f"Did you mean {known[near[0]].name}?" if near else f"Choose {', '.join(it.name for it in known.values())}."
    raise PlanError(f"--style {name}: there is none of this name. {hint}")
