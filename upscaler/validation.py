"""Checks values that come from elsewhere, a catalog, an index, the header of a file or a database, before any is used.

A check takes any object and returns it as the type that it stands for. It raises ValueError, in words, when the object
is of another type or out of bounds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from .errors import PlanError

Value = TypeVar("Value")

Check: TypeAlias = "Callable[[object], Value]"

LONGEST_TEXT = 10_000
"""Characters of a text, unless more are allowed."""

LARGEST_JSON = 16 * 2**20
"""Bytes of a file of JSON; the largest index of weights that is known has some hundred thousand."""

SHA256 = re.compile("[0-9a-f]{64}")
"""A hash as it is written here."""


def check_text(pattern: re.Pattern[str] | None = None, what: str = "a text", longest: int = LONGEST_TEXT) -> Check[str]:
    """Returns a check for a text, which matches a pattern if there is one; `what` names such a text."""

    def check(value: object) -> str:
        if not isinstance(value, str) or len(value) > longest or (pattern is not None and not pattern.fullmatch(value)):
            raise ValueError(f"is not {what}")
        return value

    return check


def check_whole(low: int, high: int) -> Check[int]:
    """Returns a check for a whole number from `low` to `high`."""

    def check(value: object) -> int:
        if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(value)

    return check


def check_number(low: float, high: float) -> Check[float]:
    """Returns a check for a number from `low` to `high`."""

    def check(value: object) -> float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
            raise ValueError(f"is not a number from {low:g} to {high:g}")
        return value  # type: ignore[return-value]

    return check


def check_flag(value: object) -> bool:
    """Checks that an object is true or false."""
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def check_choice(*choices: str) -> Check[str]:
    """Returns a check for one of some texts."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"is not one of {', '.join(choices)}")
        return value

    return check


def check_list(each: Check[Value], most: int = 1000) -> Check[tuple[Value, ...]]:
    """Returns a check for a list of at most so many objects that pass another check."""

    def check(value: object) -> tuple[Value, ...]:
        if not isinstance(value, list) or len(value) > most:
            raise ValueError(f"is not a list of at most {most}")
        found = []
        for item in value:
            try:
                found.append(each(item))
            except ValueError as error:
                if isinstance(item, Mapping):
                    raise  # it names its field
                raise ValueError(f"holds {_show(item)}, which {error}") from error
        return tuple(found)

    return check


def check_fields(values: object, checks: Mapping[str, Check[Any]], is_whole: bool = True) -> dict[str, Any]:
    """Returns those of the `values`, which must be a mapping, for which there are checks.

    Raises ValueError, which names the field and shows its value; also for other fields if `is_whole`.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{_show(values)} is not a table of fields")
    if unknown := [name for name in values if is_whole and name not in checks]:
        raise ValueError(f"it has a field {_show(unknown[0])}, which is not one of {', '.join(checks)}")
    found = {}
    for name, check in checks.items():
        if name in values:
            try:
                found[name] = check(values[name])
            except ValueError as error:
                value = "" if isinstance(values[name], Mapping | list) else f" {_show(values[name])}"
                raise ValueError(f"its {name}{value} {error}") from error
    return found


def check_object(make: Callable[..., Value], checks: Mapping[str, Check[Any]]) -> Check[Value]:
    """Returns a check for a table of fields, of which `make` makes an object; it must take those that are missing."""

    def check(value: object) -> Value:
        try:
            return make(**check_fields(value, checks))
        except ValueError as error:
            raise ValueError(f"cannot be used: {error}") from error
        except TypeError as error:
            raise ValueError(f"lacks a field: {error}") from error

    return check


def check_arguments(settings: object, **checks: Check[Any]) -> None:
    """Raises PlanError, which names the argument, for a field of an object of settings that fails its check. None
    passes."""
    for name, check in checks.items():
        value = getattr(settings, name)
        if value is not None:
            try:
                check(value)
            except ValueError as error:
                raise PlanError(f"the value {error}.", argument=name, value=_show(value)) from error


def read_json(path: Path) -> Any:
    """Reads a file of JSON. Raises OSError, and ValueError when it is too large, no JSON, or nested too deeply."""
    with path.open("rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"it has more than {LARGEST_JSON >> 20} MiB")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _show(value: object) -> str:
    text = type(value).__name__ if isinstance(value, Mapping | list) else repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
