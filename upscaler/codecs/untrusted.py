"""Reads pictures of strangers in processes of their own, which are limited in memory and time and hand back pixels.

Only decoders that libvips calls safe are used. A process is forked for each picture by one that has loaded the decoders
and never sees a picture, `untrusted_child`. It gets open files and no names. What it hands back is checked like any
other file of a stranger: a decoder that was taken over can only make a wrong picture.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, Final

import numpy as np

from .. import interpreter
from ..arrays import PixelArray
from ..errors import OutputError, PictureError, PlanError, first_line
from ..notices import warn
from ..picture import Metadata, Picture
from ..picture.canvas import IN_MEMORY
from ..tiling import Size
from ..validation import check_choice, check_fields, check_list, check_number, check_text, check_whole
from .formats import FORMATS

MOST_PIXELS = 64_000_000
"""Pixels above which a stranger's picture is refused, whatever `max_pixels` says."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one picture may take."""

    file: int = 64 * 2**20
    """Bytes of the file."""
    metadata: int = 8 * 2**20
    """Bytes of profile, EXIF, XMP, IPTC and texts together."""
    memory: int = 2 * 2**30
    """Bytes of addresses beyond those of the decoders themselves."""
    processor: int = 30
    """Seconds of computing."""
    patience: float = 120.0
    """Seconds in all."""


LIMITS: Final = Limits()

SAFE: Final = tuple(format.name for format in FORMATS if format.is_safe)

BLOBS = ("profile", "exif", "xmp", "iptc")

_BLOB = check_text(longest=4 * LIMITS.metadata)

_CHECKS: Final = {
    "shape": check_list(check_whole(1, 2**31 - 1), 3),
    "depth": check_whole(8, 16),
    **dict.fromkeys(BLOBS, _BLOB),
    "dpi": check_list(check_number(0, 1e9), 2),
    "comments": check_list(check_list(_BLOB, 2), 100_000),
    "format": check_choice(*SAFE),
    "quality": check_whole(0, 100),
    "warnings": check_list(check_text()),
    "error": check_text(),
    "room": check_text(),
}

_idle: SimpleQueue[_Reader] = SimpleQueue()


def decode(
    source: str | os.PathLike[str] | bytes,
    name: str,
    accept_damaged: bool,
    max_pixels: int,
    workspace: Path | None,
    limits: Limits = LIMITS,
) -> Picture:
    """Reads a picture, upright, as `codecs.decode` does, without its gain map.

    Raises PictureError also when reading it takes more than `limits`, or ends its process; PlanError where processes
    cannot be limited, OutputError when there is no room for the pixels.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
        message = "this system does not limit what a process takes. Leave it out, or use another system."
        raise PlanError(message, argument="untrusted")
    with ExitStack() as stack:
        file = stack.enter_context(_open(source, name, limits))
        pixels, result = (stack.enter_context(tempfile.TemporaryFile(dir=workspace)) for _ in range(2))
        most = min(max_pixels, MOST_PIXELS)
        request = {"name": name, "accept_damaged": accept_damaged, "max_pixels": most, **asdict(limits)}
        end = _read(request, file, pixels, result)
        if end:
            raise PictureError(f"{name}: {_explain(end, limits)}. If you trust the picture, leave out `untrusted`.")
        return _take(name, pixels, result, most, workspace)


def _read(request: dict[str, Any], *files: IO[bytes]) -> int:
    """Has a picture read by a process that is idle, or a new one. Returns the signal that ended it, or 0."""
    try:
        reader = _idle.get_nowait()
    except Empty:
        reader = _Reader()
    end = reader.read(request, *files)
    if end is None:  # something else has ended it, maybe while it was idle
        reader = _Reader()
        end = reader.read(request, *files)
    if end is None:
        raise PictureError(f"{request['name']}: the process that reads pictures has ended twice.")
    _idle.put(reader)
    return end


class _Reader:
    """A process that has loaded the decoders, and forks one for each picture."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                interpreter.command("from upscaler.codecs import untrusted_child; untrusted_child.main()"),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # signals of a terminal are for this process
                env={**os.environ, "VIPS_CONCURRENCY": "1", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"},
            )
        self._socket = ours
        self.end = weakref.finalize(self, _end, self._process, ours)

    def read(self, request: dict[str, Any], *files: IO[bytes]) -> int | None:
        """Has a process read a picture: from the first file, pixels into the second, all else into the third.

        Returns 0, or the number of the signal that ended it; None if there is no process any more.
        """
        try:
            files[0].seek(0)
            text = json.dumps(request).encode()
            socket.send_fds(self._socket, [len(text).to_bytes(4, "big")], [file.fileno() for file in files])
            self._socket.sendall(text)
            answer = self._socket.recv(1)
        except OSError:
            answer = b""
        if not answer:
            self.end()
            return None
        return answer[0]


def _end(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    """Ends a process that reads, and the one that it has forked."""
    ours.close()
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _open(source: str | os.PathLike[str] | bytes, name: str, limits: Limits) -> IO[bytes]:
    """Opens a picture's file, or its content in one. Raises PictureError, also when it is too large."""
    try:
        if isinstance(source, bytes):
            file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
            file.write(source)
            file.flush()
        else:
            file = Path(source).open("rb")  # noqa: SIM115 - the caller closes it
        size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise PictureError(f"{name}: cannot be read ({reason}).") from error
    if size > limits.file:
        file.close()
        raise PictureError(
            f"{name}: the file has {-(-size // 2**20):,} MiB, over the limit of {limits.file >> 20} for pictures of "
            "strangers. If you trust the picture, leave out `untrusted`."
        )
    return file


def _explain(end: int, limits: Limits) -> str:
    if end in (signal.SIGXCPU, signal.SIGKILL):
        allowed = f"{limits.processor} s of computing and {limits.patience:g} s in all are allowed"
        return f"reading it took too long ({allowed}), or the system ended it"
    name = signal.Signals(end).name if end in set(signal.Signals) else f"code {end}"
    return f"reading it ended the process that did it ({name}); its decoder failed, or had too little memory"


def _take(name: str, pixels: IO[bytes], result: IO[bytes], most: int, workspace: Path | None) -> Picture:
    """Makes a picture of what a process has handed back. Raises PictureError, and OutputError for want of room."""
    result.seek(0)
    try:
        found = check_fields(json.loads(result.read(16 * LIMITS.metadata)), _CHECKS)
        if "error" in found:
            raise PictureError(found["error"] if found["error"].startswith(name) else f"{name}: {found['error']}")
        if "room" in found:
            raise OutputError(
                f"{workspace or tempfile.gettempdir()}: no room for pixels in the making ({found['room']}). Free some "
                "space, or point TMPDIR or `workspace` to another disk."
            )
        values = _map(pixels, found["shape"], found["depth"], most)
        if len(found.get("dpi", (1, 1))) != 2 or any(len(pair) != 2 for pair in found.get("comments", ())):
            raise ValueError("a pair is none")
        blobs = {field: base64.b64decode(found[field], validate=True) for field in BLOBS if field in found}
        comments = dict(found.get("comments", ()))
    except (ValueError, KeyError, RecursionError, OSError) as error:
        raise PictureError(f"{name}: what was read of it cannot be used ({first_line(error)}).") from error
    for text in found["warnings"]:
        warn("%s", text)
    metadata = Metadata(
        exif=blobs.get("exif"),
        xmp=blobs.get("xmp"),
        iptc=blobs.get("iptc"),
        dpi=found.get("dpi"),
        comments=comments,
        size=Size(values.shape[1], values.shape[0]),
    )
    return Picture(values, blobs.get("profile"), metadata, found["format"], name, quality=found.get("quality"))


def _map(file: IO[bytes], shape: tuple[int, ...], depth: int, most: int) -> PixelArray:
    """Returns the pixels in a file, which stay there if they are many. Raises ValueError when they do not fit in."""
    dtype = {8: np.uint8, 16: np.uint16}.get(depth)
    if dtype is None or len(shape) != 3 or shape[2] > 4 or shape[0] * shape[1] > most:
        raise ValueError(f"{shape} pixels of {depth} bits")
    size = int(np.prod(shape, dtype=np.int64)) * depth // 8
    if os.fstat(file.fileno()).st_size != size:
        raise ValueError("there are more or fewer pixels than were announced")
    if size > IN_MEMORY:
        return np.memmap(file, dtype, "r+", shape=shape)
    file.seek(0)
    return np.frombuffer(file.read(), dtype).reshape(shape)
