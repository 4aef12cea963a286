"""Sends one HTTP request for a file, or for its missing rest, and names the ways in which that can fail.

`download` decides what to do about a failure.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import ModelError
from ..progress import ProgressCallback

if TYPE_CHECKING:
    from requests import Response

CHUNK = 2**16
"""Bytes that are read at once; at most so many are lost when a connection breaks."""

CONNECT_TIMEOUT, READ_TIMEOUT = 10.0, 30.0
"""Seconds to wait for a connection, and for its next bytes, before it is given up."""


RESERVE = 2**30
"""Bytes of the disk that stay free while a file of unknown length arrives."""

LARGEST = 2**36
"""Bytes of a file of unknown length at most: no model has more in one file."""


class Broken(Exception):
    """The request failed, but the next one may succeed."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds that the server asks to wait."""


class Refused(Exception):
    """This address does not give the file, however often it is asked."""


class Wrong(Exception):
    """The bytes that have arrived are neither the file nor its beginning."""


class PartialFile:
    """A file that is arriving: how much of it there is, its hash so far, and what is known of the whole."""

    def __init__(self, path: Path, file: BinaryIO, full_size: int | None, full_sha256: str | None) -> None:
        """Takes the file at `path`, open for reading and writing, and hashes its content, the beginning of it all."""
        self.path = path
        self.full_size = full_size
        self.full_sha256 = full_sha256
        self.size = 0
        self.version: str | None = None
        """The server's ETag or date of the file: tells whether it can be resumed where no hash is known."""
        self._file = file
        self._hash = hashlib.sha256()
        for chunk in iter(lambda: file.read(CHUNK), b""):
            self._hash.update(chunk)
            self.size += len(chunk)

    @property
    def sha256(self) -> str:
        """The hash of what has arrived."""
        return self._hash.hexdigest()

    @property
    def is_right(self) -> bool:
        """Whether it is known to be the whole file."""
        return self.sha256 == self.full_sha256

    def append(self, chunk: bytes) -> None:
        """Adds bytes. Raises Wrong when there are more than the file has."""
        if self.full_size is not None and self.size + len(chunk) > self.full_size:
            raise Wrong(f"it sends more than the {self.full_size} bytes of the file")
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def clear(self) -> None:
        """Discards what has arrived."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size, self.version = 0, None


def receive(url: str, part: PartialFile, report: ProgressCallback | None) -> None:
    """Fetches the missing bytes of a part, or all of them if the server does not send the rest alone.

    Nothing is decompressed, no hash is checked. `report` is called with the bytes so far, resumed ones included, and
    their total if it is known. Raises Broken, Refused, Wrong, OSError, and ModelError when there is no room for them.
    """
    import requests  # imported late: it takes as long as the rest of the command line
    from urllib3.exceptions import HTTPError, TimeoutError

    if part.full_sha256 is None and part.version is None:
        part.clear()
    headers = {"Accept-Encoding": "identity"}
    if part.size:
        headers["Range"] = f"bytes={part.size}-"
        if part.version is not None:
            headers["If-Range"] = part.version
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response:
            total = _begin(response, part)
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                part.append(chunk)
                if total is None:
                    _check_room(part)
                if report is not None:
                    report(part.size, total)
    except (requests.RequestException, HTTPError) as error:
        if isinstance(error, (ValueError, requests.TooManyRedirects)):  # ValueError: an invalid address
            raise Refused(str(error).rstrip(".")) from error
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            why = "its certificate is not trusted; REQUESTS_CA_BUNDLE can name a file of those that are"
            raise Refused(why) from error
        if isinstance(error, (requests.Timeout, TimeoutError)):
            raise Broken("it does not answer any more") from error
        if isinstance(error, requests.exceptions.ProxyError):
            raise Broken("the proxy gives no connection to it") from error
        broke = isinstance(error, requests.ConnectionError)
        raise Broken("no connection to it" if broke else "the connection broke") from error
    if total is not None and part.size < total:
        raise Broken(f"the connection ended after {part.size} of {total} bytes")


def _check_room(part: PartialFile) -> None:
    """Raises ModelError when a file of which the server does not say the length would fill the disk."""
    free = shutil.disk_usage(part.path.parent).free
    if free < RESERVE or part.size > LARGEST:
        raise ModelError(
            f"{part.path.parent}: {part.size / 2**20:.0f} MiB have arrived of a file whose length the server does not "
            f"say, and {free / 2**20:.0f} MiB are free. Make room, or get the file in another way."
        )


def _begin(response: Response, part: PartialFile) -> int | None:
    """Checks the head of an answer, and clears the part unless the body continues it; returns the whole file's size."""
    status, headers = response.status_code, response.headers
    said = f"HTTP {status} {response.reason}"
    if status in (408, 429) or status >= 500:
        wait = headers.get("Retry-After", "")
        raise Broken(said, float(wait) if wait.isdecimal() else 0.0)
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "")) if status == 206 else None
    continues = span is not None and int(span[1]) == part.size
    if part.size and status in (206, 416) and not continues:
        part.clear()
        raise Broken("it cannot go on in the middle of the file")
    if status != 200 and not continues:
        raise Refused(said)
    if headers.get("Content-Type", "").startswith("text/html"):
        raise Refused("it sends a web page instead of the file, perhaps one to log in")
    if headers.get("Content-Encoding", "") not in ("", "identity"):
        raise Refused(f"it sends the file encoded ({headers['Content-Encoding']})")
    length = response.raw.length_remaining
    total = None if length is None else length + (part.size if continues else 0)
    if span is not None and span[2] != "*":
        total = int(span[2])
    if part.full_size is not None and total not in (None, part.full_size):
        raise Refused(f"the file there has {total} bytes instead of {part.full_size}")
    if not continues:
        part.clear()
    if part.full_sha256 is None:
        etag = headers.get("ETag", "W/")
        part.version = headers.get("Last-Modified") if etag.startswith("W/") else etag
    needed, free = (total or 0) - part.size, shutil.disk_usage(part.path.parent).free
    if needed > free:
        raise ModelError(
            f"{part.path.parent}: there is room for {free / 2**20:.0f} MiB, and {needed / 2**20:.0f} are needed. "
            "Make room, or set UPSCALER_HOME to another folder."
        )
    return total or part.full_size
