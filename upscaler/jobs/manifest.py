"""Remembers what is done: a row for every picture of a job, in a database in its output folder.

Done means that the output is whole and was made from this input with these settings. A row is written before an output
gets its name, with the hash it will have, and again afterwards: whenever a run is killed, the next one can tell its own
results from other files.

A database cannot be kept in an object store: that of an output folder at a URL lies on this machine while a job runs,
and in the folder when it has ended. A job that was killed can be resumed on the machine where it ran.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
from dataclasses import dataclass, fields, replace
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import OutputError
from ..files import atomic_write, cache_dir, sha256
from ..inputs import storage
from ..inputs.storage import FileStat, Remote

log = logging.getLogger("upscaler")

FOLDER = ".upscaler"
"""The folder in the output folder that holds the manifest, its lock, and finished files under temporary names."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size, time of change and hash of a file, to tell later whether it is the same."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Row:
    """The record of one picture in the manifest."""

    output: str = ""
    """The path relative to the output folder; the manifest fills it in."""
    source: str = ""
    """The file's path, or the prompt."""
    settings: str = ""
    outcome: str = "placing"
    """"made", "failed", or "placing": complete, and about to get its name."""
    source_size: int = 0
    source_mtime_ns: int = 0
    source_sha256: str = ""
    output_size: int = 0
    output_mtime_ns: int = 0
    output_sha256: str = ""
    replaced_sha256: str = ""
    """The hash of an earlier run's result, until this one takes its place."""
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""


_COLUMNS = tuple(field.name for field in fields(Row))


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
        self._lock = FileLock(own / "lock")
        try:
            own.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            storage.remove(self.parts)
            if not isinstance(folder, Remote):
                self.parts.mkdir(exist_ok=True)
            elif not self._file.exists() and (remote := folder / FOLDER / self._file.name).exists():
                # where a job was killed on this machine, the file that it left is newer
                atomic_write(self._file, lambda temporary: storage.fetch(remote, temporary))
            self._database = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute("PRAGMA cache_size=-256")  # KiB: every row is written once
            self._database.execute(
                f"CREATE TABLE IF NOT EXISTS pictures (output TEXT PRIMARY KEY, {', '.join(_COLUMNS[1:])})"
            )
            self._database.execute(f"SELECT {', '.join(_COLUMNS)} FROM pictures LIMIT 1")
        except Timeout as error:
            raise OutputError(f"{folder}: another run is at work in this folder. Wait for it, or stop it.") from error
        except OSError as error:
            self._lock.release()
            raise OutputError(f"{own}: it cannot be written ({error.strerror}). Choose another folder.") from error
        except sqlite3.Error as error:
            self._lock.release()
            message = f"{own}: the manifest in there cannot be read ({error}). Remove it to begin anew."
            raise OutputError(message) from error

    def close(self) -> None:
        """Closes the database, deletes the folder for parts, and unlocks the output folder for another run."""
        with self._mutex:
            self._database.close()
        storage.remove(self.parts)
        if isinstance(self._folder, Remote):
            try:
                storage.upload(self._file, self._folder / FOLDER / self._file.name)
                self._file.unlink()
            except OSError as error:
                log.warning("%s: the manifest stays on this machine (%s).", self._folder, error.strerror)
        self._lock.release()

    def row(self, output: Path) -> Row | None:
        """Returns the row of an output, or None if there is none."""
        with self._mutex:
            found = self._database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM pictures WHERE output = ?", (self._key(output),)
            ).fetchone()
        return None if found is None else Row(*found)

    def check_done(self, row: Row, output: Path) -> bool:
        """Returns whether the file at `output` has the size and hash that the row says. Notes its time if so."""
        stat = storage.stat(output)
        if stat is None:
            return False
        if row.outcome == "made" and stat == FileStat(row.output_size, row.output_mtime_ns):
            return True
        if row.outcome == "failed" or stat.size != row.output_size or _hash(output) != row.output_sha256:
            return False
        self._write(replace(row, outcome="made", output_mtime_ns=stat.mtime_ns, replaced_sha256=""))
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
        if stat == FileStat(row.source_size, row.source_mtime_ns):
            return True
        if stat is None or stat.size != row.source_size or _hash(source) != row.source_sha256:
            return False
        self._write(replace(row, source_mtime_ns=stat.mtime_ns))
        return True

    def place(self, part: Path, made: Stamp, output: Path, overwrite: bool, row: Row) -> None:
        """Moves a complete result, whose stamp is `made`, from `part` to `output`, and notes it.

        Raises OutputError, also when a file has that name and may not be overwritten.
        """
        row = replace(row, output=self._key(output), output_size=made.size, output_sha256=made.sha256)
        self._write(replace(row, outcome="placing"))
        storage.place(part, output, overwrite)
        stat = storage.stat(output)
        mtime_ns = 0 if stat is None else stat.mtime_ns
        self._write(replace(row, outcome="made", output_mtime_ns=mtime_ns, replaced_sha256=""))

    def note_failure(self, output: Path, row: Row) -> None:
        """Notes that a picture cannot be made from this input."""
        self._write(replace(row, output=self._key(output), outcome="failed"))

    def _key(self, output: Path) -> str:
        return Path(os.path.relpath(output, self._folder)).as_posix()

    def _write(self, row: Row) -> None:
        values = tuple(getattr(row, name) for name in _COLUMNS)
        try:
            with self._mutex:
                self._database.execute(
                    f"INSERT OR REPLACE INTO pictures ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(values))})",
                    values,
                )
        except sqlite3.Error as error:
            raise OutputError(f"{self._folder / FOLDER}: the manifest cannot be written ({error}).") from error


def take_stamp(file: Path) -> Stamp:
    """Returns the stamp of a file as it is now. Raises OSError."""
    stat = os.stat(file)
    return Stamp(stat.st_size, stat.st_mtime_ns, sha256(file))


def _hash(path: Path) -> str:
    """Returns the SHA-256 of a file, which may be at a URL; empty if it cannot be read."""
    try:
        with storage.local_copy(path) as file:
            return sha256(file)
    except OSError:
        return ""
