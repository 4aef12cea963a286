"""Makes all frames of an animation, or all pages of a document: one by one, each kept in a file until the last is done.

The files lie beside the result. A job that is killed goes on with the first one that is missing, and ends in the same
bytes, since the result is made of these files in any case.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from .. import codecs
from ..codecs import EncodeOptions, Frames
from ..errors import OutputError
from ..files import cache_dir
from ..inputs.storage import Remote
from ..picture import Picture
from ..progress import ProgressCallback
from .manifest import FOLDER

log = logging.getLogger("upscaler")

Enlarge: TypeAlias = "Callable[[Picture, ProgressCallback | None], Picture]"
"""Makes a frame larger."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder of the finished frames of one output."""

    folder: Path
    key: str
    """Names everything that the frames depend on. Frames of another key are deleted."""

    @staticmethod
    def beside(output: Path, source_sha256: str, settings: Mapping[str, Any]) -> Spool:
        """Returns the spool of an output: in the folder of manifests beside it; for a URL in the folder for caches."""
        text = json.dumps([source_sha256, settings], sort_keys=True, default=str)
        own = cache_dir() / "jobs" if isinstance(output, Remote) else output.absolute().parent / FOLDER
        name = hashlib.sha256(os.fsencode(str(output) if isinstance(output, Remote) else output.name)).hexdigest()
        return Spool(own / "frames" / name[:16], hashlib.sha256(text.encode()).hexdigest())

    def open(self) -> None:
        """Makes the folder, empty unless it has frames of the same key. Raises OutputError when that fails, or when a
        link lies in the way, which may lead anywhere."""
        for path in (self.folder.parent.parent, self.folder.parent, self.folder, *self._content()):
            if path.is_symlink():
                raise OutputError(f"{path}: this is a link, which may lead anywhere. Remove it to begin anew.")
        try:
            note = self.folder / "key"
            if not note.is_file() or note.read_text("utf-8", "replace") != self.key:
                shutil.rmtree(self.folder, ignore_errors=True)
                self.folder.mkdir(parents=True)
                note.write_text(self.key, "utf-8")
        except OSError as error:
            raise OutputError(f"{self.folder}: it cannot be written ({error.strerror}).") from error

    def file(self, number: int, suffix: str) -> Path:
        """Returns the path of a frame's file, which is there if it is done."""
        return self.folder / f"{number:06}{suffix}"

    def remove(self) -> None:
        """Deletes the frames, and the folders above if nothing else is in them."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()
            self.folder.parent.parent.rmdir()

    def _content(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []


def make_frames(
    frames: Frames,
    spool: Spool,
    options: EncodeOptions,
    output: Path,
    enlarge: Enlarge,
    progress: ProgressCallback | None,
    steps: int,
) -> float | None:
    """Enlarges the frames that are not in the spool yet, and returns how far they depart from their sources at most;
    None if none was computed.

    `steps`: what counts for each frame in `progress`, however many tiles it has. Raises as `Pipeline.run`.
    """
    spool.open()
    format = options.format_for(output)
    departures: list[float] = []
    if progress is not None:
        progress(0, frames.count * steps)
    for number in range(frames.count):
        suffix, keeping = frames.keep_as(number, format, options)
        file = spool.file(number, suffix)
        if not file.exists():
            picture = enlarge(frames.read(number), _share(progress, number, frames.count, steps))
            codecs.encode(picture, file, keeping)
            if picture.lr_rmse is not None:
                departures.append(picture.lr_rmse)
        if progress is not None:
            progress((number + 1) * steps, frames.count * steps)
    return max(departures, default=None)


def join_frames(frames: Frames, spool: Spool, options: EncodeOptions, output: Path, folder: Path) -> Path:
    """Makes one file of all frames under a temporary name in `folder`, and returns it. Raises OutputError."""
    format = options.format_for(output)
    files = [spool.file(number, frames.keep_as(number, format, options)[0]) for number in range(frames.count)]
    codecs.check(output, options, codecs.decode(files[0]).size)
    return codecs.write_part(output, folder, lambda part: frames.join(files, part, format, options))


def _share(progress: ProgressCallback | None, number: int, count: int, steps: int) -> ProgressCallback | None:
    """Returns a callback that counts the tiles of one frame as its share of all."""
    if progress is None:
        return None

    def report(done: int, total: int | None) -> None:
        if done:  # 0 would begin a new bar
            progress(number * steps + done * steps // max(total or 1, 1), count * steps)

    return report
