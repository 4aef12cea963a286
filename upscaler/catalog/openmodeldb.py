"""Knows the networks of OpenModelDB (openmodeldb.info) by name, from a table of facts, hashes and addresses.

Many of them have no direct address, only a page. The table is read when the catalog lacks a name, or is searched;
`python -m tests.openmodeldb` makes it.
"""

from __future__ import annotations

import csv
import functools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..errors import ModelError, first_line
from . import store
from .blocks import read_block
from .model import Model

COLUMNS = ("id", "name", "scale", "architecture", "tags", "licence", "author", "size", "sha256", "suffix", "urls")
"""The columns of the table. Tags and addresses are separated by spaces; each address leads straight to the file."""

PAGE = "https://openmodeldb.info/models/"


@functools.cache
def models() -> tuple[Model, ...]:
    """Returns all models of the table. Raises ModelError when it cannot be read."""
    file = store.shipped_path("openmodeldb.csv")
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return tuple(map(_read_row, csv.DictReader(lines)))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ModelError(f"{file}: cannot be read as a table ({first_line(error)}). Install it again.") from error


def find(word: str) -> Model | None:
    """Returns the model with that id or name, whatever its case and punctuation; None if there is none. Raises
    ModelError, which lists them, when several have it."""
    found = _by_word().get(letters(word), ())
    if len(found) > 1:
        raise ModelError(
            f"{word}: several models have this name. Choose one: {', '.join(each.name for each in found)}."
        )
    return found[0] if found else None


def letters(word: str) -> str:
    """Returns the letters and digits of a text, in lower case."""
    return re.sub(r"[\W_]+", "", word.lower())


@functools.cache
def _by_word() -> Mapping[str, Sequence[Model]]:
    found = defaultdict(list)
    for model in models():
        for word in {letters(word) for word in (model.name, *model.aliases)}:
            found[word].append(model)
    return dict(found)


def _read_row(row: Mapping[str, str]) -> Model:
    """Returns the model of a row. Raises ValueError for values that no block of a catalog may have."""
    licence = row["licence"]
    block = {
        "name": row["id"],
        "aliases": [row["name"]],
        "scale": int(row["scale"]),
        "architecture": row["architecture"],
        "purpose": row["tags"].replace(" ", ", "),
        "licence": licence,
        "author": row["author"],
        "home": PAGE + row["id"],
        "size": int(row["size"]),
        "sha256": row["sha256"],
        "filename": row["id"] + row["suffix"],
        "urls": row["urls"].split(),
    }
    return read_block(block | ({"commercial": "-NC" not in licence} if licence else {}), store.models_dir())
