"""Single files at https:// and http:// addresses, which need no package for URLs; lists of files do."""

from __future__ import annotations

import errno
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from ..catalog.http import CONNECT_TIMEOUT, READ_TIMEOUT, Broken, PartialFile, Refused, Wrong, receive
from ..errors import ModelError

SCHEMES = ("https://", "http://")


class WebFiles:
    """Reads files as fsspec's file systems do; `name` is an address. What fails raises OSError with a sentence."""

    def info(self, name: str) -> dict[str, Any]:
        """Returns kind, size and time as the server states them; a web page is a folder, as lists of files are pages.

        A server that does not say counts as having the file: fetching it will tell.
        """
        import requests

        found: dict[str, Any] = {"type": "file", "size": None, "LastModified": None}
        try:
            timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
            with requests.head(name, allow_redirects=True, timeout=timeout) as answer:
                if not answer.ok:
                    return found
                headers = answer.headers
                if headers.get("Content-Type", "").startswith("text/html"):
                    found["type"] = "directory"
                if headers.get("Content-Length", "").isdecimal() and "Content-Encoding" not in headers:
                    found["size"] = int(headers["Content-Length"])
                found["LastModified"] = parsedate_to_datetime(headers["Last-Modified"])
        except (requests.RequestException, KeyError, ValueError):
            pass
        return found

    def modified(self, name: str) -> Any:
        raise NotImplementedError(name)

    def get_file(self, name: str, file: str) -> None:
        """Downloads a file."""
        with Path(file).open("wb+") as opened:
            part = PartialFile(Path(file), opened, None, None)
            try:
                receive(name, part, None)
            except (Broken, Refused, Wrong, ModelError) as error:
                raise OSError(errno.EIO, str(error).rstrip("."), name) from error
            if part.size == 0:
                raise OSError(errno.EIO, "the server sends an empty file", name)

    def find(self, name: str) -> list[str]:
        """Returns the files that a web page lists, if fsspec and its package for the web are here."""
        try:
            import fsspec

            return [str(address) for address in fsspec.filesystem("http").find(name)]
        except ImportError as error:
            raise OSError(errno.EIO, "it is a web page, not a picture", name) from error
