"""Finds repositories of the hub (huggingface.co, or the address in HF_ENDPOINT) on this machine, or fetches them.

They are kept in the hub's own cache, which other programs share. Weights are fetched by `download.fetch`, which resumes
and checks hashes, to where huggingface_hub looks for them.
"""

from __future__ import annotations

import glob
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..files import cache_dir
from ..progress import ProgressCallback
from .blocks import BYTES, HASH, REVISION
from .diffusers_layout import CONFIG, INDEX, WeightFiles, index_of, names_in, read
from .download import Download, fetch, is_offline
from .model import Model, Repository

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

log = logging.getLogger("upscaler")


def cache() -> Path:
    """Returns the folder of repositories: the hub's own cache, or one in UPSCALER_HOME if only that is set."""
    hubs = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    if os.environ.get("UPSCALER_HOME") and not any(os.environ.get(name) for name in hubs):
        return cache_dir() / "hub"
    return _standard_cache()


def find_local(repository: Repository) -> Path | None:
    """Returns the folder of a repository's files, or None unless all that loading needs is on this machine."""
    folder = _snapshot(repository)
    try:
        if folder is not None:
            _choose(repository, folder, allow_pickle=True)
    except ModelError:
        return None
    return folder


def fetch_model(
    model: Model, progress: ProgressCallback | None = None, *, offline: bool | None = None, allow_pickle: bool = False
) -> Path:
    """Returns the folder of a model's repository, whose files are fetched if need be and allowed. Raises ModelError.

    A complete copy is used without asking the hub for a newer one. The index is fetched first, then small files, then
    the weights, so that a folder that has weights has all the rest.
    """
    repository = model.repository
    assert repository is not None
    folder = _snapshot(repository)
    if folder is not None and (find_local(repository) is not None or _may_not_fetch(offline)):
        _choose(repository, folder, allow_pickle)
        return folder
    with _ask_hub(repository, offline):
        info, folder, choice = _begin(repository, allow_pickle)
        files = {file.rfilename: file for file in info.siblings or ()}
        missing = [name for name in choice.weights if not (folder / name).exists()]
        total = sum(files[name].size or 0 for name in missing)
        needed = total + sum(files[name].size or 0 for name in choice.small if not (folder / name).exists())
        if total:
            tags = dict(tag.split(":", 1) for tag in info.tags or () if ":" in tag)
            licence = model.licence or tags.get("license", "unknown")
            licence += ", no commercial use" if model.commercial is False else ""
            log.warning("%s: %.1f GB are fetched into %s. Its licence: %s.", info.id, total / 1e9, cache(), licence)
        place = next(place for place in (cache(), *cache().parents) if place.is_dir())
        if needed > (free := shutil.disk_usage(place).free):
            raise ModelError(
                f"{cache()}: there is room for {free / 1e9:.1f} GB, and {needed / 1e9:.1f} are needed. "
                "Make room, or set HF_HOME to another folder."
            )
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
    with _ask_hub(repository, offline):
        _, folder, choice = _begin(repository, allow_pickle=True)
        _add_to_snapshot(repository, folder, choice.small)
        return folder


def remove(repository: Repository) -> list[Path]:
    """Deletes the files that only this revision needs; returns the deleted folder, if there was one."""
    folder = _snapshot(repository)
    if folder is None:
        return []
    from huggingface_hub import scan_cache_dir

    scan_cache_dir(folder.parents[2]).delete_revisions(folder.name).execute()
    return [folder]


def _begin(repository: Repository, allow_pickle: bool) -> tuple[ModelInfo, Path, WeightFiles]:
    """Fetches the index; returns the hub's list of files, the folder they belong in, and which of them are needed."""
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(repository.id, revision=repository.revision, files_metadata=True)
    names = [file.rfilename for file in info.siblings or ()]
    index = next((name for name in (INDEX, CONFIG) if name in names), None)
    if index is None:
        raise ModelError(
            f"{repository.id}: there is no model in diffusers' form in it (no {INDEX}). "
            "Use another repository, or a single .safetensors file of this one."
        )
    path = Path(hf_hub_download(repository.id, index, revision=repository.revision, cache_dir=cache()))
    choice = read(path).choose(repository.id, names, repository.variant, allow_pickle)
    for file in info.siblings or ():
        if file.rfilename in choice.small or file.rfilename in choice.weights:
            _check_file(repository, file)
    return info, path.parent, choice


def _check_file(repository: Repository, file: RepoSibling) -> None:
    """Raises ModelError when what the hub says of a file cannot be: its hash becomes the name of a file."""
    try:
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
    revision = repository.revision or "main"
    for place in (cache(), _standard_cache()):
        storage = place / f"models--{repository.id.replace('/', '--')}"
        reference = storage / "refs" / revision
        try:
            commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
        except (OSError, ValueError):
            continue
        folder = storage / "snapshots" / commit
        if REVISION.fullmatch(commit) and index_of(folder) is not None:
            return folder
    return None


def _standard_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _choose(repository: Repository, folder: Path, allow_pickle: bool) -> WeightFiles:
    index = index_of(folder)
    assert index is not None
    return read(index).choose(repository.id, names_in(folder), repository.variant, allow_pickle)


def _may_not_fetch(offline: bool | None) -> bool:
    from huggingface_hub import constants

    return (is_offline() or bool(constants.HF_HUB_OFFLINE)) if offline is None else offline


@contextmanager
def _ask_hub(repository: Repository, offline: bool | None) -> Iterator[None]:
    """Silences huggingface_hub and turns its exceptions into ModelError; raises it at once if fetching is forbidden."""
    if _may_not_fetch(offline):
        raise ModelError(
            f"{repository.id}: it is not on this machine, and fetching is forbidden. Run upscaler models fetch "
            f"{repository.id} with a connection, or copy what that puts into {cache()} from another machine."
        )
    from huggingface_hub import constants, errors
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    page = f"{constants.ENDPOINT}/{repository.id}"
    had_bars, level = not are_progress_bars_disabled(), get_verbosity()
    log_in = "log in with hf auth login or set HF_TOKEN"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            disable_progress_bars()
            set_verbosity(logging.ERROR)
            yield
    except ModelError:
        raise
    except errors.GatedRepoError as error:
        raise ModelError(
            f"{repository.id}: access is gated. Its owner gives it to those who accept conditions. "
            f"Accept them at {page}, then {log_in}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelError(
            f"{repository.id}: it has no revision {repository.revision}. Choose one of those at {page}/commits/main."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"{repository.id}: the hub has no such repository, or a private one. Check the name; if it is private, "
            f"{log_in}."
        ) from error
    except Exception as error:
        text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        reason = text.splitlines()[0].partition(". ")[0].rstrip(".")
        if isinstance(error, OSError) and error.errno is not None:
            raise ModelError(
                f"{error.filename or cache()}: cannot be written ({reason}). "
                "Make room, or set HF_HOME to a folder that can."
            ) from error
        raise ModelError(
            f"{repository.id}: cannot be fetched from {constants.ENDPOINT} ({reason}). Check the connection and the "
            "proxy, and try again: what has arrived is kept."
        ) from error
    finally:
        set_verbosity(level)
        if had_bars:
            enable_progress_bars()
