"""Tells which files of a diffusion model in diffusers' form are needed, from their names and from the model's index;
and which file of a repository that has no index is a network.

Nothing is loaded or fetched: the names may be those of a folder or of a repository.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from ..errors import ModelError
from ..validation import check_fields, check_text, read_json
from .model import PICKLES, SAFETENSORS, Kind

INDEX = "model_index.json"
"""The file that names the class of a pipeline and its parts, each of which has a folder."""

CONFIG = "config.json"
"""The file that describes a single network, such as a ControlNet, or a part of a pipeline that has weights."""

AGAIN = "Fetch or save it again."

UPSCALERS = ("StableDiffusionUpscalePipeline", "StableDiffusionLatentUpscalePipeline")
"""The classes of pipelines that enlarge by themselves."""

SMALL = (".json", ".txt", ".model", ".jinja")
"""Endings of configurations and vocabularies."""

WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)"
    r"(?:\.(?P<variant>\w+))?(?:-(?P<number>\d{5})-of-(?P<count>\d{5}))?\.(?P<format>safetensors|bin)"
)

SHARDS = re.compile(r"\w+\.(?P<format>safetensors|bin)\.index(?:\.(?P<variant>\w+))?\.json")
"""The index of weights that are spread over several files."""


check_name = check_text(re.compile(r"[A-Za-z_][\w.]*"), "a name", longest=200)
"""Checks the name of a class, of a module, or of a part, which is a folder."""


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of a model that are read."""

    small: tuple[str, ...]
    """Configurations and vocabularies, the index first."""
    weights: tuple[str, ...]
    variant: str | None
    """The variant of the weights of at least one part; None if no part has one."""
    pickled: tuple[str, ...]
    """The weights that are not safetensors."""


class _Weights(NamedTuple):
    """The weights of one part, with their index if they are spread over several files."""

    format: str
    variant: str | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The content of an index."""

    class_name: str
    parts: tuple[str, ...]
    """The folders of its parts; "" alone for a single network."""
    libraries: tuple[str, ...]
    """The modules that define the classes of its parts."""

    @property
    def is_network(self) -> bool:
        """Whether it describes a single network, such as a ControlNet, and no pipeline."""
        return "" in self.parts

    @property
    def kind(self) -> Kind:
        """The kind of a `Model` that has this index."""
        if self.is_network:
            return "control"
        return "diffusion" if self.class_name in UPSCALERS else "generator"

    def choose(self, subject: str, names: Collection[str], variant: str, allow_pickle: bool = False) -> WeightFiles:
        """Chooses, among the names of all files relative to the index, weights in one format and precision.

        Each part has safetensors of the variant, else those without a variant, else those of another one; pickles are
        taken only where there is nothing else. Raises ModelError, which begins with `subject`, when a part is missing,
        or is a pickle and pickles are not allowed.
        """
        small: list[str] = []
        weights: list[_Weights] = []
        for part in self.parts:
            own = sorted(name for name in names if PurePosixPath(name).parent == PurePosixPath(part))
            if not own:
                raise ModelError(f"{subject}: its part {part} is missing. {AGAIN}")
            small += [name for name in own if name.endswith(SMALL) and not SHARDS.fullmatch(PurePosixPath(name).name)]
            if PurePosixPath(part, CONFIG).as_posix() in own:
                weights.append(_best_weights(subject, part, own, variant))
        pickled = [name for those in weights if those.format == "bin" for name in those.files]
        if pickled and not allow_pickle:
            raise ModelError(
                f"{subject}: its weights are not safetensors but pickles ({pickled[0]}), which can hide "
                "programs. Use a model with safetensors or, if you trust its author, set `allow_pickle`."
            )
        index = CONFIG if "" in self.parts else INDEX
        return WeightFiles(
            (index, *(name for name in small if name != index)),
            tuple(name for those in weights for name in those.files),
            next((those.variant for those in weights if those.variant is not None), None),
            tuple(pickled),
        )


def read(path: Path) -> Layout:
    """Reads an index file, INDEX or CONFIG. Raises ModelError when it is not one or cannot be read."""
    try:
        index = read_json(path)
        if not isinstance(index, dict):
            raise ValueError("it is no object")
        if isinstance(index.get("_class_name"), list):
            raise ValueError("its class is a program of its own")
        class_name = check_fields(index, {"_class_name": check_name}, is_whole=False).get("_class_name")
        if class_name is None:
            raise ValueError("it names no class")
        parts = {
            check_name(name): check_name(value[0])
            for name, value in index.items()
            if isinstance(value, list) and value and isinstance(value[0], str)
        }
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(
            f"{path}: this is not the index of a diffusion model ({error}). Use one that diffusers has saved."
        ) from error
    if path.name == CONFIG:
        return Layout(class_name, ("",), ("diffusers",))
    return Layout(class_name, tuple(parts), tuple(sorted(set(parts.values()))))


def index_of(folder: Path) -> Path | None:
    """Returns the index file in a folder, or None if the folder holds no diffusion model."""
    if (folder / INDEX).is_file():
        return folder / INDEX
    config = folder / CONFIG
    try:
        return config if "_class_name" in read_json(config) else None
    except (OSError, ValueError, TypeError):
        return None


def names_in(folder: Path) -> list[str]:
    """Returns the names of all files in a folder and its direct subfolders, as `Layout.choose` takes them."""
    found = [*folder.glob("*"), *folder.glob("*/*")]
    return [file.relative_to(folder).as_posix() for file in found if file.is_file()]


def choose_network(id: str, names: Iterable[str]) -> str | None:
    """Returns the only file of a network among the names of a repository's files: safetensors, else another one; None
    if there is none. Weights that a configuration describes are none. Raises ModelError, which lists them, for several.
    """
    names = sorted(names)
    described = [name for name in names if CONFIG in names and WEIGHTS.fullmatch(PurePosixPath(name).name)]
    for suffixes in (SAFETENSORS, PICKLES):
        found = [name for name in names if name.lower().endswith(suffixes) and name not in described]
        if len(found) > 1:
            listed = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
            raise ModelError(f"{id}: there are several networks in it ({listed}). Name one, as {id}/{found[0]}.")
        if found:
            return found[0]
    return None


def kind_of_file(path: Path) -> Kind:
    """Returns the kind of a `Model` in a file of weights: "network", unless a denoiser has Stability AI's names."""
    if path.suffix.lower() not in SAFETENSORS:
        return "network"
    try:
        with safe_open(path, "np") as file:
            names = [name for name in file.keys() if name.startswith("model.diffusion_model.")]  # noqa: SIM118
            first = "model.diffusion_model.input_blocks.0.0.weight"
            channels = file.get_slice(first).get_shape()[1] if first in names else 4
    except (OSError, SafetensorError, IndexError):
        return "network"  # its loader says what is wrong
    return "network" if not names else "diffusion" if channels == 7 else "generator"  # 7: it takes the picture, too


def _best_weights(subject: str, part: str, names: list[str], variant: str) -> _Weights:
    """Chooses the preferred complete set of weights of a part. Raises ModelError when none is complete."""
    found: dict[tuple[str, str | None, int], list[str]] = {}
    for name in names:
        if match := WEIGHTS.fullmatch(PurePosixPath(name).name):
            found.setdefault((match["format"], match["variant"], int(match["count"] or 1)), []).append(name)
    whole = [_Weights(*key[:2], tuple(files)) for key, files in found.items() if len(files) == key[2]]
    if not whole:
        raise ModelError(f"{subject}: the weights of {part or 'the network'} are missing, or not all there. {AGAIN}")
    best = min(whole, key=lambda found: (found.format == "bin", found.variant != variant, found.variant is not None))
    if len(best.files) == 1:
        return best
    matches = [(name, SHARDS.fullmatch(PurePosixPath(name).name)) for name in names]
    indices = [name for name, match in matches if match and (match["format"], match["variant"]) == best[:2]]
    return best._replace(files=(*indices, *best.files))
