"""Fetches files of weights from the web: whole and checked, or not at all.

Pooch is not used: it neither resumes nor tries again. The caller decides whether anything may be fetched.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from ..errors import ModelError
from ..files import acquire_lock, open_own, sha256
from ..progress import ProgressCallback
from .http import Broken, PartialFile, Refused, Wrong, receive

log = logging.getLogger("upscaler")

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before the second, third … attempt at an address; the count begins anew whenever more bytes have arrived."""

LONGEST_PAUSE = 60.0
"""Seconds up to which a server's Retry-After is obeyed."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file on the web."""

    urls: tuple[str, ...]
    """Tried in order."""
    size: int | None
    """Bytes; None: not known."""
    sha256: str | None
    """Lower-case hexadecimal digits; None: not known, as for URLs that a user typed."""
    name: str | None = None
    """The file's name, if the URL does not say it."""

    @property
    def filename(self) -> str:
        """The name, or the last part of the first URL's path, made fit for any file system; "model" if it is empty."""
        path = re.split("[?#]", self.urls[0], maxsplit=1)[0].partition("://")[2].partition("/")[2] if self.urls else ""
        name = self.name or unquote(path.rpartition("/")[2])
        return re.sub(r"[^\w.+()\- ]", "_", name).strip(". ") or "model"


def is_offline() -> bool:
    """Returns whether UPSCALER_OFFLINE forbids fetching."""
    return os.environ.get("UPSCALER_OFFLINE", "0") not in ("", "0")


def fetch(download: Download, path: Path, progress: ProgressCallback | None = None) -> str:
    """Downloads to `path`, unless the right file is there already; returns its SHA-256. Raises ModelError.

    The folder that UPSCALER_MIRROR names is tried first if the hash is known. What has arrived is kept beside `path`,
    as .part, so that a later call goes on from there. `progress` counts bytes, resumed ones included. The file .lock,
    which makes other processes wait, is left behind: if it were deleted, two of them could fetch at the same time.
    """
    try:
        if not _is_right(path, download):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _lock(path):
                if not _is_right(path, download):
                    return _replace(path, download, progress)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(
            f"{path}: cannot be written ({reason}). Make room, or set UPSCALER_HOME to a folder that can."
        ) from error
    return str(download.sha256)


def weights_sha256(path: Path) -> str:
    """Returns the SHA-256 of a model's file in lower-case hexadecimal digits. Raises ModelError if it is unreadable."""
    try:
        return sha256(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}).") from error


def weights_key(path: Path, other: Path | None = None, share: float = 1.0) -> str:
    """Returns a text that is the same for the same weights: those of a file, or of two that are mixed, `share` being
    the first one's. A graph of ncnn and its weights count as one file. Raises ModelError if one is unreadable."""
    parts = [weights_sha256(path)]
    if path.suffix.lower() == ".param":
        parts.append(weights_sha256(path.with_suffix(".bin")))
    if other is not None:
        parts += [weights_sha256(other), f"{share:.3f}"]
    return "-".join(parts)


def _is_right(path: Path, download: Download) -> bool:
    return download.sha256 is not None and path.is_file() and weights_sha256(path) == download.sha256


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Makes other threads and processes that want the same file wait."""
    place = path.with_name(f"{path.name}.lock")
    try:
        lock = acquire_lock(place, timeout=0)
    except TimeoutError:
        log.warning("%s: it is being fetched already; waiting.", path.name)
        lock = acquire_lock(place)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


def _replace(path: Path, download: Download, progress: ProgressCallback | None) -> str:
    """Fills the part, renames it and returns its SHA-256. After a failure it stays if a later call can resume it."""
    beside = path.with_name(f"{path.name}.part")
    file = open_own(beside)
    try:
        with file:
            part = PartialFile(beside, file, download.size, download.sha256)
            _fill(part, path, download, progress)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        if beside.is_file() and (download.sha256 is None or not beside.stat().st_size):
            beside.unlink()
    return part.sha256


def _fill(part: PartialFile, path: Path, download: Download, progress: ProgressCallback | None) -> None:
    """Fills the part from the first address that has the file. Raises ModelError when none has it.

    A mirror comes first, but only if the hash is known: otherwise it could send anything.
    """
    urls, advice = download.urls, ""
    if download.sha256 is not None:
        advice = ", set UPSCALER_MIRROR to the address of a folder that has it"
        if mirror := os.environ.get("UPSCALER_MIRROR"):
            urls = (f"{mirror.rstrip('/')}/{quote(download.filename)}", *urls)
    for url in urls:
        if not re.match("https?://[^/]", url, re.IGNORECASE):
            raise ModelError(f"{url}: this address cannot be fetched. It must begin with https:// or http://.")
    failures = []
    for url in urls:
        host = url.split("/")[2].rpartition("@")[2]
        try:
            return _fill_from(url, part, progress, f"{download.filename}: {host}")
        except Refused as error:
            log.info("%s: %s: %s.", download.filename, host, error)
            failures.append(f"{host}: {error}")
    source = download.urls[0] if download.urls else "it"
    raise ModelError(
        f"{download.filename}: cannot be fetched ({'; '.join(failures) or 'no address is known'}). "
        f"Check the connection and the proxy{advice}, or get {source} in another way and save it as {path}."
    )


def _fill_from(url: str, part: PartialFile, progress: ProgressCallback | None, subject: str) -> None:
    """Sends requests until the part is complete, and checks it. Raises Refused when attempts bring no more bytes.

    A wrong file that was begun at another address is fetched once more, from the start.
    """
    begun_elsewhere, failures, most = part.size > 0, 0, part.size
    if part.full_size is not None and part.size >= part.full_size and not part.is_right:
        part.clear()
    while not part.is_right:
        try:
            receive(url, part, progress)
            if part.full_sha256 is None or part.is_right:
                return
            raise Wrong(f"it sends another file, of SHA-256 {part.sha256[:12]}… instead of {part.full_sha256[:12]}…")
        except Wrong as error:
            part.clear()
            if not begun_elsewhere:
                raise Refused(str(error)) from error
            begun_elsewhere, failures, most = False, 0, 0
        except Broken as error:
            failures = 1 if part.size > most else failures + 1
            most = max(most, part.size)
            if failures > len(PAUSES):
                raise Refused(str(error)) from error
            pause = max(PAUSES[failures - 1], min(error.wait, LONGEST_PAUSE))
            log.warning("%s: %s. Trying again in %g s.", subject, error, pause)
            time.sleep(pause)
