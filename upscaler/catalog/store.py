"""Finds and keeps models' files on this machine: embedded, a user's own, imported, fetched, of an installed package."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import logging
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..errors import ModelError
from ..files import atomic_write, cache_dir
from ..progress import ProgressCallback
from . import hub, ncnn
from .download import fetch, is_offline, weights_key, weights_sha256
from .model import LARGEST_SCALE, Model, Package

log = logging.getLogger("upscaler")


def models_dir() -> Path:
    """Returns the folder of fetched models; imported and converted ones are in folders below it."""
    return cache_dir() / "models"


def shipped_path(name: str) -> Path:
    """Returns the path of a file of `models/`, which is inside this package when it was installed from a wheel, else
    beside it."""
    package = Path(__file__).parent.parent
    inside = package / "models" / name
    return inside if inside.is_file() else package.parent / "models" / name


def find_local(model: Model) -> Path | None:
    """Returns a file of the model on this machine, or its folder, unchecked; None if it would have to be fetched."""
    if model.repository is not None:
        return hub.find_local(model.repository)
    places = [model.file, *_own_places(model)]
    found = next((place for place in places if place is not None and place.exists()), None)
    return found or (_package_file(model.package, model.package.bin) if model.package else None)


def fetch_model(
    model: Model, progress: ProgressCallback | None = None, *, offline: bool | None = None, allow_pickle: bool = False
) -> Path:
    """Returns the path of the model's file, which is fetched if need be and allowed.

    It is sought in this order: the model's own file, the cache, an installed package (converted once), the network. A
    known hash is checked each time. For a diffusion model in a repository the folder is returned; its weights are
    safetensors unless pickles are allowed. Raises ModelError.
    """
    if model.facts.loader is None:
        parts = [name for name in (model.enlarge_with, model.generator) if name is not None]
        why = f"it is made of {' and '.join(parts)}" if parts else "it is a plain filter"
        raise ModelError(f"{model.name}: {why} and has no file of its own.")
    if model.file is not None:
        return model.file
    if model.repository is not None:
        return hub.fetch_model(model, progress, offline=offline, allow_pickle=allow_pickle)
    target = _target(model)
    if target is not None and target.is_file():
        expected = model.download.sha256 if model.download else None
        if expected is None or weights_sha256(target) == expected:
            return target
        log.warning("%s: this is not the file that belongs there (its SHA-256 is another), and it is not used.", target)
    if model.package is not None and (converted := _from_package(model.name, model.package)):
        return converted
    if target is None or model.download is None or not model.download.urls:
        raise ModelError(f"{model.name}: {_advise_manual(model, target)}")
    if is_offline() if offline is None else offline:
        raise ModelError(
            f"{model.name}: it is not on this machine, and fetching is forbidden. {_advise_manual(model, target)}"
        )
    if model.commercial is False:
        log.warning("%s: by %s, %s: commercial use is not allowed.", model.name, model.author, model.licence)
    elif model.licence:
        log.info("%s: by %s, %s.", model.name, model.author, model.licence)
    sha256 = fetch(model.download, target, progress)
    if model.download.sha256 is None:
        log.warning("%s: not checked, since its address has no hash. Add #sha256=%s to it.", model.name, sha256)
    return target


def fingerprint(model: Model, allow_pickle: bool = False) -> str:
    """Returns a text that is the same for the same weights: the hash of a file, or the commit of a repository.

    For a folder, whose weights may be many gigabytes, it is a hash of the names, sizes and times of its files. The
    model is fetched if need be and allowed. Raises ModelError.
    """
    place = fetch_model(model, allow_pickle=allow_pickle)
    if place.is_file():
        return weights_key(place)
    if model.repository is not None:
        return place.name
    seen = [(path, path.stat()) for path in sorted(place.rglob("*")) if path.is_file()]
    listed = [(path.relative_to(place).as_posix(), about.st_size, about.st_mtime_ns) for path, about in seen]
    return hashlib.sha256(repr(listed).encode()).hexdigest()


def keep_download(model: Model, file: Path) -> Path:
    """Copies a file, which the caller has checked, to where the model's download lies; returns the path of the copy."""
    target = _target(model)
    assert target is not None
    if not (target.is_file() and target.samefile(file)):
        write_weights(target, lambda temporary: shutil.copyfile(file, temporary))
    return target


def imported_models() -> tuple[Model, ...]:
    """Returns the models that `upscaler models import` has put here."""
    files = sorted((models_dir() / "imported").glob("*.safetensors"))
    return tuple(
        Model(
            file.stem,
            file=file,
            scale=_scale(about := _about(file)),
            architecture=_line(about.get("architecture", "")),
            purpose=f"imported from {_line(about.get('source', 'elsewhere'))}",
        )
        for file in files
    )


def imported_path(name: str) -> Path:
    """Returns the path of an imported model of that name, whether it exists or not."""
    return models_dir() / "imported" / f"{name}.safetensors"


def from_ncnn(file: Path) -> Model:
    """Returns the network in a pair of ncnn files, one of which is `file`: converted, once, or as it is if ncnn alone
    may know it. Raises ModelError."""
    param, bin = ncnn.find_pair(file)
    path = _converted_path(param.stem, weights_sha256(param), weights_sha256(bin))
    if not path.is_file():
        try:
            _convert(param, bin, path)
        except ncnn.OtherNetwork as error:
            log.info("%s Only ncnn can compute it.", error)
            return Model(param.stem, file=param)
    return Model(param.stem, file=path, scale=_scale(_about(path)))


def remove(model: Model) -> list[Path]:
    """Deletes what was fetched, converted or imported of a model; returns the deleted files. Raises ModelError."""
    target = _target(model)
    places = _own_places(model)
    if target is not None:
        places += [target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.lock")]
    if model.file is not None and model.file.parent == models_dir() / "imported":
        places = [model.file]
    if model.repository is not None and (removed := hub.remove(model.repository)):
        return removed
    gone = [place for place in places if place.is_file()]
    if not gone:
        raise ModelError(f"{model.name}: nothing of it was fetched or imported here, so nothing can be removed.")
    try:
        for place in gone:
            place.unlink()
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be removed ({error.strerror}).") from error
    return gone


def write_weights(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary file and renames it to `path`, whole or not at all. Raises ModelError."""
    try:
        atomic_write(path, write)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path}: cannot be written ({reason}). Set UPSCALER_HOME to a folder that can.") from error


def _own_places(model: Model) -> list[Path]:
    """Returns the paths where the converted file and the download of a model belong."""
    package, target = model.package, _target(model)
    converted = [_converted_path(package.param, package.param_sha256, package.bin_sha256)] if package else []
    return converted if target is None else [*converted, target]


def _target(model: Model) -> Path | None:
    """Returns the path of the model's download, whether it is there or not; None if the model has no download.

    Without a known hash it is in a folder that is named after the address.
    """
    download = model.download
    if download is None:
        return None
    if download.sha256 is None:
        return models_dir() / uuid.uuid5(uuid.NAMESPACE_URL, download.urls[0]).hex / download.filename
    return models_dir() / download.filename


def _from_package(name: str, package: Package) -> Path | None:
    """Returns the converted file, made once; None if the package, or this version of it, is not installed."""
    converted = _converted_path(package.param, package.param_sha256, package.bin_sha256)
    if converted.is_file():
        return converted
    param, bin = _package_file(package, package.param), _package_file(package, package.bin)
    if param is None or bin is None:
        return None
    if (weights_sha256(param), weights_sha256(bin)) != (package.param_sha256, package.bin_sha256):
        log.warning("%s: the files in %s are not those known, and are not used.", name, package.module)
        return None
    _convert(param, bin, converted)
    return converted


def _converted_path(param: str, param_sha256: str, bin_sha256: str) -> Path:
    return models_dir() / "converted" / f"{Path(param).stem}-{bin_sha256[:12]}-{param_sha256[:12]}.safetensors"


def _package_file(package: Package, path: str) -> Path | None:
    """Finds a file without importing the package, which may need libraries that are not here."""
    spec = importlib.util.find_spec(package.module)
    places = spec.submodule_search_locations if spec else None
    file = Path(places[0]) / path if places else None
    return file if file is not None and file.is_file() else None


def _convert(param: Path, bin: Path, path: Path) -> None:
    network = ncnn.read(param, bin)
    about = {"scale": str(network.result_scale), "architecture": network.architecture, "source": param.name}
    write_weights(path, lambda temporary: save_file(network.weights, temporary, about))


def _scale(about: Mapping[str, str]) -> int | None:
    text = about.get("scale", "")
    scale = int(text) if text.isdecimal() and len(text) <= 2 else 0
    return scale if 1 <= scale <= LARGEST_SCALE else None


def _line(text: str) -> str:
    """Returns a text of a file's header as one line of reasonable length."""
    return " ".join(text.split())[:200]


def _about(file: Path) -> Mapping[str, str]:
    """Returns the notes that the conversion has left in a file's header; empty if it cannot be read."""
    try:
        stat = file.stat()
        return _header(file, stat.st_size, stat.st_mtime_ns)
    except (OSError, SafetensorError):
        return {}


@functools.lru_cache(maxsize=256)
def _header(file: Path, size: int, mtime_ns: int) -> Mapping[str, str]:
    """Reads the notes in a file's header, again only when its size or time has changed."""
    with safe_open(file, "np") as content:
        return content.metadata() or {}


def _advise_manual(model: Model, target: Path | None) -> str:
    """Returns a sentence on how to get the file without this program."""
    if model.package is not None and not (model.download and model.download.urls):
        name = model.package.module.replace("_", "-")
        return f"it comes with a Python package, which is not here. Install it with pip install {name}."
    if target is None or model.download is None:
        return "none of its files is on this machine."
    if model.download.urls:
        return f"Get {target.name} from {model.download.urls[0]} and put it into {target.parent}."
    return (
        f"Get {target.name} from {model.home} and put it into {target.parent} under this name, or hand what you got to "
        "upscaler models import."
    )
