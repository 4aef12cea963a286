"""From what the user typed to pairs of source and output: folders, globs, names, formats."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ..codecs import Format, Output, by_suffix, looks_like_picture, sniff, writable
from ..errors import PictureError, PlanError


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to be made."""

    source: Path
    output: Output


@dataclass(frozen=True, slots=True)
class Jobs:
    """All pictures of a run, and the files of its folders that are none."""

    jobs: tuple[Job, ...]
    skipped: tuple[Path, ...]


def collect(inputs: Iterable[str], output: Path | None, template: Output, tag: str) -> Jobs:
    """The jobs for files, folders (searched recursively) and glob patterns.

    `output` is a file for a single picture, else a folder in which the tree of each input folder is mirrored; None
    writes beside each source, with `tag` after its name. `template` says how files are written. Hidden files are left
    out. Raises PlanError when there is nothing to do, or two sources would become one file; PictureError when an input
    does not exist.
    """
    found: list[tuple[Path, Path]] = []
    skipped: list[Path] = []
    several = False
    for text in inputs:
        for path in _expand(text):
            if path.is_dir():
                several = True
                for file in _files_below(path, output):
                    (found.append((file, path)) if looks_like_picture(file) else skipped.append(file))
            else:
                found.append((path, path.parent))
    if not found:
        raise PlanError(f"{', '.join(inputs)}: no picture in there.")
    to_file = output is not None and not several and len(found) == 1 and not output.is_dir() and output.suffix != ""
    if output is not None and not to_file and output.is_file():
        raise PlanError(f"{output}: is a file, but there are {len(found)} pictures. Name a folder.")
    if output is not None and not to_file and by_suffix(output.suffix) and not output.is_dir():
        raise PlanError(f"{output}: names one file, but there are {len(found)} pictures. Name a folder.")
    jobs = []
    for source, root in found:
        if output is not None and to_file:
            jobs.append(Job(source, replace(template, path=output)))
            continue
        format = template.format or _format_of(source)
        suffix = source.suffix if source.suffix.lower() in format.suffixes else format.suffixes[0]
        if output is None:
            path = source.with_name(f"{source.stem}{tag}{suffix}")
        else:
            path = output / source.relative_to(root).with_suffix(suffix)
        jobs.append(Job(source, replace(template, path=path, format=format)))
    _refuse_clashes(jobs)
    return Jobs(tuple(jobs), tuple(skipped))


def _expand(text: str) -> list[Path]:
    path = Path(text)
    if path.exists() or not glob.has_magic(text):
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]
    if not matches:
        raise PictureError(f"{text}: matches no file.")
    return matches


def _files_below(folder: Path, output: Path | None) -> Iterator[Path]:
    """Every file, in order of name, without hidden ones and without the output folder."""
    own = None if output is None else output.resolve()
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and Path(place, name).resolve() != own)
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(place, name)


def _format_of(source: Path) -> Format:
    """The source's own format by content, else by name, if it can be written."""
    try:
        with source.open("rb") as file:
            return writable(sniff(file.read(64)) or by_suffix(source.suffix))
    except OSError:
        return writable(by_suffix(source.suffix))


def _refuse_clashes(jobs: list[Job]) -> None:
    sources: dict[Path, Path] = {}
    for job in jobs:
        other = sources.setdefault(job.output.path, job.source)
        if other != job.source:
            raise PlanError(f"{other} and {job.source}: both would become {job.output.path}. Rename one of them.")
        if job.output.path.exists() and job.output.path.resolve() == job.source.resolve():
            raise PlanError(f"{job.source}: would be overwritten by its own result. Choose another folder.")
