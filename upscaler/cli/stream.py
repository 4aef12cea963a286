"""One picture from standard input, or to standard output, or both; pictures from file to file are in `files`."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from .. import codecs
from ..errors import OutputError, PictureError, PlanError
from ..inputs import storage
from ..inputs.discover import expand, folder_for
from ..jobs.outcome import describe_estimate
from ..jobs.stages import prepare, read
from ..picture import Picture
from ..pipeline import Reading
from .console import Bars, say, show
from .files import Request

INPUT, OUTPUT = "standard input", "standard output"


def make_streamed(request: Request) -> None:
    """Enlarges one picture; both ends are standard streams unless files are named. Raises PlanError for other names."""
    output = request.output.output
    source = _source(request.inputs)
    file = None if output in (None, "-") else _file(request.writing, str(output))
    sink = None if file or request.messages.dry_run else _standard_output()
    picture = _read(source, request)
    estimate = prepare(request.pipeline, picture, request.target)
    if file is None:
        format = codecs.format_for_stream(picture, request.writing)
        codecs.check_format(format, request.writing, estimate.result, OUTPUT)
    else:
        codecs.check(file, request.writing, estimate.result)
    if request.messages.dry_run:
        show(describe_estimate(estimate, picture.name, str(file or OUTPUT)))
        return
    name = Path(picture.name).name
    with closing(Bars([name], request.messages.shows_bars)) as bars:
        result = request.pipeline.run(
            picture, estimate=estimate, progress=bars.progress(name), workspace=request.reading.get("workspace")
        )
    if file is not None:
        codecs.encode(result, file, request.writing)
    elif sink is not None:
        try:
            codecs.encode_stream(result, sink, request.writing, OUTPUT)
        except OSError as error:
            raise OutputError(f"{OUTPUT} cannot be written ({error.strerror}).") from error
    if not request.messages.quiet:
        say(f"{file or OUTPUT}  {result.size}")


def _source(inputs: list[str]) -> Path | None:
    """Returns the one file that is named, or None for standard input. Raises PlanError for a folder or several."""
    if inputs == ["-"]:
        return None
    paths = [] if "-" in inputs else [path for text in inputs for path in expand(text)]
    if len(paths) != 1 or os.path.isdir(paths[0]):
        raise PlanError(f"{', '.join(inputs)}: a pipe takes one picture. Name one file, or a folder with -o.")
    return paths[0]


def _read(source: Path | None, request: Request) -> Picture:
    if source is not None:
        try:
            with storage.local_copy(source) as file:
                named: Reading = {**request.reading, "name": str(source)} if file != source else request.reading
                return read(file, **named)
        except OSError as error:
            raise PictureError(f"{source}: {error.strerror or error}.") from error
    if sys.stdin is None:
        raise PictureError(f"{INPUT} is closed. Feed it a picture, or name a file.")
    if sys.stdin.isatty():
        raise PlanError(f"{INPUT} is a terminal. Feed it a picture, or name a file.")
    try:
        content = sys.stdin.buffer.read()
    except OSError as error:
        raise PictureError(f"{INPUT} cannot be read ({error.strerror}).") from error
    reading: Reading = {**request.reading, "name": INPUT}
    return codecs.decode(content, **reading)


def _file(writing: codecs.EncodeOptions, output: str) -> Path:
    """Returns the path of the output. Raises PlanError when it is a folder, or when no format is named."""
    path = Path(output)
    if os.path.isdir(output) or output.endswith(("/", os.sep)):
        raise PlanError(f"{output} is a folder, and {INPUT} has no name for a file in it. Name a file.")
    if writing.format is None and codecs.by_suffix(path.suffix) is None:
        raise PlanError(f"{output}: its name says no format. Give it a suffix such as .png, or use --format.")
    folder_for(path)
    return path


def _standard_output() -> BinaryIO:
    if sys.stdout is None:
        raise OutputError(f"{OUTPUT} is closed. Name a file with -o.")
    if sys.stdout.isatty():
        raise PlanError(f"{OUTPUT} is a terminal. Redirect it, or name a file with -o.")
    return sys.stdout.buffer
