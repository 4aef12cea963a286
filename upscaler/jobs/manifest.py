"""Remembers what is done: a row for every picture of a job, in a database in its output folder.

Done means that the output is whole and was made from this input with these settings. A row is written before an output
gets its name, with the hash it will have, and again afterwards: whenever a run is killed, the next one can tell its own
results from other files. The content decides where the times of a file have changed, even if those of its content are
as they were. A second run looks at ten thousand pictures in a second; after a copy of the folder it hashes them once,
2 GB in six seconds.

A database cannot be kept in an object store: that of an output folder at a URL lies on this machine while a job runs,
and in the folder when it has ended. A job that was killed can be resumed on the machine where it ran.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import DISK_FULL, OutputError, lacks_room
from ..files import acquire_lock, atomic_write, cache_dir, clear_parts, sha256, try_writing
from ..inputs import storage
from ..inputs.storage import FileStat, Remote
from . import database
from .database import Row

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger("upscaler")

FOLDER = ".upscaler"
"""The folder in the output folder that holds the manifest, its lock, and finished files under temporary names."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, times and hash of a file, to tell later whether it is the same."""

    stat: FileStat
    sha256: str


class ManifestError(OutputError):
    """The manifest cannot be kept, which ends a job: what it makes could not be told from others' files."""


class Manifest:
    """The database of one output folder, for one run at a time; may be used from several threads."""

    def __init__(self, folder: Path) -> None:
        """Locks the folder and opens its manifest. Raises OutputError when that fails or another run is at work."""
        self._folder = folder
        own = folder / FOLDER
        if isinstance(folder, Remote):
            own = cache_dir() / "jobs" / hashlib.sha256(str(folder).encode()).hexdigest()[:16]
        self._file = own / "manifest.sqlite"
        self.parts = folder / FOLDER / "parts"
        """A folder for results that do not have their names yet; the leftovers of an earlier run are deleted."""
        self._mutex = threading.Lock()
        self._lock: BaseFileLock | None = None
        try:
            self._prepare(own)
            self._database = database.open(self._file)
        except TimeoutError as error:
            raise OutputError(f"{folder}: another run is at work in this folder. Wait for it, or stop it.") from error
        except OSError as error:
            self._unlock()
            message = f"it cannot be written ({error.strerror}). Choose another folder."
            raise OutputError(f"{own}: {DISK_FULL if lacks_room(error) else message}") from error
        except database.ERRORS as error:
            self._unlock()
            message = f"the manifest in there cannot be read ({error}). Remove it to begin anew."
            raise OutputError(f"{own}: {DISK_FULL if lacks_room(error) else message}") from error
        except OutputError:
            self._unlock()
            raise

    def _prepare(self, own: Path) -> None:
        """Makes the folder of the manifest, locks it, and fetches the manifest of a remote folder. Raises OSError, and
        OutputError when something in the folder is a link: whoever made the folder could have us write elsewhere."""
        own.mkdir(parents=True, exist_ok=True)
        for path in (own, *own.iterdir()):
            if path.is_symlink():
                raise OutputError(f"{path}: this is a link, which may lead anywhere. Remove it to begin anew.")
        self._lock = acquire_lock(own / "lock", timeout=0)
        self._clear_parts()
        if not isinstance(self._folder, Remote):
            self.parts.mkdir(exist_ok=True)
        elif not self._file.exists() and (remote := self._folder / FOLDER / self._file.name).exists():
            # where a job was killed on this machine, the file that it left is newer
            atomic_write(self._file, lambda temporary: storage.fetch(remote, temporary))

    def _clear_parts(self) -> None:
        if isinstance(self.parts, Remote):
            storage.clear_parts(self.parts)
        else:
            clear_parts(self.parts)

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def close(self) -> None:
        """Closes the database, deletes the folder for parts, and unlocks the output folder for another run."""
        with self._mutex:
            database.close(self._database)
        self._clear_parts()
        if isinstance(self._folder, Remote):
            try:
                storage.upload(self._file, self._folder / FOLDER / self._file.name)
                self._file.unlink()
            except OSError as error:
                log.warning("%s: the manifest stays on this machine (%s).", self._folder, error.strerror)
        self._unlock()

    def row(self, output: Path) -> Row | None:
        """Returns the row of an output, or None if there is none that can be used. Raises OutputError."""
        with self._translate_errors(OutputError):
            return database.read(self._database, self._key(output))

    def check_done(self, row: Row, output: Path) -> bool:
        """Returns whether the file at `output` has the size and hash that the row says. Notes its time if so."""
        stat = storage.stat(output)
        if stat is None:
            return False
        if row.outcome == "made" and stat == FileStat(row.output_size, row.output_mtime_ns, row.output_ctime_ns):
            return True
        if row.outcome == "failed" or stat.size != row.output_size or _hash(output) != row.output_sha256:
            return False
        self._note_made(row.output, stat)
        return True

    def own_hash(self, output: Path) -> str:
        """Returns the hash of the file at `output` if a run has made it, so that it may be replaced; else an empty
        text."""
        row = self.row(output)
        if row is None:
            return ""
        if self.check_done(row, output):
            return row.output_sha256
        return row.replaced_sha256 if row.replaced_sha256 and _hash(output) == row.replaced_sha256 else ""

    def check_same(self, row: Row, source: Path) -> bool:
        """Returns whether the file at `source` is what it was when the row was written. Notes its time if so."""
        stat = storage.stat(source)
        if stat == FileStat(row.source_size, row.source_mtime_ns, row.source_ctime_ns):
            return True
        if stat is None or stat.size != row.source_size or _hash(source) != row.source_sha256:
            return False
        self._change(row.output, source_mtime_ns=stat.mtime_ns, source_ctime_ns=stat.ctime_ns)
        return True

    def place(self, part: Path, made: Stamp, output: Path, overwrite: bool, row: Row) -> None:
        """Moves a complete result, whose stamp is `made`, from `part` to `output`, and notes it.

        Raises OutputError, also when a file has that name and may not be overwritten; ManifestError as all that writes.
        """
        row = replace(row, output=self._key(output), output_size=made.stat.size, output_sha256=made.sha256)
        self._write(replace(row, outcome="placing"))
        storage.place(part, output, overwrite)
        self._note_made(row.output, storage.stat(output) or FileStat(0, 0))

    def note_failure(self, output: Path, row: Row) -> None:
        """Notes that a picture cannot be made from this input."""
        self._write(replace(row, output=self._key(output), outcome="failed"))

    def _note_made(self, key: str, stat: FileStat) -> None:
        times = {"output_mtime_ns": stat.mtime_ns, "output_ctime_ns": stat.ctime_ns}
        self._change(key, outcome="made", replaced_sha256="", **times)

    def _key(self, output: Path) -> str:
        """Returns the path from the output folder; a name that is not Unicode is escaped, after a slash."""
        key = Path(os.path.relpath(output, self._folder)).as_posix()
        try:
            key.encode()
        except UnicodeEncodeError:
            return f"/{quote(os.fsencode(key))}"
        return key

    def _write(self, row: Row) -> None:
        with self._translate_errors():
            database.write(self._database, row)

    def _change(self, key: str, **values: str | int) -> None:
        with self._translate_errors():
            database.change(self._database, key, **values)

    @contextmanager
    def _translate_errors(self, kind: type[OutputError] = ManifestError) -> Iterator[None]:
        """Holds the mutex, and turns errors of the database into one of that kind."""
        try:
            with self._mutex:
                yield
        except database.ERRORS as error:
            cause: Exception = error
            try:
                try_writing(self._file.parent)
            except OSError as answer:
                cause = answer
            message = f"the manifest in there cannot be used ({error})."
            raise kind(f"{self._folder / FOLDER}: {DISK_FULL if lacks_room(cause) else message}") from cause


def take_stamp(file: Path) -> Stamp:
    """Returns the stamp of a file as it is now. Raises OSError."""
    stat = storage.stat(file)
    if stat is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    return Stamp(stat, sha256(file))


def _hash(path: Path) -> str:
    """Returns the SHA-256 of a file, which may be at a URL; empty if it cannot be read."""
    try:
        with storage.local_copy(path) as file:
            return sha256(file)
    except OSError:
        return ""
