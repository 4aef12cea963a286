"""A real web server on this machine that serves what a test gives it, and fails as the test wants it to.

    with Server() as server:
        url = server.put("/weights.pth", content, faults=[Cut(1000), Status(503)])

The first request is cut after 1000 bytes, the second answered with 503, all others as they should be. As a mirror of
models: one `put` for each file name, and UPSCALER_MIRROR = server.url.
"""

from __future__ import annotations

import gzip
import re
import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

PATIENCE = 20
"""Seconds that nothing here waits longer than."""


@dataclass(frozen=True)
class Cut:
    """The connection ends after so many bytes of the body."""

    after: int
    reset: bool = False
    """By a reset, as when a router forgets it, rather than by a proper end."""


@dataclass(frozen=True)
class Pause:
    """After so many bytes of the body nothing comes, until `Server.go_on` is called; then the rest."""

    after: int


@dataclass(frozen=True)
class Status:
    """That status, these headers, no body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


Fault = Cut | Pause | Status


@dataclass
class Request:
    """One that the server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    through_proxy: bool
    """Whether it was sent to the server as to a proxy."""
    sent: int = 0
    """Bytes of the body that were sent."""


@dataclass
class _Page:
    content: bytes
    faults: Iterator[Fault]
    ranges: bool
    range_shift: int
    length: int | None
    chunked: bool
    headers: Mapping[str, str]


class Server:
    """Listens on a port of its own while it is open; proxies of the environment are not used for it meanwhile.

    It takes any host name, so that it is a proxy too: then what `put` was told is served for every host.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._pages: dict[str, _Page] = {}
        self._released = threading.Event()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.server = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._environment = pytest.MonkeyPatch()

    def __enter__(self) -> Server:
        for name in ("no_proxy", "NO_PROXY"):
            self._environment.setenv(name, "127.0.0.1")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go_on()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        self._environment.undo()

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def put(
        self,
        path: str,
        content: bytes,
        faults: Iterable[Fault] = (),
        *,
        ranges: bool = True,
        range_shift: int = 0,
        length: int | None = None,
        chunked: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Serves `content` at `path`, from now on; the URL.

        Each request uses up one of the `faults`, which may go on for ever (`itertools.repeat`). Without `ranges` every
        answer is the whole; with `range_shift` a range begins so many bytes too late, and says so. `length` is told
        instead of the true length; `chunked` tells none. Whoever accepts gzip gets gzip.
        """
        self._pages[path] = _Page(content, iter(faults), ranges, range_shift, length, chunked, headers or {})
        return self.url + path

    def go_on(self) -> None:
        """Ends all pauses, future ones included."""
        self._released.set()

    def ranges(self, path: str) -> list[str | None]:
        """Of all requests for a path, what they wanted of it: "bytes=1000-", or None for all."""
        return [request.headers.get("Range") for request in self.requests if request.path == path]

    def sent(self, path: str) -> int:
        """Bytes sent for a path, all requests together."""
        return sum(request.sent for request in self.requests if request.path == path)


class _Listener(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    server: Server

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Closes it and no more: the usual farewell would come before a reset."""
        request.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: clients that are killed or lose patience are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    server: _Listener

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.close_connection = True
        server, url = self.server.server, urlsplit(self.path)
        request = Request(self.command, url.path, dict(self.headers), bool(url.netloc))
        server.requests.append(request)
        page = server._pages.get(url.path)
        fault = next(page.faults, None) if page is not None else Status(404)
        if page is None or isinstance(fault, Status):
            assert isinstance(fault, Status)
            self._head(fault.status, {"Content-Length": "0", **fault.headers})
            return
        body = self._answer(page)
        after = len(body) if fault is None else fault.after
        self._send(body[:after], page, request)
        if isinstance(fault, Cut):
            self._hang_up(fault.reset)
        if isinstance(fault, Pause):
            server._released.wait(PATIENCE)
        self._send(body[after:], page, request)
        if page.chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _answer(self, page: _Page) -> bytes:
        """Sends the head of an answer without faults; the body."""
        headers = {"Content-Type": "application/octet-stream", **page.headers}
        content, start, total = page.content, 0, len(page.content)
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            content = gzip.compress(content)
            headers["Content-Encoding"] = "gzip"
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if page.ranges else None
        if wanted is not None and self._is_unchanged(page):
            start = int(wanted[1]) + page.range_shift
            if start >= total:
                self._head(416, {"Content-Length": "0", "Content-Range": f"bytes */{total}"})
                return b""
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        length = page.length if page.length is not None else len(content) - start
        headers |= {"Transfer-Encoding": "chunked"} if page.chunked else {"Content-Length": str(length)}
        self._head(206 if "Content-Range" in headers else 200, headers)
        return content[start:]

    def _is_unchanged(self, page: _Page) -> bool:
        version = self.headers.get("If-Range")
        return version is None or version in (page.headers.get("ETag"), page.headers.get("Last-Modified"))

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, body: bytes, page: _Page, request: Request) -> None:
        if self.command == "HEAD":
            return
        for start in range(0, len(body), 2**14):
            piece = body[start : start + 2**14]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if page.chunked else piece)
            request.sent += len(piece)

    def _hang_up(self, reset: bool) -> NoReturn:
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""
