"""Templates for names of files, such as "{stem}_{scale}x{suffix}": what may be between braces, and what they give."""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ..errors import PlanError


@dataclass(frozen=True, slots=True)
class Template:
    """A text with fields between braces; doubled braces stand for single ones. Raises PlanError for any other text.

    Nothing of Python's formatting is taken but zeros before `numbers`, as in {number:03}: a field with an attribute
    would look into objects, and one with a width could have any length.
    """

    text: str
    fields: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shown = ", ".join(f"{{{field}}}" for field in self.fields)
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise self.error(
                f"it has a brace without its other half, or something between braces that is not a field ({shown}). "
                "Write {{ and }} for braces that belong to the name."
            ) from error
        for _, field, spec, conversion in parsed:
            zeros = field in self.numbers and re.fullmatch("0[1-9]", spec or "", re.ASCII)
            if field is not None and (field not in self.fields or (spec and not zeros) or conversion):
                written = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
                raise self.error(
                    f"{{{written}}} is not a field ({shown}). "
                    "Choose one of these, with nothing else between the braces."
                )

    def error(self, message: str) -> PlanError:
        """Returns an error about the template."""
        return PlanError(message, argument="name", value=repr(self.text))

    def parts(self) -> Iterator[tuple[str, str | None]]:
        """Yields each literal text, and the field after it if there is one."""
        return ((literal, field) for literal, field, _, _ in string.Formatter().parse(self.text))

    def names(self) -> Collection[str]:
        """Returns the fields that are in the text."""
        return {field for _, field in self.parts() if field}

    def fill(self, **values: str | int) -> str:
        """Returns the name with values for all fields, which may hold whatever names of files hold here."""
        return self.text.format(**values)

    def check(self, **values: str | int) -> str:
        """Returns the name with values for all fields. Raises PlanError when it is none on some system."""
        name = self.fill(**values)
        if name in ("", ".", "..") or any(character in name for character in "/\\\0"):
            raise self.error(
                f"{name!r} cannot be the name of a file. Choose a name without / and \\; `output` names the folder."
            )
        return name
