"""From prompts, typed or in a file, to the pictures of a run: what each shall be, and what it is called."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ..codecs import DEFAULT_OPTIONS, EncodeOptions, by_suffix, writable
from ..diffusion.options import Lora
from ..errors import PlanError
from ..inputs.discover import Job
from ..inputs.naming import names_file
from ..target import parse_size
from ..text2image.parameters import GenerationParameters

LONGEST_SLUG = 80
"""Bytes of the part of a name that is made from the prompt; names have 255 in all."""

SEEDS = 2**32
"""From which a seed is chosen at random; other programs take no larger ones."""

FIELDS = ("slug", "seed", "number", "suffix")

TEMPLATE = "{slug}_{seed}{suffix}"


@dataclass(frozen=True, slots=True)
class Order:
    """One picture to be generated."""

    parameters: GenerationParameters
    output: Path
    options: EncodeOptions = DEFAULT_OPTIONS

    @property
    def job(self) -> Job:
        """The same as messages and reports see it: the prompt is the source."""
        return Job(Path(self.parameters.prompt.strip() or "picture"), self.output, self.options)


@dataclass(frozen=True, slots=True)
class Orders:
    """All pictures of a run."""

    orders: tuple[Order, ...]
    folder: Path | None
    """Into which they go; None: the current one, or one file."""


SHAPES = ("size", "aspect")
"""Fields of `GenerationParameters` of which a picture has one at most."""

COLUMNS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    "prompt": ("prompt", str),
    "negative": ("negative", str),
    "style": ("style", str),
    "size": ("size", parse_size),
    "aspect": ("aspect", str),
    "steps": ("steps", int),
    "guidance": ("guidance", float),
    "seed": ("seed", int),
    "image": ("image", str),
    "strength": ("strength", float),
    "lora": ("loras", lambda text: tuple(Lora.parse(part.strip()) for part in text.split(";"))),
}
"""Of files of prompts: the field of `GenerationParameters` each is, and how it is read."""


def read(file: Path) -> list[dict[str, Any]]:
    """Reads a file of prompts; each row becomes a dictionary of fields of `GenerationParameters`.

    A .csv file has a column for each option, a .jsonl file an object on each line, any other file a prompt on each
    line. Empty cells and lines are left out. Raises PlanError.
    """
    kinds = {".csv": _csv_rows, ".jsonl": _json_rows}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(kinds.get(file.suffix.lower(), _text_rows)(file, lines))
    except OSError as error:
        raise PlanError(f"--prompts {file}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"--prompts {file}: is no text in UTF-8. Save it as such.") from error
    wishes = [_fields(f"{file}, line {number}", row) for number, row in rows]
    if not wishes:
        raise PlanError(f"--prompts {file}: holds no prompt. Write one a line.")
    return wishes


def expand_prompts(
    wishes: Iterable[Mapping[str, Any]],
    common: Mapping[str, Any],
    count: int,
    output: str | None,
    options: EncodeOptions,
    name: str | None = None,
) -> Orders:
    """Expands prompts into the pictures of a run. Each of `wishes` holds fields of `GenerationParameters`; `common`
    holds the fields of those that do not set them.

    Of each there are `count`, with one seed after the other; without a seed it is chosen at random, once for all.
    `output` is a file for a single picture, else a folder; None is the current one. `options` say how files are
    written, PNG unless they say otherwise, and `name` what they are called, with FIELDS. What is wished twice is made
    once.

    Raises PlanError when the output or the name cannot be meant so, or when two pictures would become one file.
    """
    seed = secrets.randbelow(SEEDS)
    full = [
        GenerationParameters(**{"seed": seed, **_beside(parameters, common), **parameters}) for parameters in wishes
    ]
    unique = dict.fromkeys(
        replace(parameters, seed=parameters.seed + index) for parameters in full for index in range(count)
    )
    if output is not None and (output == "" or "://" in output):
        raise PlanError(
            f"--output {output!r}: generated pictures go to files of this machine. Name a file or a folder."
        )
    shown = f"{len(unique)} pictures"
    if output is not None and names_file(output, [shown], len(unique), options.format):
        if name is not None:
            raise PlanError(f"--name {name!r}: the picture has its name already, {output}. Leave out one of them.")
        return Orders((Order(next(iter(unique)), Path(output), options),), None)
    naming = _Naming(TEMPLATE if name is None else name, writable(options.format).suffixes[0])
    orders = [
        Order(parameters, Path(output or "", naming.name(parameters, number)), options)
        for number, parameters in enumerate(unique, 1)
    ]
    _refuse_losses(orders)
    return Orders(tuple(orders), None if output is None else Path(output))


def _beside(parameters: Mapping[str, Any], common: Mapping[str, Any]) -> dict[str, Any]:
    """What of `common` a wish leaves room for: a size of its own, or proportions, take the place of both."""
    shaped = not parameters.keys().isdisjoint(SHAPES)
    return {name: value for name, value in common.items() if not (shaped and name in SHAPES)}


def slug(prompt: str) -> str:
    """A prompt as a part of a file's name: letters and digits of any script, joined by hyphens. What is too long ends
    in a hash of the whole, so that it is not taken for another."""
    words = re.sub(r"[\W_]+", "-", prompt.lower()).strip("-") or "picture"
    if len(words.encode()) <= LONGEST_SLUG:
        return words
    hash = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{words.encode()[: LONGEST_SLUG - 9].decode('utf-8', 'ignore').rstrip('-')}-{hash}"


@dataclass(frozen=True, slots=True)
class _Naming:
    """A template with FIELDS; doubled braces stand for single ones. Raises PlanError for one that gives no names."""

    template: str
    suffix: str

    def __post_init__(self) -> None:
        try:
            name = self._filled("slug", 0, 1)
        except (ValueError, KeyError, IndexError, AttributeError) as error:
            shown = ", ".join(f"{{{field}}}" for field in FIELDS)
            raise PlanError(f"--name {self.template!r}: may have {shown} between braces, nothing else.") from error
        if any(character in name for character in "/\\\0") or by_suffix(Path(name).suffix) != by_suffix(self.suffix):
            raise PlanError(
                f"--name {self.template!r}: gives {name!r}, which is no name of a picture in this format. "
                "End it with {suffix}, and choose it without / and \\; a folder is named with --output."
            )

    def name(self, parameters: GenerationParameters, number: int) -> str:
        return self._filled(slug(parameters.prompt), parameters.seed, number)

    def _filled(self, slug: str, seed: int, number: int) -> str:
        values = {"slug": slug, "seed": seed, "number": number, "suffix": self.suffix}
        return string.Formatter().vformat(self.template, (), values)


def _refuse_losses(orders: Sequence[Order]) -> None:
    """Raises PlanError when a picture would replace another."""
    taken: dict[str, int] = {}
    for number, order in enumerate(orders, 1):
        other = taken.setdefault(os.path.normcase(order.output), number)
        if other != number:
            raise PlanError(
                f"{order.output}: pictures {other} and {number} would both be called so. "
                f"Give them other seeds, or put {{number}} into --name."
            )


def _text_rows(_: Path, lines: Iterable[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    return ((number, {"prompt": line.strip()}) for number, line in enumerate(lines, 1) if line.strip())


def _csv_rows(file: Path, lines: Iterable[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    table = csv.DictReader(lines)
    for row in table:
        if None in row:
            raise PlanError(f"{file}, line {table.line_num}: has more cells than the first line. Put commas in quotes.")
        yield table.line_num, {(name or "").strip().lower(): value for name, value in row.items()}


def _json_rows(file: Path, lines: Iterable[str]) -> Iterable[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise PlanError(f"{file}, line {number}: is no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise PlanError(f'{file}, line {number}: is no object. Write {{"prompt": "…"}}.')
            if isinstance(row.get("lora"), list):
                row["lora"] = ";".join(map(str, row["lora"]))
            yield number, row


def _fields(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a row to fields of `GenerationParameters`.

    Raises PlanError, which names the place, for an unknown column and for a value that cannot be read.
    """
    found = {}
    for name, value in row.items():
        if name not in COLUMNS:
            raise PlanError(f"{place}: {name!r} is no column. There are {', '.join(COLUMNS)}.")
        if value is not None and str(value).strip():
            found[COLUMNS[name][0]] = _parsed(place, name, str(value).strip())
    if "prompt" not in found and "image" not in found:
        raise PlanError(f"{place}: has no prompt. Every line needs one, in a column named prompt.")
    found = {"prompt": "", **found}  # to change a picture takes no words
    try:
        GenerationParameters(**found)
    except PlanError as error:
        raise PlanError(f"{place}: {error}") from error
    return found


def _parsed(place: str, name: str, text: str) -> Any:
    try:
        return COLUMNS[name][1](text)
    except ValueError as error:
        kind = "whole number" if COLUMNS[name][1] is int else "number"
        raise PlanError(f"{place}: {name} {text!r} is no {kind}.") from error
    except PlanError as error:
        raise PlanError(f"{place}: {error}") from error
