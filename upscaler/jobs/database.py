"""The database in which a manifest keeps a row for every picture of a job: opened, read and written.

Its content may come from anybody who has made the folder: rows are checked, and nothing but rows is read.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from ..errors import OutputError, lacks_room
from ..files import try_writing
from ..validation import Check, check_choice, check_fields, check_number, check_text, check_whole

log = logging.getLogger("upscaler")

VERSION = 2
"""The version of the database's form, which is kept in it; 0 had no version."""

ADDED = {"source_ctime_ns": 0, "output_ctime_ns": 0, "device": "''", "precision": "''"}
"""The columns that versions have added, the first two 1 and the others 2, and their values in older rows."""


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
    source_ctime_ns: int = 0
    source_sha256: str = ""
    output_size: int = 0
    output_mtime_ns: int = 0
    output_ctime_ns: int = 0
    output_sha256: str = ""
    replaced_sha256: str = ""
    """The hash of an earlier run's result, until this one takes its place."""
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""
    device: str = ""
    """The device that computed the result, such as "cuda:0"; empty if none did."""
    precision: str = ""
    """The precision in which it was computed, such as "fp16"."""


_COLUMNS = tuple(field.name for field in fields(Row))

_CHECKS: Final[dict[str, Check[Any]]] = {
    **{name: check_text(longest=2**24) for name in _COLUMNS},
    **{field.name: check_whole(-1, 2**63 - 1) for field in fields(Row) if field.type == "int"},
    "outcome": check_choice("made", "failed", "placing"),
    "seconds": check_number(0, 1e12),
}


ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""What functions here raise for a database that cannot be used: SQLite's words for it may be no Unicode either."""


WAYS: Final = (
    ("", "PRAGMA journal_mode=WAL"),
    ("", "PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL"),  # takes no shared memory maps
    ("?nolock=1", "PRAGMA journal_mode=TRUNCATE"),  # takes no locks either; the manifest's own file is locked, or not
)
"""How a database is opened, the first way that the drive allows: the end of its URI, and what is asked for first."""


def open(file: Path) -> sqlite3.Connection:
    """Opens a database and brings it into this version's form; with a warning on a drive that has no shared memory maps
    or no locks. Raises OutputError for the database of a newer version, OSError when none can be made, and
    sqlite3.Error."""
    is_new = not file.exists()
    failures: list[sqlite3.OperationalError] = []
    for options, *pragmas in WAYS:
        try:
            database = _connect(file, options, *pragmas)
        except sqlite3.OperationalError as error:
            if lacks_room(error):
                raise
            try_writing(file.parent)
            failures.append(error)
            continue
        if failures:
            log.warning(
                "%s: this drive has no shared memory maps or no locks (%s). No other program can look into this file "
                "while the job runs.",
                file,
                failures[0],
            )
        return database
    if is_new:
        raise OSError(errno.EIO, f"no database can be kept there: {failures[0]}", str(file)) from failures[0]
    raise failures[0]


def close(database: sqlite3.Connection) -> None:
    """Closes a database, as one file that any drive can hold if nothing else has it open."""
    with suppress(*ERRORS):
        database.execute("PRAGMA journal_mode=DELETE")
    database.close()


def read(database: sqlite3.Connection, output: str) -> Row | None:
    """Returns the row of an output, or None if there is none, or one that no version of this program has written.
    Raises sqlite3.Error."""
    values = database.execute(f"SELECT {', '.join(_COLUMNS)} FROM pictures WHERE output = ?", (output,)).fetchone()
    if values is None:
        return None
    try:
        return Row(**check_fields(dict(zip(_COLUMNS, values, strict=True)), _CHECKS))
    except ValueError as error:
        log.info("%s: a row of the manifest is not used: %s.", output, error)
        return None


def write(database: sqlite3.Connection, row: Row) -> None:
    """Writes the row of an output in place of the one before. Raises sqlite3.Error."""
    values = [_encodable(getattr(row, name)) for name in _COLUMNS]
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT OR REPLACE INTO pictures ({', '.join(_COLUMNS)}) VALUES ({marks})", values)


def change(database: sqlite3.Connection, output: str, **values: str | int) -> None:
    """Changes columns of an output's row. Raises sqlite3.Error."""
    columns = ", ".join(f"{name} = ?" for name in values)
    database.execute(f"UPDATE pictures SET {columns} WHERE output = ?", (*values.values(), output))


def _connect(file: Path, options: str, *pragmas: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(file.absolute()))}{options}"
    database = sqlite3.connect(uri, check_same_thread=False, isolation_level=None, uri=True)
    try:
        # cache_size is in KiB, and small since every row is written once
        for pragma in (*pragmas, "PRAGMA synchronous=NORMAL", "PRAGMA cache_size=-256", "PRAGMA trusted_schema=OFF"):
            database.execute(pragma)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise OutputError(
                f"{file}: this manifest is of a newer version of this program ({version}, not {VERSION}). Update it, "
                "or choose another folder."
            )
        database.execute(f"CREATE TABLE IF NOT EXISTS pictures (output TEXT PRIMARY KEY, {', '.join(_COLUMNS[1:])})")
        present = {about[1] for about in database.execute("PRAGMA table_info(pictures)")}
        for column, value in ADDED.items():
            if column not in present:
                database.execute(f"ALTER TABLE pictures ADD COLUMN {column} DEFAULT {value}")
        if version < VERSION:
            database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute(f"SELECT {', '.join(_COLUMNS)} FROM pictures LIMIT 1")
    except BaseException:
        database.close()
        raise
    return database


def _encodable(value: Any) -> Any:
    """Returns a value as a database can hold it: what is not Unicode in a text is escaped."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
