"""From what the user typed to pairs of source and output: folders, globs, names, formats.

What the files hold is not looked at beyond their first bytes; reading and writing are `batch`'s.
"""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..codecs import FORMATS, Format, Output, by_suffix, looks_like_picture, sniff, writable
from ..errors import OutputError, PlanError

RESULT = re.compile(r"(?P<source>.+)_(\d+(\.\d+)?x|upscaled)")
"""Names that results get when they are written beside their sources."""


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to be made."""

    source: Path
    output: Output
    problem: str | None = None
    """One sentence: why it cannot be made, where that is known beforehand."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """What lies in a folder of a run and is left alone."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Jobs:
    """All pictures of a run, and what was found beside them."""

    jobs: tuple[Job, ...]
    skipped: tuple[Skipped, ...]
    folder: Path | None = None
    """Into which all results go; None: beside their sources, or into one file."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A picture, and the folder from which its place in the output folder is counted."""

    path: Path
    root: Path
    problem: str | None = None


def collect(inputs: Iterable[str], output: str | None, template: Output, tag: str) -> Jobs:
    """The jobs for files, folders (searched recursively) and glob patterns; what is named twice is done once.

    `output` is a file for a single picture, else a folder: it mirrors an input folder, or several of them under their
    own names. None writes beside each source, with `tag` after its name, and leaves results of earlier runs alone.
    `template` says how files are written. Hidden files and links to folders are left out. An input that does not exist
    becomes a job, which fails. Raises PlanError when there is nothing to do, when the output cannot be meant so, when
    two sources would become one file, or a result would take the place of a source.
    """
    inputs = list(inputs)
    if "" in inputs or output == "":
        raise PlanError("an empty name: no file or folder is called so. Check the variable that it came from.")
    unique: dict[str, _Found] = {}
    skipped: list[Skipped] = []
    for item in _search(inputs, output):
        if isinstance(item, Skipped):
            skipped.append(item)
        else:
            unique.setdefault(os.path.abspath(item.path), item)
    found = list(unique.values())
    if output is None:
        results = _earlier_results(found)
        skipped += [Skipped(item.path, "a result of an earlier run") for item in found if item in results]
        found = [item for item in found if item not in results]
    if not found:
        raise PlanError(f"{', '.join(inputs)}: no picture in there.")
    folder = None if output is None or _names_file(output, inputs, found, template.format) else Path(output)
    if output is not None and folder is None:
        jobs = [Job(item.path, replace(template, path=Path(output)), item.problem) for item in found]
    else:
        jobs = [_job(item, output, template, tag) for item in found]
    if template.format is None:
        jobs = _told_apart(jobs)
    _refuse_losses(jobs)
    return Jobs(tuple(jobs), tuple(skipped), folder)


def expand(text: str) -> list[Path]:
    """The file or folder of that name, else what the glob pattern matches, else the name as it is."""
    if os.path.lexists(text):
        return [Path(text)]
    return [Path(match) for match in sorted(glob.glob(text, recursive=True))] or [Path(text)]


def folder_for(output: Path) -> Path:
    """The nearest folder above an output that is there already.

    Raises OutputError when no file can be made in it: worth knowing before a picture is computed.
    """
    place = next(place for place in output.absolute().parents if os.path.lexists(place))
    if not os.path.isdir(place):
        raise OutputError(f"{output}: cannot be written, for {place} is not a folder. Choose another folder.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise OutputError(f"{output}: cannot be written, for {place} allows no new files. Choose another folder.")
    return place


def _search(inputs: list[str], output: str | None) -> Iterator[_Found | Skipped]:
    own = None if output is None else os.path.realpath(output)
    expanded = [(path, text) for text in dict.fromkeys(inputs) for path in expand(text)]
    folders = {os.path.realpath(path) for path, _ in expanded if os.path.isdir(path)}
    if len(expanded) > 1:
        folders.discard(str(own))
    for path, text in expanded:
        if os.path.isdir(path) and os.path.realpath(path) not in folders:
            yield Skipped(path, "the output folder")
        elif os.path.isdir(path):
            above = Path(os.path.abspath(path)).parent
            yield from _below(path, above if len(folders) > 1 else path, own)
        elif path != Path(text):
            yield _picture_or_not(path, _fixed_part(text))
        else:
            yield _Found(path, path.parent)


def _below(folder: Path, root: Path, own: str | None) -> Iterator[_Found | Skipped]:
    """Every file below a folder, in order of name, without hidden ones and without `own`, the output folder."""
    errors: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=errors.append):
        visible = sorted(name for name in folders if not name.startswith("."))
        folders.clear()
        for path in (Path(place, name) for name in visible):
            if path.is_symlink():
                yield Skipped(path, "a link to a folder")
            elif os.path.realpath(path) == own:
                yield Skipped(path, "the output folder")
            else:
                folders.append(path.name)
        for name in sorted(files):
            if not name.startswith("."):
                yield _picture_or_not(Path(place, name), root)
    for error in errors:
        path = Path(error.filename)
        yield _Found(path, root, f"{path}: the folder cannot be read ({error.strerror}).")


def _picture_or_not(path: Path, root: Path) -> _Found | Skipped:
    """A file that nobody named: taken if it looks like a picture, or if nobody can tell."""
    if os.path.exists(path) and not os.path.isfile(path):
        return Skipped(path, "not a file")
    return _Found(path, root) if looks_like_picture(path) else Skipped(path, "not a picture")


def _fixed_part(pattern: str) -> Path:
    """The folder up to which a glob pattern says nothing but names."""
    fixed = Path()
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _earlier_results(found: list[_Found]) -> set[_Found]:
    """Those named as the result of another would be: a second run must not enlarge what the first has made."""
    sources = {item.path.with_name(_stem(item.path)) for item in found}
    matches = [(item, RESULT.fullmatch(_stem(item.path))) for item in found]
    return {item for item, match in matches if match and item.path.with_name(match["source"]) in sources}


def _names_file(output: str, inputs: list[str], found: list[_Found], format: Format | None) -> bool:
    """Whether the output is one file and not a folder. Raises PlanError when it can be neither."""
    path = Path(output)
    if output.endswith(("/", os.sep)) or os.path.isdir(path):
        return False
    named = by_suffix(path.suffix)
    if len(found) > 1 or any(os.path.isdir(text) for text in inputs):
        if named or os.path.exists(path):
            raise PlanError(f"{output}: is one file, where a folder is needed for {', '.join(inputs)}. Name a folder.")
        return False
    if not path.suffix and not os.path.exists(path):
        return False
    if format is None and (named is None or named.writer is None):
        known = ", ".join(format.suffixes[0] for format in FORMATS if format.writer)
        raise PlanError(
            f"{output}: {path.suffix or 'without a suffix it'} is no format that can be written ({known}). "
            "Choose one of these, or end the name with / if it is a folder."
        )
    if format is not None and named is not None and named is not format:
        raise PlanError(
            f"{output}: its name says {named.name}, but --format says {format.name}. Leave one of them out."
        )
    return True


def _job(item: _Found, output: str | None, template: Output, tag: str) -> Job:
    """The result beside its source, or at the same place in the output folder, in its source's format if need be."""
    source = item.path
    format = template.format or _format_of(source)
    suffix = source.suffix if source.suffix.lower() in format.suffixes else format.suffixes[0]
    if output is None:
        path = source.with_name(f"{_stem(source)}{tag}{suffix}")
    else:
        path = Path(output, os.path.relpath(source.parent, item.root), f"{_stem(source)}{suffix}")
    return Job(source, replace(template, path=path, format=format), item.problem)


def _stem(path: Path) -> str:
    """The name without its suffix, if that is one of a picture: of `scan.v2` nothing is taken away."""
    return path.stem if by_suffix(path.suffix) else path.name


def _format_of(source: Path) -> Format:
    """The source's own format by content, else by name, if it can be written."""
    named = by_suffix(source.suffix)
    if not os.path.isfile(source):
        return writable(named)
    try:
        with source.open("rb") as file:
            return writable(sniff(file.read(64)) or named)
    except OSError:
        return writable(named)


def _told_apart(jobs: list[Job]) -> list[Job]:
    """Where `a.gif` and `a.png` would both become `a.png`, the one that changes its format becomes `a.gif.png`."""
    taken = Counter(os.path.realpath(job.output.path) for job in jobs)
    result = []
    for job in jobs:
        path, suffix = job.output.path, job.output.path.suffix
        if taken[os.path.realpath(path)] > 1 and job.source.suffix.lower() != suffix.lower():
            path = path.with_name(f"{path.name.removesuffix(suffix)}{job.source.suffix}{suffix}")
        result.append(replace(job, output=replace(job.output, path=path)))
    return result


def _refuse_losses(jobs: list[Job]) -> None:
    """Raises PlanError when a result would replace another, or a source: its own, or one still to be read."""
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    outputs: dict[str, Path] = {}
    for job in jobs:
        place = os.path.realpath(job.output.path)
        other = outputs.setdefault(place, job.source)
        if other != job.source:
            raise PlanError(f"{other} and {job.source}: both would become {job.output.path}. Rename one of them.")
        if place in sources and os.path.lexists(place):
            which = "its own result" if sources[place] == job.source else f"the result of {job.source}"
            raise PlanError(f"{sources[place]}: would be overwritten by {which}. Choose another folder.")
