"""Turns the files, folders, globs and URLs that the user typed into pairs of source and output.

`filters` decides which files of folders are taken, and `naming` what results are called. Only the first bytes of files
are read, and at URLs nothing. A little over 300 lines, since each step of the search is a few.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Generic, TypeVar

from ..codecs import DEFAULT_OPTIONS, EncodeOptions, Format, by_suffix, choices, looks_like_picture
from ..errors import OutputError, PlanError
from . import storage
from .filters import EXCLUDED, Filter, Skipped, compile_patterns
from .naming import Naming, format_of, names_file, without_suffix
from .storage import Remote, parse_location

SourceType = TypeVar("SourceType")


@dataclass(frozen=True, slots=True)
class Job(Generic[SourceType]):
    """One picture to be made."""

    source: SourceType
    """The path of a file, or generation parameters; messages name the source by its `str`."""
    output: Path
    options: EncodeOptions = DEFAULT_OPTIONS
    problem: str | None = None
    """One sentence that says why the picture cannot be made, if that is known beforehand."""


@dataclass(frozen=True, slots=True)
class Jobs(Generic[SourceType]):
    """All pictures of a run, and what was found beside them."""

    jobs: tuple[Job[SourceType], ...]
    skipped: tuple[Skipped, ...] = ()
    folder: Path | None = None
    """The folder into which all results go; None: beside their sources, or into one file."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that was found, and the folder from which its place in the output folder is counted."""

    path: Path
    root: Path
    problem: str | None = None
    is_named: bool = True
    """Whether the user named it, or a pattern with its suffix, and not just a folder that it is in."""


def find_jobs(
    inputs: Iterable[str],
    output: str | None,
    options: EncodeOptions,
    tag: str,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    name: str | None = None,
    scale: float | None = None,
) -> Jobs[Path]:
    """Returns the jobs for files, folders (searched recursively) and glob patterns; what is named twice is done once.

    `output` is a file for a single picture, else a folder: it mirrors an input folder, or several of them under their
    own names. None writes beside each source, with `tag` after its name, and leaves results of earlier runs alone.
    Inputs may be URLs, and so may an output that is a folder. `options` say how files are written. Hidden files and
    links to folders are left out. An input that does not exist becomes a job, which fails.

    `include` and `exclude` are shell patterns, in any case of letters, for what is found in folders and by globs: for
    bare names, and for paths from the folder that was named, with slashes, which * matches too. A folder that is
    excluded is not entered. `name` is a template for `Naming`, in place of the source's name and `tag`, and `scale` is
    the value of its field of that name.

    Raises PlanError when there is nothing to do, when the output, a pattern or the template cannot be used, when all
    sources would become one file, or when a result would take the place of a source.
    """
    inputs = list(inputs)
    if "" in inputs or output == "":
        raise PlanError("an empty name: no file or folder has it. Check the variable that it came from.")
    if bad := next((text for text in (*inputs, output or "") if "\0" in text), None):
        raise PlanError(f"{bad!r}: no file or folder has such a name.")
    check_frames(options.format, options)
    naming = Naming(name if name is not None else f"{{stem}}{tag if output is None else ''}{{suffix}}", scale)
    filter = Filter(compile_patterns("include", include), compile_patterns("exclude", exclude))
    found, skipped = _search_all(inputs, output, filter)
    if not options.all_frames:
        paper = [item for item in found if not item.is_named and item.path.suffix.lower() == ".pdf"]
        skipped += [Skipped(item.path, "a PDF file; name it, or use `all_frames`") for item in paper]
        found = [item for item in found if item not in paper]
    if output is None:
        if remote := next((item.path for item in found if isinstance(item.path, Remote)), None):
            raise PlanError(f"{remote}: results are not written beside sources at a URL. Name a folder with `output`.")
        results = _earlier_results(found, skipped, naming)
        skipped += [Skipped(item.path, "a result of an earlier run") for item in found if item in results]
        found = [item for item in found if item not in results]
    if not found:
        filtered = " that passes `include` and `exclude`" if include or exclude else ""
        raise PlanError(f"{', '.join(inputs)}: there is no picture in there{filtered}.")
    folder = None
    if output is not None and names_file(output, inputs, len(found), options):
        if name is not None:
            raise PlanError(
                f"the result has its name already, {output}. Leave out one of them.", argument="name", value=repr(name)
            )
        format = options.format or by_suffix(Path(output).suffix)
        check_frames(format, options)
        if problem := _mismatch(found[0].path, format):
            raise PlanError(problem)
        jobs = [Job(item.path, Path(output), options, item.problem) for item in found]
    else:
        folder = None if output is None else parse_location(output)
        jobs = [_make_job(item, folder, options, naming) for item in found]
    if options.format is None and name is None:
        jobs = _tell_apart(jobs)
    return Jobs(tuple(_refuse_losses(jobs, "" if name is None else ", or change `name`")), tuple(skipped), folder)


def check_frames(format: Format | None, options: EncodeOptions) -> None:
    """Raises PlanError if all frames are asked for, and a format that is named holds one picture."""
    if options.all_frames and format is not None and format.frames is None:
        known = ", ".join(each.suffixes[0] for each in choices(True) if each.frames)
        raise PlanError(
            f"{format.name} holds one picture, not several frames or pages. Choose one of {known}, or leave out "
            "`all_frames`."
        )


def _mismatch(source: Path, format: Format | None) -> str | None:
    """Returns why a document does not become a file of that format; None if it does, and for single pictures."""
    own = format_of(source)
    if not own.is_document or format is None or format is own:
        return None
    return f"{source}: its pages become a file of the same kind ({own.suffixes[0]}), not {format.name}."


def expand(text: str) -> list[Path]:
    """Returns the file or folder of that name or URL, else what the glob pattern matches, else the name as it is."""
    if os.path.lexists(text) or "://" in text:
        return [parse_location(text)]
    return [Path(match) for match in sorted(glob.glob(text, recursive=True))] or [Path(text)]


def folder_for(output: Path) -> Path:
    """Returns the folder of an output, or, if that does not exist yet, the nearest one above it that does.

    Raises OutputError when no file can be made in it, which is worth knowing before a picture is computed.
    """
    folder = next(folder for folder in output.absolute().parents if os.path.lexists(folder))
    if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
        return folder
    reason = "allows no new files" if os.path.isdir(folder) else "is not a folder"
    raise OutputError(f"{output}: it cannot be written, for {folder} {reason}. Choose another folder.")


def _search_all(inputs: list[str], output: str | None, filter: Filter) -> tuple[list[_Found], list[Skipped]]:
    """Returns the files that are found and those that are left alone, each once."""
    items = {item: os.path.abspath(item.path) for item in _search(inputs, output, filter)}
    unique: dict[str, _Found] = {}
    for item, place in items.items():
        if isinstance(item, _Found):
            unique.setdefault(place, item)
    left = [item for item, place in items.items() if isinstance(item, Skipped) and place not in unique]
    return list(unique.values()), left


def _search(inputs: list[str], output: str | None, filter: Filter) -> Iterator[_Found | Skipped]:
    own = None if output is None else os.path.realpath(output)
    expanded = [(path, text) for text in dict.fromkeys(inputs) for path in expand(text)]
    folders = {os.path.realpath(path) for path, _ in expanded if storage.is_folder(path)}
    if len(expanded) > 1:
        folders.discard(str(own))
    for path, text in expanded:
        named, is_folder = path == parse_location(text), os.path.realpath(path) in folders or os.path.isdir(path)
        # a filter sees paths below the last folder that a pattern names without a wildcard
        base = path if named else Path(*takewhile(lambda part: not glob.has_magic(part), Path(text).parts[:-1]))
        left_out = filter.folder(path, base) if is_folder else None
        if is_folder and os.path.realpath(path) not in folders:
            yield Skipped(path, "the output folder")
        elif left_out:
            yield left_out
        elif is_folder:
            above = Path(os.path.abspath(path)).parent
            search = _at_url if isinstance(path, Remote) else _below
            yield from search(path, above if len(folders) > 1 else path, base, own, filter)
        elif not named:
            yield filter.file(path, base) or _classify(path, base, path.suffix == Path(text).suffix)
        else:
            yield _Found(path, path.parent)


def _below(folder: Path, root: Path, base: Path, own: str | None, filter: Filter) -> Iterator[_Found | Skipped]:
    """Yields every file below a folder, in order of name, without hidden ones and without `own`, the output folder.

    `base` is the folder from which the filter counts.
    """
    errors: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=errors.append):
        visible = sorted(name for name in folders if not name.startswith("."))
        folders.clear()
        for path in (Path(place, name) for name in visible):
            if path.is_symlink():
                yield Skipped(path, "a link to a folder")
            elif os.path.realpath(path) == own:
                yield Skipped(path, "the output folder")
            elif left_out := filter.folder(path, base):
                yield left_out
            else:
                folders.append(path.name)
        for path in (Path(place, name) for name in sorted(files) if not name.startswith(".")):
            yield filter.file(path, base) or _classify(path, root)
    for error in errors:
        path = Path(error.filename)
        yield _Found(path, root, f"{path}: the folder cannot be read ({error.strerror}).")


def _at_url(folder: Path, root: Path, base: Path, own: str | None, filter: Filter) -> Iterator[_Found | Skipped]:
    """Does the same as `_below`, by names alone: looking into each file would be a request."""
    inner = f"{own}{os.sep}" if own is not None and own != os.path.realpath(folder) else None
    try:
        for path in storage.walk(folder):
            if inner is not None and os.path.realpath(path).startswith(inner):
                yield Skipped(path, "in the output folder")
            elif not any(part.startswith(".") for part in path.relative_to(folder).parts):
                picture = (
                    _Found(path, root, is_named=False) if by_suffix(path.suffix) else Skipped(path, "not a picture")
                )
                yield filter.file(path, base) or picture
    except OSError as error:
        yield _Found(folder, root, f"{folder}: the folder cannot be read ({error.strerror}).")


def _classify(path: Path, root: Path, is_named: bool = False) -> _Found | Skipped:
    """Returns a file as found if it looks like a picture or cannot be read, which fails later; else as skipped."""
    if os.path.exists(path) and not os.path.isfile(path):
        return Skipped(path, "not a file")
    return _Found(path, root, is_named=is_named) if looks_like_picture(path) else Skipped(path, "not a picture")


def _earlier_results(found: list[_Found], skipped: list[Skipped], naming: Naming) -> set[_Found]:
    """Returns the files named like the result of another: a second run must not enlarge what the first has made."""
    paths = [item.path for item in found] + [item.path for item in skipped if item.reason == EXCLUDED]
    sources = {without_suffix(path) for path in paths}
    return {item for item in found if not sources.isdisjoint(naming.sources_of(item.path))}


def _make_job(item: _Found, output: Path | None, options: EncodeOptions, naming: Naming) -> Job[Path]:
    """Returns the job whose result lies beside its source, or at the same place in the output folder. The format is by
    default the source's."""
    format, folder = options.format or format_of(item.path, options.all_frames), item.path.parent
    if output is not None:
        folder = output / os.path.relpath(folder, item.root)
    options = replace(options, format=format, all_frames=options.all_frames and format.frames is not None)
    problem = item.problem or _mismatch(item.path, format)
    return Job(item.path, folder / naming.name(item.path, format), options, problem)


def _tell_apart(jobs: list[Job[Path]]) -> list[Job[Path]]:
    """Returns the jobs; where `a.gif` and `a.png` would both become `a.png`, `a.gif` becomes `a.gif.png` instead."""
    taken = Counter(os.path.realpath(job.output) for job in jobs)
    result = []
    for job in jobs:
        path, suffix = job.output, job.output.suffix
        if taken[os.path.realpath(path)] > 1 and job.source.suffix.lower() != suffix.lower():
            path = path.with_name(f"{path.name.removesuffix(suffix)}{job.source.suffix}{suffix}")
        result.append(replace(job, output=path))
    return result


def _refuse_losses(jobs: list[Job[Path]], alternative: str) -> list[Job[Path]]:
    """Returns the jobs; those that would become one file have a problem. Raises PlanError when all of them have one,
    and when a result would replace a source: its own, or one still to be read.

    `alternative` ends the advice with what else the user may change.
    """
    sources = {os.path.realpath(job.source): job.source for job in jobs}
    places = [os.path.realpath(job.output) for job in jobs]
    makers: dict[str, list[Path]] = {}
    for job, place in zip(jobs, places, strict=True):
        makers.setdefault(place, []).append(job.source)
        if place in sources and (isinstance(job.output, Remote) or os.path.lexists(place)):
            which = "its own result" if sources[place] == job.source else f"the result of {job.source}"
            raise PlanError(
                f"{sources[place]}: it would be overwritten by {which}. Choose another folder{alternative}."
            )
    result = []
    for job, place in zip(jobs, places, strict=True):
        if len(makers[place]) > 1:
            others = (source for source in makers[place] if source != job.source)
            pair = " and ".join(sorted((str(job.source), str(next(others)))))
            problem = f"{pair}: both would become {job.output}. Rename one of them{alternative}."
            result.append(replace(job, problem=problem))
        else:
            result.append(job)
    if all(job.problem is not None and len(makers[place]) > 1 for job, place in zip(result, places, strict=True)):
        raise PlanError(str(result[0].problem))
    return result
