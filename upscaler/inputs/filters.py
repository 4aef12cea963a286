"""Decides by shell patterns which files of folders are taken, and which are left alone."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PlanError

EXCLUDED = "left out by `exclude`"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that a run leaves alone."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Patterns for what is taken of folders and globs. Paths are matched from the folder where the search began."""

    include: tuple[re.Pattern[str], ...]
    exclude: tuple[re.Pattern[str], ...]

    def folder(self, path: Path, base: Path) -> Skipped | None:
        """Returns the path itself or the first folder above it, below `base`, that is left out; None if none is."""
        parts = path.relative_to(base).parts
        for depth in range(len(parts)):
            if _matches(self.exclude, parts[: depth + 1]):
                return Skipped(base.joinpath(*parts[: depth + 1]), EXCLUDED)
        return None

    def file(self, path: Path, base: Path) -> Skipped | None:
        """Returns the file or the folder above it that is left out; None if the file is taken."""
        excluded = self.folder(path, base)
        if excluded is None and self.include and not _matches(self.include, path.relative_to(base).parts):
            return Skipped(path, "left out by `include`")
        return excluded


def compile_patterns(argument: str, patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    """Compiles shell patterns for a `Filter`. Raises PlanError, which names the argument, for an empty one.

    A slash at the end is taken off; **/ at the beginning may also stand for no folder.
    """
    result = []
    for text in patterns:
        pattern = text.rstrip("/")
        if not pattern:
            message = "an empty pattern matches nothing. Leave it out, or say which files."
            raise PlanError(message, argument=argument, value=repr(text))
        anywhere = "(.*/)?" if pattern.startswith("**/") else ""
        result.append(re.compile(anywhere + fnmatch.translate(pattern.removeprefix("**/")), re.IGNORECASE))
    return tuple(result)


def _matches(patterns: tuple[re.Pattern[str], ...], parts: tuple[str, ...]) -> bool:
    return any(pattern.match("/".join(parts)) or pattern.match(parts[-1]) for pattern in patterns)
