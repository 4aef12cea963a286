"""Reads and searches the models that have a name: those of `models/catalog.toml`, and imported ones."""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

from ..errors import ModelError, first_line
from ..files import cache_dir
from ..validation import check_list
from . import diffusers_layout, hub, openmodeldb, store
from .blocks import ID, REVISION, read_block
from .download import Download
from .model import PICKLES, SAFETENSORS, Model, Repository

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NCNN = (".param", ".bin")
"""A pair of files: the graph and its weights."""

SUFFIXES = (*SAFETENSORS, *PICKLES, *NCNN)
"""Suffixes of files that are taken for networks."""

REPOSITORY = re.compile(
    rf"(?P<id>{ID.pattern})(?:/(?P<file>(?:\w[\w.+() -]*/)*\w[\w.+() -]*(?:{'|'.join((*SAFETENSORS, *PICKLES))})))?"
    rf"(?:@(?P<revision>{REVISION.pattern}))?",
    re.ASCII | re.IGNORECASE,
)
"""A repository of the hub, or a file of a network in it, with or without a revision."""


def find(name: str | os.PathLike[str]) -> Model:
    """Finds the model of that name or alias, in that file, or at that URL (with #sha256=… if the hash is known).

    A diffusion model may also be in a folder, or in a repository of the hub, as may be a network: owner/name,
    owner/name@revision, owner/name/file.safetensors. What a repository holds that is not on this machine is not known
    yet; see `hub.settle`.
    Upper case, hyphens, underscores and spaces make no difference in a name, and no punctuation in those of
    OpenModelDB. Raises ModelError, which suggests the most similar name.
    """
    if not isinstance(name, str | os.PathLike) or "\0" in os.fspath(name):
        raise ModelError(f"{name!r}: this names no model. Pass a text, or the path of a file.")
    name = os.fspath(name)
    if "://" in name:
        return _at_url(name)
    known = {normalize_name(word): model for model in reversed(models()) for word in (model.name, *model.aliases)}
    if normalize_name(name) in known:
        return known[normalize_name(name)]
    path = Path(name)
    if path.is_dir():
        index = diffusers_layout.index_of(path)
        if index is None:
            raise ModelError(
                f"{path}: this is a folder without a diffusion model in it (there is no {diffusers_layout.INDEX})."
            )
        return Model(path.resolve().name, diffusers_layout.read(index).kind, file=path)
    repository = REPOSITORY.fullmatch(name)
    is_on_hub = repository is not None and repository["file"] is not None and not Path(path.parts[0]).exists()
    if path.suffix.lower() in SUFFIXES and not is_on_hub:
        if not path.is_file():
            raise ModelError(f"{name}: no such file.")
        if path.suffix.lower() in NCNN:
            return store.from_ncnn(path)
        return Model(path.stem, diffusers_layout.kind_of_file(path), file=path)
    if path.is_file():
        how = "Its authors may have it in another form" if path.suffix.lower() == ".onnx" else "If it is one, rename it"
        raise ModelError(f"{name}: no network is read from such a file, only from {', '.join(SUFFIXES)}. {how}.")
    if "/" not in name and (other := openmodeldb.find(name)):
        return _find_same(other) or other
    if repository is not None:
        return _in_repository(Repository(repository["id"], repository["revision"], file=repository["file"]))
    suggestions = {normalize_name(model.name): model.name for model in openmodeldb.models()} | {
        key: key for key in known
    }
    near = difflib.get_close_matches(normalize_name(name), suggestions, 1)
    hint = f"Did you mean {suggestions[near[0]]}?" if near else "See upscaler models list, and upscaler models search."
    raise ModelError(
        f"{name}: no model has this name, and there is no such file of a network ({', '.join(SUFFIXES)}). {hint}"
    )


def models() -> tuple[Model, ...]:
    """Returns the models of the catalog, of the user's catalog (`catalog.toml` in `cache_dir()`), and imported ones.

    Raises ModelError when the user's own catalog cannot be read.
    """
    own = cache_dir() / "catalog.toml"
    return *_read_published(), *(_read(own) if own.is_file() else ()), *store.imported_models()


def all_models() -> Iterator[Model]:
    """Returns the models of `models()`, then those of OpenModelDB that are not among them. Raises ModelError."""
    yield from models()
    seen = set()
    for model in openmodeldb.models():
        sha256 = model.download and model.download.sha256
        if sha256 not in seen and _find_same(model) is None:
            yield model
        seen.add(sha256)


def search(words: Sequence[str], scale: int | None = None, commercial: bool = False) -> list[Model]:
    """Returns the models of `all_models()` in whose facts all the words are, whatever their case and punctuation.

    `scale`: only those that enlarge so many times. `commercial`: only those whose licence allows commercial use. Raises
    ModelError.
    """
    wanted = [openmodeldb.letters(word) for word in words]
    return [
        model
        for model in all_models()
        if scale in (None, model.scale)
        and (model.commercial or not commercial)
        and all(any(word in text for text in _texts(model)) for word in wanted)
    ]


def find_by_hash(sha256: str) -> Model | None:
    """Returns the model of the catalog, or else of OpenModelDB, whose file has that hash; None if there is none."""
    return next((model for model in all_models() if model.download and model.download.sha256 == sha256), None)


@functools.cache
def _read_published() -> tuple[Model, ...]:
    """Reads the models of the catalog that comes with this package."""
    return _read(store.shipped_path("catalog.toml"))


def _find_same(other: Model) -> Model | None:
    """Returns the model of the catalog that one of OpenModelDB is, by its hash or name; None if there is none."""
    known = _by_key(models())
    return known.get(other.download.sha256 or "" if other.download else "") or known.get(
        openmodeldb.letters(other.name)
    )


@functools.lru_cache(maxsize=1)
def _by_key(models: tuple[Model, ...]) -> Mapping[str, Model]:
    """Returns models by the hashes of their files and by the letters of their names."""
    found = {}
    for model in reversed(models):
        keys = [openmodeldb.letters(word) for word in (model.name, *model.aliases)]
        if model.download is not None and model.download.sha256 is not None:
            keys.append(model.download.sha256)
        found.update(dict.fromkeys(keys, model))
    return found


def _texts(model: Model) -> list[str]:
    """Returns the letters of the facts that are searched."""
    facts = (model.name, *model.aliases, model.architecture, model.licence, model.author, model.purpose)
    return [openmodeldb.letters(fact) for fact in facts]


def _read(file: Path) -> tuple[Model, ...]:
    try:
        with file.open("rb") as content:
            blocks = tomllib.load(content).get("model", [])
        return check_list(lambda block: read_block(block, file.parent))(blocks)
    except KeyError as error:
        raise ModelError(f"{file}: a block has no {error}. Each needs a name, and a sha256 for its url.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read as a catalog ({first_line(error)}). Correct or remove it.") from error


def _in_repository(repository: Repository) -> Model:
    """Returns the catalog's model of that repository, in the revision that is asked for, or else a new model."""
    if repository.file is not None:
        return Model(f"{repository.id}/{repository.file}", "network", repository=repository)
    for model in models():
        if model.repository is not None and model.repository.id == repository.id:
            if repository.revision is None:
                return model
            return replace(model, repository=replace(model.repository, revision=repository.revision, size=None))
    return hub.recognize(Model(repository.id, "repository", repository=repository))


def _at_url(text: str) -> Model:
    """Returns the catalog's model with that address, whose hash is known, or else a new model."""
    url, fragment = urldefrag(text)
    for model in models():
        if model.download is not None and url in model.download.urls:
            return model
    sha256 = fragment.removeprefix("sha256=").lower() if fragment else None
    if sha256 is not None and (len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef")):
        raise ModelError(f"{text}: what follows # is not a hash. Write #sha256= and 64 hexadecimal digits.")
    if urlsplit(url).scheme not in ("http", "https"):
        raise ModelError(f"{text}: only http and https addresses can be fetched.")
    download = Download((url,), None, sha256)
    if Path(download.filename).suffix.lower() not in SUFFIXES:
        raise ModelError(f"{text}: this is not the address of a file of a network ({', '.join(SUFFIXES)}).")
    return Model(Path(download.filename).stem, download=download)


def normalize_name(name: str) -> str:
    """Returns a name in the form in which names are compared: in lower case, with hyphens."""
    return name.lower().replace("_", "-").replace(" ", "-")
