"""Reads pictures of strangers: the process that loads the decoders and forks, and those that it forks.

`untrusted` starts the first one, and talks to it through a socket that is its standard input.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import time
from typing import Any

import pyvips

from .. import interpreter, notices
from ..errors import UpscalerError, describe
from ..picture import Picture
from .decode import read_source

PAUSES = (0.001, 0.02)
"""Seconds between two looks whether a process has ended: at first, and at most."""


def main() -> None:
    """Forks a process for each picture that is asked for, until the other end of the socket is closed."""
    pyvips.block_untrusted_set(True)
    wanted = socket.socket(fileno=0)
    while True:
        head, files, _, _ = socket.recv_fds(wanted, 4, 3)
        if len(head) < 4 or len(files) < 3:
            return
        text = b""
        while len(text) < int.from_bytes(head, "big"):
            text += wanted.recv(2**16)
        request = json.loads(text)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                wanted.close()
                _serve(request, *files)
                code = 0
            finally:
                os._exit(code)
        for file in files:
            os.close(file)
        wanted.sendall(bytes([_wait(child, request["patience"])]))


def _wait(child: int, patience: float) -> int:
    """Waits for a process, and ends it when it takes too long. Returns the signal that ended it; 0 if it ended itself,
    255 if it did with a code that says it has failed."""
    end, pause = time.monotonic() + patience, PAUSES[0]
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 255 * (status != 0)
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(pause)
        pause = min(2 * pause, PAUSES[1])


def _serve(request: dict[str, Any], source: int, pixels: int, result: int) -> None:
    """Reads a picture and writes what was found of it, within its limits."""
    largest = max(8 * request["max_pixels"], 16 * request["metadata"])
    interpreter.limit(request["memory"], request["processor"], largest)
    answer: dict[str, Any]
    try:
        with os.fdopen(source, "rb") as file:
            content = file.read(request["file"] + 1)
        with notices.collect() as warnings:
            picture = read_source(
                content, request["name"], request["accept_damaged"], request["max_pixels"], None, is_trusted=False
            )
        answer = {**_describe(picture, request["metadata"]), "warnings": warnings}
        with os.fdopen(pixels, "wb") as file:
            try:
                for row in picture.pixels:
                    file.write(row.tobytes())
                file.flush()
            except OSError as error:
                answer = {"room": error.strerror or str(error)}
    except UpscalerError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": f"reading it takes more than {request['memory'] >> 20:,} MiB of memory."}
    except Exception as error:
        answer = {"error": describe(error, request["name"])}
    with os.fdopen(result, "wb") as file:
        file.write(json.dumps(answer).encode())


def _describe(picture: Picture, most: int) -> dict[str, Any]:
    """Returns all but the pixels of a picture as JSON can hold it. Raises PictureError for too much metadata."""
    metadata = picture.metadata
    blobs = {"profile": picture.profile, "exif": metadata.exif, "xmp": metadata.xmp, "iptc": metadata.iptc}
    comments = list(metadata.comments.items())
    size = sum(len(blob or b"") for blob in blobs.values()) + sum(len(key) + len(text) for key, text in comments)
    if size > most:
        return {
            "error": f"its metadata have {-(-size // 2**20):,} MiB, over the limit of {most >> 20} for pictures of "
            "strangers. If you trust the picture, leave out `untrusted`."
        }
    found: dict[str, Any] = {
        "shape": picture.pixels.shape,
        "depth": picture.depth,
        "format": picture.format,
        "quality": picture.quality,
        "dpi": metadata.dpi,
        "comments": comments,
        **{name: base64.b64encode(blob).decode() for name, blob in blobs.items() if blob is not None},
    }
    return {name: value for name, value in found.items() if value is not None}
