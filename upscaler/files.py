"""Writes files whole or not at all, hashes and locks them, and names the folder that is kept between runs.

Every temporary file that lies beside others is made here: under a random name that no file has, and never through a
link. A file is put only where there is none, or in the place of an ordinary one.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat as modes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from platformdirs import user_cache_path

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger("upscaler")

PART = re.compile(r"\..*\.[0-9a-f]{8,16}\.part", re.DOTALL)
"""The names that `make_part` gives; earlier versions wrote fewer digits."""

NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What file systems without locks answer, as some network drives are."""


def cache_dir() -> Path:
    """Returns the folder of files that are kept between runs: UPSCALER_HOME, or the platform's folder for caches."""
    return Path(os.environ.get("UPSCALER_HOME") or user_cache_path("upscaler", appauthor=False))


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content in lower-case hexadecimal digits. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(2**20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def make_part(path: Path, folder: Path | None = None) -> Path:
    """Makes an empty file that will be `path`, beside it or in `folder`, which is made if need be; the caller must
    `place` or delete it. Raises OSError.

    Its name is random, ends in .part and holds 40 characters of `path`'s own.
    """
    folder = folder or path.parent
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{path.name[:40]}.{secrets.token_hex(8)}.part"
    number = _open(part, os.O_CREAT | os.O_EXCL)
    try:
        os.close(number)
    except OSError:  # as network drives answer that are full
        part.unlink(missing_ok=True)
        raise
    return part


def try_writing(folder: Path) -> None:
    """Writes a small file and deletes it. Raises OSError, which says why nothing can be written there: not every
    library passes on what the system has answered."""
    part = make_part(folder / "room")
    try:
        with part.open("wb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: Path) -> None:
    """Deletes the parts that runs have left in a folder of their own, and the folder when nothing else is in it."""
    with suppress(OSError):
        if not folder.is_symlink():
            for entry in list(os.scandir(folder)):
                if PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    os.unlink(entry.path)
            folder.rmdir()


def atomic_write(path: Path, write: Callable[[Path], object]) -> None:
    """Calls `write` with a temporary file beside `path`, then renames that to `path`; makes the folder if need be.

    Whatever `write` or the file system raises leaves `path` as it was and no temporary file behind. Raises OSError when
    `path` is a link or a device.
    """
    part = make_part(path)
    try:
        write(part)
        place(part, path, overwrite=True)
    finally:
        part.unlink(missing_ok=True)


def place(part: Path, path: Path, overwrite: bool = False) -> None:
    """Renames a complete file to `path`, or copies it beside `path` first if that is on another disk. `part` is gone
    afterwards, whatever happens.

    What replaces a file gets its mode, and its owner where the system allows that. Raises OSError; FileExistsError when
    `path` exists, even if it has just appeared, and `overwrite` is not set; and when it is a link or a device.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if what := obstacle(path):
            raise OSError(errno.EINVAL, f"this is {what}", str(path))
        try:
            _move(part, path, overwrite)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            nearer = make_part(path)
            try:
                shutil.copyfile(part, nearer)
                with nearer.open("rb+") as file:
                    os.fsync(file.fileno())
                _move(nearer, path, overwrite)
            finally:
                nearer.unlink(missing_ok=True)
    finally:
        part.unlink(missing_ok=True)


def obstacle(path: Path) -> str | None:
    """Returns what lies at a path if a file must not take its place: a link, which leads to a file elsewhere, a device
    or a pipe. Returns None for an ordinary file, a folder, and where there is nothing."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return None
    if modes.S_ISLNK(mode):
        return "a link"
    return None if modes.S_ISREG(mode) or modes.S_ISDIR(mode) else "a device or a pipe"


def open_own(path: Path) -> BinaryIO:
    """Opens a file of a known name for reading and writing, with what an earlier run has left in it; makes it if need
    be. Raises OSError, also when it is a link or has another name elsewhere, since writing would change that file."""
    if what := obstacle(path):
        raise OSError(errno.EINVAL, f"{path.name} is {what}", str(path))
    file = os.fdopen(_open(path, os.O_CREAT), "r+b")
    if os.fstat(file.fileno()).st_nlink > 1:
        file.close()
        raise OSError(errno.EINVAL, f"{path.name} is a hard link", str(path))
    return file


def acquire_lock(path: Path, timeout: float = -1) -> BaseFileLock | None:
    """Locks a file, which is made if need be, and returns the lock; None, with a warning, where the file system has no
    locks. Raises TimeoutError after `timeout` seconds (-1: never), and OSError."""
    from filelock import FileLock

    if what := obstacle(path):
        raise OSError(errno.EINVAL, f"{path.name} is {what}", str(path))
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except (OSError, NotImplementedError) as error:
        if not isinstance(error, NotImplementedError) and error.errno not in NO_LOCKS:
            raise
        log.warning("%s: this drive has no locks. Do not let two runs work in this folder.", path.parent)
        return None
    return lock


def _open(path: Path, flags: int) -> int:
    """Opens a file for reading and writing, not through a link where the system can tell, and returns its number."""
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, os.O_RDWR | flags | extra, 0o666)


def _move(part: Path, path: Path, overwrite: bool) -> None:
    """Renames a file on the same disk. Raises as `place`."""
    if overwrite:
        _keep_rights(path, part)
        part.replace(path)
        return
    try:
        os.link(part, path)  # never replaces a file, as renaming may
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise
        if os.path.lexists(path):  # a file system without hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        part.replace(path)


def _keep_rights(old: Path, new: Path) -> None:
    """Gives a new file the mode of an old one, if there is one, and its owner and group where the system allows that.
    A group of its own may do what everybody may."""
    with suppress(OSError):
        about = os.stat(old)
        for owner in (about.st_uid, -1):
            with suppress(OSError, AttributeError):  # Windows has no owners
                os.chown(new, owner, about.st_gid)
                break
        mode = modes.S_IMODE(about.st_mode) & 0o777
        if os.stat(new).st_gid != about.st_gid:
            mode = mode & 0o707 | (mode & 0o007) << 3
        os.chmod(new, mode)
