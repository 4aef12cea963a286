"""Turns prompts, typed or in a file, into the jobs of a run: the parameters and the name of each picture."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from ..codecs import EncodeOptions, by_suffix, writable
from ..diffusion.options import Lora
from ..errors import PlanError
from ..inputs.discover import Job, Jobs
from ..inputs.naming import names_file
from ..inputs.template import Template
from ..target import parse_size
from ..text2image.parameters import GenerationParameters

LONGEST_SLUG = 80
"""Bytes of the part of a name that is made from the prompt; names have 255 in all."""

SEEDS = 2**32
"""Random seeds are below this number; other programs take no larger ones."""

TEMPLATE = "{slug}_{seed}{suffix}"
"""The default template for names of pictures."""

FIELDS = ("slug", "seed", "number", "suffix")
"""What a template for names may have; numbers may have zeros before them, as in {number:03}."""

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
"""The columns of a file of prompts: the field of `GenerationParameters` that each sets, and how it is parsed."""


def read(file: Path) -> list[dict[str, Any]]:
    """Reads a file of prompts; each row becomes a dictionary of fields of `GenerationParameters`.

    A .csv file has a column for each field, a .jsonl file an object on each line, any other file a prompt on each line.
    Empty cells and lines are left out. Raises PlanError, which names the line and the column.
    """
    kinds = {".csv": _csv_rows, ".jsonl": _json_rows}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(kinds.get(file.suffix.lower(), _text_rows)(file, lines))
    except OSError as error:
        raise _file_error(file, f"the file cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise _file_error(file, "the file is not text in UTF-8. Save it as such.") from error
    except csv.Error as error:
        raise _file_error(file, f"the file is not a table ({error}). Correct it.") from error
    found = [_parse_row(f"{file}, line {number}", row) for number, row in rows]
    if not found:
        raise _file_error(file, "there is no prompt in the file. Write one a line.")
    return found


def expand_prompts(
    rows: Iterable[Mapping[str, Any]],
    common: Mapping[str, Any],
    count: int,
    output: str | None,
    options: EncodeOptions,
    name: str | None = None,
) -> Jobs[GenerationParameters]:
    """Expands prompts into the jobs of a run. Each of `rows` holds fields of `GenerationParameters`; `common` holds the
    fields of rows that do not set them.

    Each row gives `count` pictures, with one seed after the other; without a seed it is chosen at random, once for all.
    `output` is a file for a single picture, else a folder; None is the current one. `options` say how files are
    written, PNG by default; `name` is a template for their names, by default TEMPLATE. Equal pictures are made once.

    Raises PlanError when the output or the name cannot be used, or when two pictures would become one file.
    """
    seed = secrets.randbelow(SEEDS)
    full, shape = [], {"size", "aspect"}  # a picture has one of these at most
    for row in rows:
        shared = {field: common[field] for field in common if field not in shape or shape.isdisjoint(row)}
        full.append(GenerationParameters(**{"seed": seed, **shared, **row}))
    unique = dict.fromkeys(
        replace(parameters, seed=parameters.seed + index) for parameters in full for index in range(count)
    )
    if output is not None and (output == "" or "://" in output):
        message = "generated pictures go to files of this machine. Name a file or a folder."
        raise PlanError(message, argument="output", value=repr(output))
    if output is not None and names_file(output, [f"{len(unique)} pictures"], len(unique), options):
        if name is not None:
            message = f"the picture has its name already, {output}. Leave out one of them."
            raise PlanError(message, argument="name", value=repr(name))
        return Jobs((Job(next(iter(unique)), Path(output), options),), ())
    template = Template(TEMPLATE if name is None else name, FIELDS, numbers=("seed", "number"))
    suffix = writable(options.format).suffixes[0]
    jobs: list[Job[GenerationParameters]] = []
    taken: dict[str, int] = {}
    for number, parameters in enumerate(unique, 1):
        file = Path(output or "", _fill(template, suffix, slug(parameters.prompt), parameters.seed, number))
        other = taken.setdefault(os.path.normcase(file), number)
        if other != number:
            raise PlanError(
                f"{file}: pictures {other} and {number} would both get this name. "
                "Give them other seeds, or put {number} into `name`."
            )
        jobs.append(Job(parameters, file, options))
    return Jobs(tuple(jobs), (), None if output is None else Path(output))


def slug(prompt: str) -> str:
    """Returns a prompt as a part of a file's name: letters and digits of any script, joined by hyphens.

    A long one is cut and ends in a hash of the whole prompt, so that it differs from others that begin alike.
    """
    words = re.sub(r"[\W_]+", "-", prompt.lower()).strip("-") or "picture"
    if len(words.encode()) <= LONGEST_SLUG:
        return words
    hash = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{words.encode()[: LONGEST_SLUG - 9].decode('utf-8', 'ignore').rstrip('-')}-{hash}"


def _fill(template: Template, suffix: str, slug: str, seed: int, number: int) -> str:
    """Fills a template for names. Raises PlanError if that gives no name of a picture."""
    name = template.check(slug=slug, seed=seed, number=number, suffix=suffix)
    if by_suffix(Path(name).suffix) != by_suffix(suffix):
        raise template.error(
            f"it gives {name!r}, which cannot be the name of a picture in this format. End it with {{suffix}}."
        )
    return name


def _text_rows(_: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((number, {"prompt": line.strip()}) for number, line in enumerate(lines, 1) if line.strip())


def _csv_rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    table = csv.DictReader(lines)
    for row in table:
        if None in row:
            raise PlanError(
                f"{file}, line {table.line_num}: it has more cells than the first line. "
                "Put texts with commas in quotes."
            )
        if any(value and value.strip() for value in row.values()):
            yield table.line_num, {(name or "").strip().lower(): value for name, value in row.items()}


def _json_rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise PlanError(f"{file}, line {number}: it is not JSON ({error}).") from error
            if not isinstance(row, dict):
                raise PlanError(f'{file}, line {number}: it is not an object. Write {{"prompt": "…"}}.')
            if isinstance(row.get("lora"), list):
                row["lora"] = ";".join(map(str, row["lora"]))
            yield number, row


def _parse_row(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a row to fields of `GenerationParameters`.

    Raises PlanError, which names the place, for an unknown column and for a value that cannot be used.
    """
    found = {}
    for name, value in row.items():
        if name not in COLUMNS:
            raise PlanError(f"{place}: there is no column {name!r}. There are {', '.join(COLUMNS)}.")
        if isinstance(value, bool | list | dict):
            raise PlanError(f"{place}, column {name}: {json.dumps(value)[:60]} is not a text or a number.")
        field, parse = COLUMNS[name]
        text = "" if value is None else str(value).strip()
        if not text:
            continue
        try:
            found[field] = parse(text)
        except ValueError as error:
            kind = "whole number" if parse is int else "number"
            raise PlanError(f"{place}, column {name}: {text[:60]!r} is not a {kind}.") from error
        except PlanError as error:
            raise _row_error(f"{place}, column {name}", error) from error
    if "prompt" not in found and "image" not in found:
        raise PlanError(f"{place}: it has no prompt. Every line needs one, in a column named prompt.")
    found = {"prompt": "", **found}  # with an image no prompt is needed
    try:
        GenerationParameters(**found)
    except PlanError as error:
        columns = {field: column for column, (field, _) in COLUMNS.items()}
        if error.argument in columns:
            place = f"{place}, column {columns[error.argument]}"
        raise _row_error(place, error) from error
    return found


def _row_error(place: str, error: PlanError) -> PlanError:
    """Returns an error that names the place of a value instead of its argument."""
    value = "" if error.value is None else f"{error.value}: "
    return PlanError(f"{place}: {value}{error.message}")


def _file_error(file: Path, message: str) -> PlanError:
    return PlanError(message, argument="prompts", value=file)
