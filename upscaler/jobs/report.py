"""Reports on a job: counts of its outcomes, and a file with a row for every picture."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import DISK_FULL, OutputError, PlanError, lacks_room
from ..files import atomic_write, obstacle
from ..inputs.filters import Skipped
from .outcome import Outcome

COLUMNS = (
    "source",
    "output",
    "outcome",
    "width",
    "height",
    "frames",
    "seconds",
    "backend",
    "device",
    "precision",
    "lr_rmse",
    "denoise",
    "faces",
    "restored",
    "reason",
    "warnings",
)

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that spreadsheets take for something to compute, be it the name of a file."""

KINDS = ("made", "done before", "failed", "skipped")


def check(path: Path) -> None:
    """Raises PlanError when no report can be written to that path; called before the work is done."""
    if path.suffix.lower() not in (".json", ".csv"):
        raise PlanError("its name must end in .json or .csv.", argument="report", value=path)
    if path.is_dir() or obstacle(path) or not path.absolute().parent.is_dir():
        message = "it cannot be written there. Name an ordinary file in a folder that exists."
        raise PlanError(message, argument="report", value=path)


def kind(outcome: Outcome) -> str:
    """Returns the one of KINDS that an outcome is."""
    if outcome.error is not None:
        return "failed"
    if outcome.skipped is not None:
        return "skipped"
    return "done before" if outcome.was_done else "made"


def summary(outcomes: Sequence[Outcome], skipped: int, seconds: float) -> str:
    """Returns one line: how many of each kind, and the time in all and for each picture that was made."""
    counts = Counter(map(kind, outcomes))
    counts["skipped"] += skipped
    said = ", ".join(f"{counts[name]} {name}" for name in KINDS if counts[name])
    each = f", {seconds / counts['made']:.2f} s a picture" if counts["made"] > 1 else ""
    return f"{said}; {seconds:.1f} s{each}"


def write(path: Path, outcomes: Sequence[Outcome], skipped: Sequence[Skipped]) -> None:
    """Writes a row for every picture, as JSON or CSV by the suffix; whole, or not at all. Raises OutputError."""
    rows = [_row(outcome) for outcome in outcomes]
    blank: dict[str, object] = dict.fromkeys(COLUMNS, "")
    rows += [{**blank, "source": str(item.path), "outcome": "skipped", "reason": item.reason} for item in skipped]
    text = io.StringIO(newline="")
    if path.suffix.lower() == ".csv":
        table = csv.DictWriter(text, COLUMNS)
        table.writeheader()
        table.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    else:
        json.dump(rows, text, indent=1)
    content = text.getvalue().encode("utf-8", "backslashreplace")
    try:
        atomic_write(path, lambda temporary: temporary.write_bytes(content))
    except OSError as error:
        message = f"the report cannot be written ({error.strerror})."
        raise OutputError(f"{path}: {DISK_FULL if lacks_room(error) else message}") from error


def _cell(value: object) -> object:
    """Returns a value as a cell of a table: a text that spreadsheets would compute begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


def _row(outcome: Outcome) -> dict[str, object]:
    size = outcome.size
    return {
        "source": str(outcome.source),
        "output": str(outcome.output),
        "outcome": kind(outcome),
        "width": size.width if size else "",
        "height": size.height if size else "",
        "frames": outcome.frames or "",
        "seconds": round(outcome.seconds, 3),
        "backend": outcome.estimate.engine.backend if outcome.estimate else "",
        "lr_rmse": "" if outcome.lr_rmse is None else round(outcome.lr_rmse, 3),
        "denoise": "" if outcome.denoise is None else round(outcome.denoise, 3),
        "faces": "" if outcome.faces is None else outcome.faces[0],
        "restored": "" if outcome.faces is None else outcome.faces[1],
        "device": outcome.device or "",
        "precision": outcome.precision or "",
        "reason": outcome.error or outcome.skipped or "",
        "warnings": " ".join(outcome.warnings),
    }
