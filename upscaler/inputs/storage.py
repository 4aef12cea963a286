"""Files wherever they are: on this machine, or at a URL that fsspec reaches, as those of object stores are.

`discover` decides which files are made, and what they are called.
"""

from __future__ import annotations

import errno
import functools
import os
import posixpath
import stat as modes
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import codecs
from ..errors import OutputError, PlanError, first_line
from ..files import PART
from . import web

if TYPE_CHECKING:
    LocalPath = Path
else:
    LocalPath = type(Path())  # before Python 3.12 only this can be inherited from


@dataclass(frozen=True, slots=True)
class FileStat:
    """A file as it was seen: a changed size or time may mean changed content.

    Any program can set the time of change of its content, and those that unpack archives do. What no program sets is
    `ctime_ns`, when the file itself was changed in any way: written, renamed, given another time or mode.
    """

    size: int
    mtime_ns: int
    ctime_ns: int = 0
    """0 at URLs."""


class Remote(LocalPath):
    """A file or folder at a URL, such as s3://bucket/folder.

    It is taken apart and joined like any path. Of the methods that look at files, only those defined here work; for
    everything else there are the functions of this module.
    """

    def __str__(self) -> str:
        scheme, colon, rest = super().__str__().replace(os.sep, "/").partition(":/")
        return f"{scheme}://{rest.lstrip('/')}" if colon else scheme

    def absolute(self) -> Remote:
        return self

    def is_dir(self, **_: Any) -> bool:
        """Returns False always: callers here expect a file, and in an object store a folder may have the same name."""
        return False

    def exists(self, **_: Any) -> bool:
        return stat(self) is not None


def parse_location(text: str | os.PathLike[str]) -> Path:
    """Returns the path that a user names, a Remote if it is a URL other than file://.

    Raises PlanError when no package here reaches such URLs.
    """
    text = os.fspath(text)
    if "://" not in text:
        return Path(text)
    if text.startswith("file://"):
        return Path(text.removeprefix("file://"))
    remote = Remote(text)
    try:
        _system(remote)
    except (ImportError, ValueError) as error:
        raise PlanError(
            f"{text}: it cannot be reached ({first_line(error)}). Install 'upscaler[cluster]', and what fsspec needs "
            "for such URLs, on every machine of the job."
        ) from error
    return remote


def is_folder(path: Path) -> bool:
    """Returns whether it is a folder. At a URL all that is not a file is one: it may be a mere prefix of names."""
    return stat(path) is None if isinstance(path, Remote) else os.path.isdir(path)


def stat(path: Path) -> FileStat | None:
    """Returns size and time of a file; None when it is not there. Raises OSError when a URL cannot be reached."""
    if not isinstance(path, Remote):
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        return FileStat(found.st_size, found.st_mtime_ns, found.st_ctime_ns) if modes.S_ISREG(found.st_mode) else None
    with _translate_errors(path):
        system, name = _system(path)
        try:
            about = system.info(name)
        except FileNotFoundError:
            return None
        if about["type"] != "file":
            return None
        try:
            when = about.get("LastModified") or system.modified(name)  # `modified` is one more request to S3
            changed = int(when.timestamp() * 1000) * 10**6
        except NotImplementedError:
            changed = time.time_ns()  # an unknown time is never the same again
        return FileStat(-1 if about["size"] is None else about["size"], changed)


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """Yields the file itself, or a copy of a remote one, which is deleted afterwards. Raises OSError."""
    if not isinstance(path, Remote):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="upscaler-") as folder:
        copy = Path(folder, path.name)
        fetch(path, copy)
        yield copy


def fetch(remote: Remote, file: Path) -> None:
    """Downloads a file. Raises OSError."""
    with _translate_errors(remote):
        system, name = _system(remote)
        system.get_file(name, str(file))


def upload(file: Path, remote: Remote) -> None:
    """Uploads a file, which replaces what is there. Raises OSError."""
    with _translate_errors(remote):
        system, name = _system(remote)
        _make_folder(*_system(remote.parent))
        system.put_file(str(file), name)


def place(part: Path, final: Path, overwrite: bool = False) -> None:
    """Moves a complete file to its final name; `part` is gone afterwards even on errors. Raises OutputError, OSError.

    Not atomic on object stores: a file created between check and move is overwritten.
    """
    if not isinstance(final, Remote):
        codecs.place(part, final, overwrite)
        return
    try:
        if not overwrite and final.exists():
            raise OutputError(f"{final}: exists already. Use `overwrite` to replace it.")
        with _translate_errors(final):
            system, name = _system(final)
            _make_folder(*_system(final.parent))
            system.mv(_system(part)[1], name)
    except BaseException:
        if isinstance(part, Remote):
            _remove(part)
        raise


def _remove(file: Remote) -> None:
    """Removes a file at a URL, if it is there and can be removed: one that is left does no harm."""
    with suppress(OSError), _translate_errors(file):
        system, name = _system(file)
        system.rm_file(name)


def clear_parts(folder: Remote) -> None:
    """Deletes the parts that runs have left in a folder at a URL, and the folder when nothing else is in it."""
    with suppress(OSError), _translate_errors(folder):
        system, name = _system(folder)
        for file in system.ls(name, detail=False):
            if PART.fullmatch(posixpath.basename(file)):
                system.rm_file(file)
        system.rmdir(name)  # object stores have no folders, and do nothing
    _make_folder.cache_clear()


def walk(folder: Path) -> Iterator[Path]:
    """Yields every file below a folder, in order of name. Raises OSError."""
    with _translate_errors(folder):
        system, name = _system(folder)
        try:
            found = system.find(name)
        except FileNotFoundError:
            return
    root = "/" + name.strip("/")
    for file in sorted(found):
        yield folder / posixpath.relpath("/" + file.lstrip("/"), root)


def _system(path: Path) -> tuple[Any, str]:
    """Returns the fsspec file system that reaches a path, and the path's name there."""
    if str(path).startswith(web.SCHEMES):
        return web.WebFiles(), str(path)
    import fsspec

    system, name = fsspec.core.url_to_fs(str(path), use_listings_cache=False)
    return system, str(name)


@functools.lru_cache(1000)
def _make_folder(system: Any, name: str) -> None:
    """Makes a folder, once only: in object stores each call would be a request, and does nothing."""
    system.makedirs(name, exist_ok=True)


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    """Turns whatever the package for such URLs raises into an OSError that names the URL."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or first_line(error), str(path)) from error
    except Exception as error:
        raise OSError(errno.EIO, first_line(error), str(path)) from error
