"""Finds repositories of the hub (huggingface.co, or the address in HF_ENDPOINT) on this machine, or fetches them.

They are kept in the hub's own cache, which other programs share. Weights are fetched by `download.fetch`, which resumes
and checks hashes, to where huggingface_hub looks for them.
"""

from __future__ import annotations

import glob
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..progress import ProgressCallback
from .blocks import BYTES, HASH, INSIDE, REVISION
from .diffusers_layout import CONFIG, INDEX, WeightFiles, choose_network, index_of, names_in, read
from .download import Download, fetch
from .hub_access import ask_hub, cache, may_not_fetch, standard_cache
from .model import Model, Repository

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

log = logging.getLogger("upscaler")


def find_local(repository: Repository) -> Path | None:
    """Returns the folder of a repository's files, or the file of its network; None unless all that loading needs is on
    this machine."""
    folder = None if repository.file else _snapshot(repository)
    if folder is None:
        network = _find_network(repository)
        return None if network is None else network[0] / network[1]
    try:
        _choose(repository, folder, allow_pickle=True)
    except ModelError:
        return None
    return folder


def recognize(model: Model) -> Model:
    """Returns a model of the kind "repository" as what its files on this machine tell that it is; any other, or one of
    which nothing is here, as it is."""
    repository = model.repository
    if repository is None or model.kind != "repository":
        return model
    if (folder := _snapshot(repository)) is not None and (index := index_of(folder)) is not None:
        return replace(model, kind=read(index).kind)
    network = _find_network(repository)
    return model if network is None else _as_network(model, repository, network[1])


def settle(model: Model, *, offline: bool | None = None) -> Model:
    """Returns a model of the kind "repository" as what it is, for which the hub is asked if need be and allowed; any
    other as it is. Raises ModelError.

    A repository without an index of diffusers that holds one file of a network is that network.
    """
    model = recognize(model)
    repository = model.repository
    if repository is None or model.kind != "repository":
        return model
    with ask_hub(repository, offline):
        info = _describe(repository)
        if (index := _fetch_index(repository, info)) is not None:
            return replace(model, kind=read(index).kind)
        if (file := choose_network(repository.id, _names(info))) is not None:
            return _as_network(model, repository, file)
        raise _nothing_known(repository)


def fetch_model(
    model: Model, progress: ProgressCallback | None = None, *, offline: bool | None = None, allow_pickle: bool = False
) -> Path:
    """Returns the folder of a model's repository, or the file of its network, fetched if need be and allowed.

    A complete copy is used without asking the hub for a newer one. The index is fetched first, then small files, then
    the weights, so that a folder that has weights has all the rest. Raises ModelError.
    """
    model = settle(model, offline=offline)
    repository = model.repository
    assert repository is not None
    if repository.file is not None:
        return find_local(repository) or _fetch_network(model, repository, progress, offline)
    folder = _snapshot(repository)
    if folder is not None and (find_local(repository) is not None or may_not_fetch(offline)):
        _choose(repository, folder, allow_pickle)
        return folder
    with ask_hub(repository, offline):
        info, folder, choice = _begin(repository, allow_pickle)
        files = {file.rfilename: file for file in info.siblings or ()}
        missing = [name for name in choice.weights if not (folder / name).exists()]
        total = sum(files[name].size or 0 for name in missing)
        small = sum(files[name].size or 0 for name in choice.small if not (folder / name).exists())
        _announce(model, info, total, small)
        _add_to_snapshot(repository, folder, choice.small)
        done = 0
        for name in missing:

            def report(now: int, _: int | None, before: int = done) -> None:
                if progress is not None:
                    progress(before + now, total)

            _fetch_blob(repository, folder, files[name], report)
            done += files[name].size or 0
        _add_to_snapshot(repository, folder, choice.weights)
        return folder


def configuration(repository: Repository, *, offline: bool | None = None) -> Path:
    """Returns the folder of the small files, some kilobytes, fetched without weights if need be. Raises ModelError."""
    folder = _snapshot(repository)
    index = folder and index_of(folder)
    if folder is not None and index is not None and all((folder / part).is_dir() for part in read(index).parts):
        return folder
    with ask_hub(repository, offline):
        _, folder, choice = _begin(repository, allow_pickle=True)
        _add_to_snapshot(repository, folder, choice.small)
        return folder


def remove(repository: Repository) -> list[Path]:
    """Deletes the files that only this revision needs; returns the deleted folder, if there was one."""
    folder = None if repository.file else _snapshot(repository)
    if folder is None and (network := _find_network(repository)):
        folder = network[0]
    if folder is None:
        return []
    from huggingface_hub import scan_cache_dir

    scan_cache_dir(folder.parents[2]).delete_revisions(folder.name).execute()
    return [folder]


def _begin(repository: Repository, allow_pickle: bool) -> tuple[ModelInfo, Path, WeightFiles]:
    """Fetches the index; returns the hub's list of files, the folder they belong in, and which of them are needed."""
    info = _describe(repository)
    index = _fetch_index(repository, info)
    if index is None:
        raise _nothing_known(repository)
    choice = read(index).choose(repository.id, _names(info), repository.variant, allow_pickle)
    for file in info.siblings or ():
        if file.rfilename in choice.small or file.rfilename in choice.weights:
            _check_file(repository, file)
    return info, index.parent, choice


def _describe(repository: Repository) -> ModelInfo:
    """Returns what the hub says of a repository and its files."""
    from huggingface_hub import HfApi

    return HfApi().model_info(repository.id, revision=repository.revision, files_metadata=True)


def _names(info: ModelInfo) -> list[str]:
    return [file.rfilename for file in info.siblings or ()]


def _fetch_index(repository: Repository, info: ModelInfo) -> Path | None:
    """Fetches the index of diffusers; returns None if there is none among the files."""
    from huggingface_hub import hf_hub_download

    index = next((name for name in (INDEX, CONFIG) if name in _names(info)), None)
    if index is None:
        return None
    path = Path(hf_hub_download(repository.id, index, revision=repository.revision, cache_dir=cache()))
    return index_of(path.parent)


def _fetch_network(
    model: Model, repository: Repository, progress: ProgressCallback | None, offline: bool | None
) -> Path:
    """Fetches the one file that is a network; returns its path in the hub's cache."""
    from huggingface_hub import hf_hub_download

    with ask_hub(repository, offline):
        info = _describe(repository)
        file = next((file for file in info.siblings or () if file.rfilename == repository.file), None)
        if file is None:
            raise ModelError(f"{repository.id}: it has no file {repository.file}. Look at its page for those it has.")
        _check_file(repository, file)
        if not REVISION.fullmatch(info.sha or ""):
            raise ModelError(f"{repository.id}: the hub says that its commit is {info.sha!r}, which cannot be.")
        _announce(model, info, file.size or 0)
        folder = cache() / _folder_name(repository) / "snapshots" / str(info.sha)
        _fetch_blob(repository, folder, file, progress or (lambda done, total: None))
        return Path(hf_hub_download(repository.id, file.rfilename, revision=repository.revision, cache_dir=cache()))


def _announce(model: Model, info: ModelInfo, size: int, more: int = 0) -> None:
    """Says how many bytes of weights are fetched, and their licence. Raises ModelError if there is no room for them
    and the bytes of other files."""
    if size:
        tags = dict(tag.split(":", 1) for tag in info.tags or () if ":" in tag)
        licence = model.licence or tags.get("license", "unknown")
        licence += ", no commercial use" if model.commercial is False else ""
        log.warning("%s: %.1f GB are fetched into %s. Its licence: %s.", info.id, size / 1e9, cache(), licence)
    place = next(place for place in (cache(), *cache().parents) if place.is_dir())
    if size + more > (free := shutil.disk_usage(place).free):
        raise ModelError(
            f"{cache()}: there is room for {free / 1e9:.1f} GB, and {(size + more) / 1e9:.1f} are needed. "
            "Make room, or set HF_HOME to another folder."
        )


def _as_network(model: Model, repository: Repository, file: str) -> Model:
    return replace(model, kind="network", repository=replace(repository, file=file))


def _nothing_known(repository: Repository) -> ModelError:
    return ModelError(
        f"{repository.id}: there is no model in diffusers' form in it (no {INDEX}), and no network. "
        "Use another repository, or a single .safetensors file of this one."
    )


def _check_file(repository: Repository, file: RepoSibling) -> None:
    """Raises ModelError when what the hub says of a file cannot be: its hash becomes the name of a file."""
    try:
        INSIDE(file.rfilename)
        BYTES(file.size or 0)
        if file.lfs is not None:
            HASH(file.lfs.sha256)
    except ValueError as error:
        raise ModelError(
            f"{repository.id}: what the hub says of its file {file.rfilename!r} is wrong: it {error}. Use another."
        ) from error


def _add_to_snapshot(repository: Repository, folder: Path, names: Sequence[str]) -> None:
    """Makes huggingface_hub put files into a snapshot; those whose blobs are there already are only linked."""
    from huggingface_hub import snapshot_download

    patterns = [glob.escape(name) for name in names if not (folder / name).exists()]
    if patterns:
        snapshot_download(repository.id, revision=folder.name, allow_patterns=patterns, cache_dir=cache())


def _fetch_blob(repository: Repository, folder: Path, file: RepoSibling, progress: ProgressCallback) -> None:
    """Fetches one file of weights; small ones, for which the hub has no hash, are left to huggingface_hub."""
    if file.lfs is None:
        return
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repository.id, file.rfilename, revision=folder.name)
    storage = get_hf_file_metadata(url).location  # needs no token, unlike the address of a gated file
    name = f"{repository.id}/{file.rfilename}"
    download = Download(tuple(dict.fromkeys((url, storage))), file.size, file.lfs.sha256, name)
    fetch(download, folder.parents[1] / "blobs" / file.lfs.sha256, progress)


def _snapshot(repository: Repository) -> Path | None:
    """Returns the folder of the revision in the cache, which may lack files; None if there is none with an index."""
    return next((folder for folder in _snapshots(repository) if index_of(folder) is not None), None)


def _find_network(repository: Repository) -> tuple[Path, str] | None:
    """Returns the folder of the revision in the cache and the name of its network in there: the file that the
    repository says, or the only one that is there. None if there is none."""
    for folder in _snapshots(repository):
        names = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
        try:
            name = choose_network(repository.id, names) if repository.file is None else repository.file
        except ModelError:
            continue
        if name in names:
            return folder, name
    return None


def _snapshots(repository: Repository) -> Iterator[Path]:
    """Returns the folders of the revision in this program's cache and in huggingface_hub's own."""
    revision = repository.revision or "main"
    for place in dict.fromkeys((cache(), standard_cache())):
        storage = place / _folder_name(repository)
        reference = storage / "refs" / revision
        try:
            commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
        except (OSError, ValueError):
            continue
        folder = storage / "snapshots" / commit
        if REVISION.fullmatch(commit) and folder.is_dir():
            yield folder


def _folder_name(repository: Repository) -> str:
    return f"models--{repository.id.replace('/', '--')}"


def _choose(repository: Repository, folder: Path, allow_pickle: bool) -> WeightFiles:
    index = index_of(folder)
    assert index is not None
    return read(index).choose(repository.id, names_in(folder), repository.variant, allow_pickle)
