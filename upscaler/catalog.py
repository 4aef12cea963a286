"""The models that can be asked for by name: `models/catalog.toml`, read and looked up."""

from __future__ import annotations

import difflib
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

from .errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Of the files that are taken for networks."""


@dataclass(frozen=True, slots=True)
class Model:
    """One block of the catalog, or a file of the user's own."""

    name: str
    kind: str
    """"network", or "resample" for the plain filter."""
    file: Path | None = None
    scale: int | None = None
    """None: the file says it."""
    reach: int | None = None
    """Source pixels; None: to be measured."""
    aliases: tuple[str, ...] = ()
    purpose: str = ""
    licence: str = ""
    author: str = ""


def find(name: str) -> Model:
    """The model of that name or alias, or the network in that file. Raises ModelError, naming the nearest."""
    for model in models():
        if name == model.name or name in model.aliases:
            return model
    path = Path(name)
    if path.suffix.lower() in SUFFIXES:
        if not path.is_file():
            raise ModelError(f"{name}: no such file.")
        return Model(path.stem, "network", path)
    known = [word for model in models() for word in (model.name, *model.aliases)]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}."
    raise ModelError(f"{name}: no model has this name, and it is no file of a network ({', '.join(SUFFIXES)}). {hint}")


@functools.cache
def models() -> tuple[Model, ...]:
    """Every block of the catalog, in its order."""
    folder = _folder()
    with (folder / "catalog.toml").open("rb") as file:
        blocks = tomllib.load(file)["model"]
    return tuple(
        Model(
            name=block["name"],
            kind=block["kind"],
            file=folder / block["file"] if "file" in block else None,
            scale=block.get("scale"),
            reach=block.get("reach"),
            aliases=tuple(block.get("aliases", ())),
            purpose=block["purpose"],
            licence=block["licence"],
            author=block["author"],
        )
        for block in blocks
    )


def _folder() -> Path:
    """Inside the package when installed from a wheel, beside it in a checkout."""
    package = Path(__file__).parent
    return next(
        place for place in (package / "models", package.parent / "models") if (place / "catalog.toml").is_file()
    )
