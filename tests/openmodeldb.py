"""Writes the table of OpenModelDB's networks, `models/openmodeldb.csv`: `python -m tests.openmodeldb FOLDER`.

FOLDER is `data` of a checkout of the repository OpenModelDB/open-model-database. The table holds facts only, no
descriptions. Models that are published in ONNX form alone, which is not read here, are left out.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

from upscaler.catalog.openmodeldb import COLUMNS

FILE = Path(__file__).parent.parent / "models/openmodeldb.csv"

DIRECT = re.compile(
    r"github\.com|raw\.githubusercontent\.com|huggingface\.co|f002\.backblazeb2\.com"
    r"|objectstorage\.[\w-]+\.oraclecloud\.com"
)
"""Hosts that answer an address with the file itself, not with a page."""


def write_table(folder: Path, file: TextIO) -> None:
    """Writes the table of the models that a folder of OpenModelDB's data describes."""
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(_rows(folder))


def _rows(folder: Path) -> Iterator[tuple[object, ...]]:
    users, architectures = (_read(folder / f"{name}.json") for name in ("users", "architectures"))
    for path in sorted((folder / "models").glob("*.json"), key=lambda path: path.stem.lower()):
        model = _read(path)
        files = [each for each in model["resources"] if each["platform"] == "pytorch"]
        if not files:
            continue
        file = min(files, key=lambda each: each["type"] != "safetensors")
        authors = [model["author"]] if isinstance(model["author"], str) else model["author"]
        yield (
            path.stem,
            model["name"],
            model["scale"],
            architectures[model["architecture"]]["name"],
            " ".join(model["tags"]),
            model["license"] or "",
            ", ".join(users[author]["name"] for author in authors),
            file["size"],
            file["sha256"],
            f".{file['type']}",
            " ".join(filter(None, map(_direct, file["urls"]))),
        )


def _direct(url: str) -> str:
    """Returns the address without its query if it leads straight to a file of a network; else an empty text."""
    parts = urlsplit(url)
    is_file = parts.path.endswith((".pth", ".safetensors")) and "/blob/" not in parts.path
    is_direct = is_file and parts.scheme == "https" and DIRECT.fullmatch(parts.netloc)
    return f"https://{parts.netloc}{quote(parts.path, safe='/%+')}" if is_direct else ""


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    with FILE.open("w", encoding="utf-8", newline="") as file:
        write_table(Path(sys.argv[1]), file)
