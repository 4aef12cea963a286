"""Names results, finds the sources that a file may be a result of, and tells outputs that are files from folders.

`discover` decides where results lie, and what is done when two have one name.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..codecs import EncodeOptions, Format, by_suffix, choices, sniff, writable
from ..errors import PlanError
from .template import Template

RESULT = re.compile(r"(?P<source>.+)_(\d+(\.\d+)?x|upscaled)(_crop-[\dpcx.-]+)?")
"""Names, without a suffix, that results get when they are written beside their sources."""

FIELDS = ("stem", "suffix", "scale", "format", "parent")


@dataclass(frozen=True, slots=True)
class Naming:
    """A template for names, such as "{stem}_{scale}x{suffix}"; doubled braces stand for single ones.

    stem is the source's name without its suffix, suffix the result's with its dot, scale a number such as 4 or 2.5,
    format a word such as jpeg, parent the name of the source's folder. Raises PlanError for a template that gives no
    names of pictures.
    """

    template: str
    scale: float | None = None
    """None if the size that is asked for is not a scale; a template that needs one is then refused."""

    _parsed: Template = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parsed", Template(self.template, FIELDS))
        if "scale" in self._parsed.names() and self.scale is None:
            raise self._parsed.error(
                "{scale} is not known, for the size asked for is not a scale. "
                "Leave it out, or ask for a size with `scale`."
            )
        scale = "" if self.scale is None else f"{self.scale:g}"
        name = self._parsed.check(stem="picture", suffix=".png", scale=scale, format="png", parent="folder")
        if by_suffix(Path(name).suffix) is None:
            raise self._parsed.error("it gives names without a picture's suffix. End it with {suffix}.")

    def name(self, source: Path, format: Format) -> str:
        """Returns the name of the result in that format. Raises PlanError if its suffix is not the format's."""
        suffix = source.suffix if source.suffix.lower() in format.suffixes else format.suffixes[0]
        name = self._fill(stem(source), suffix, format.name.lower(), _parent(source))
        if by_suffix(Path(name).suffix) is not format:
            raise self._parsed.error(
                f"{source} would become {name}, which does not name its format, {format.name}. End it with {{suffix}}."
            )
        return name

    def sources_of(self, path: Path) -> set[Path]:
        """Returns the sources, without suffix, whose result at any scale, in any format, could have that name."""
        matches = (RESULT.fullmatch(stem(path)), self._pattern(_parent(path)).fullmatch(path.name))
        found = [match["source"] for match in matches if match and "source" in match.re.groupindex]
        return {path.parent / source for source in found} - {without_suffix(path)}

    def _fill(self, stem: str, suffix: str, format: str, parent: str) -> str:
        scale = "" if self.scale is None else f"{self.scale:g}"
        return self._parsed.fill(stem=stem, suffix=suffix, scale=scale, format=format, parent=parent)

    def _pattern(self, parent: str) -> re.Pattern[str]:
        """Returns a pattern of the names that the template gives in a folder of that name. Its group `source` is the
        stem, if the template has one."""
        values = {
            "stem": "(?P<source>.+)",
            "suffix": r"\.[^.]+",
            "scale": r"\d+(\.\d+)?",
            "format": r"\w+",
            "parent": re.escape(parent),
        }
        pattern = ""
        for literal, name in self._parsed.parts():
            pattern += re.escape(literal) + (values[name] if name else "")
            if name == "stem":
                values["stem"] = "(?P=source)"
        return re.compile(pattern)


def stem(path: Path) -> str:
    """Returns the name without the suffix of a picture: nothing is taken from `scan.v2`."""
    return path.stem if by_suffix(path.suffix) else path.name


def without_suffix(path: Path) -> Path:
    """Returns the path without the suffix of a picture."""
    return path.parent / stem(path)


def names_file(output: str, inputs: list[str], count: int, options: EncodeOptions) -> bool:
    """Returns whether `output` is a file, not a folder, for `count` pictures. Raises PlanError if it can be neither."""
    format = options.format
    path = Path(output)
    if output.endswith(("/", os.sep)) or os.path.isdir(path):
        return False
    named = by_suffix(path.suffix)
    if "://" in output:
        if named:
            raise PlanError(f"{output}: only folders can be written into at a URL. End it with / if it is one.")
        return False
    if count > 1 or any(os.path.isdir(text) for text in inputs):
        if named or os.path.exists(path):
            raise PlanError(
                f"{output}: it is one file, where a folder is needed for {', '.join(inputs)}. Name a folder."
            )
        return False
    if not path.suffix and not os.path.exists(path):
        return False
    if format is None and (named is None or not named.is_written(options.all_frames)):
        known = ", ".join(each.suffixes[0] for each in choices(options.all_frames))
        raise PlanError(
            f"{output}: {path.suffix or 'without a suffix it'} is not a format that can be written ({known}). "
            f"{'Use `all_frames`, choose' if named and named.frames else 'Choose'} one of these, or end the name with "
            "/ if it is a folder."
        )
    if format is not None and named is not None and named is not format:
        raise PlanError(
            f"{output}: its name says {named.name}, but `format` says {format.name}. Leave one of them out."
        )
    return True


def format_of(source: Path, all_frames: bool = False) -> Format:
    """Returns the source's own format, by content or else by name, if it can be written; else PNG."""
    found = None
    if os.path.isfile(source):
        with suppress(OSError), source.open("rb") as file:
            found = sniff(file.read(64))
    return writable(found or by_suffix(source.suffix), all_frames)


def _parent(path: Path) -> str:
    return Path(os.path.abspath(path)).parent.name
