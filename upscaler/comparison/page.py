"""Writes a comparison as one page of HTML that holds all of its pictures and asks no host for anything."""

from __future__ import annotations

import base64
import html
import io
import json
from importlib.resources import files
from pathlib import Path
from string import Template

from ..codecs.encode import EXISTS
from ..errors import OutputError
from ..files import obstacle
from .compare import Cell, Comparison, describe_time
from .sheet import lay_on_white


def make_page(comparison: Comparison) -> str:
    """Returns the page: a slider between any two columns, a choice of parts, and a table of what was measured."""
    title = f"{comparison.name}, {comparison.size}, enlarged {comparison.scale:g} times"
    data = {
        "columns": [column.label for column in comparison.columns],
        "parts": [
            {
                "label": f"{part.size} at {part.x},{part.y}",
                "width": comparison.columns[0].cells[index].picture.size.width,
                "height": comparison.columns[0].cells[index].picture.size.height,
                "pictures": [_data_uri(column.cells[index]) for column in comparison.columns],
                "notes": ["; ".join(filter(None, column.describe(index))) for column in comparison.columns],
            }
            for index, part in enumerate(comparison.parts)
        ],
    }
    rows = [_row(column.label, column.cells, column.whole_seconds) for column in comparison.columns]
    template = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    # In a script nothing but an end of the script is special; JSON may hold any other text.
    return template.substitute(
        title=html.escape(title), rows="\n".join(rows), data=json.dumps(data).replace("<", "\\u003c")
    )


def check_page(path: Path, overwrite: bool) -> None:
    """Raises OutputError if no page can be written there, which is worth knowing before anything is computed."""
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder. Name a file.")
    if what := obstacle(path):
        raise OutputError(f"{path}: this is {what}, not a file. Name a file.")
    if not overwrite and path.exists():
        raise OutputError(f"{path}: {EXISTS}")


def _row(label: str, cells: tuple[Cell, ...], whole_seconds: float | None) -> str:
    """Returns a row of the table: name, time for all parts, about that of the whole, the mean LR RMSE."""
    errors = [cell.lr_rmse for cell in cells if cell.lr_rmse is not None]
    values = ["plain filter", "", ""]
    if whole_seconds is not None:
        values = [describe_time(sum(cell.seconds for cell in cells)), describe_time(whole_seconds), ""]
    if errors:
        values[2] = f"{sum(errors) / len(errors):.1f}"
    return f'<tr><th scope="row">{html.escape(label)}</th>{"".join(f"<td>{value}</td>" for value in values)}</tr>'


def _data_uri(cell: Cell) -> str:
    """Returns a picture as an address that holds it, without loss."""
    file = io.BytesIO()
    lay_on_white(cell.picture).save(file, "WEBP", lossless=True, method=4)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
