"""Writes the table of formats in the documentation: `python -m tests.formats_table` after a row has changed."""

from __future__ import annotations

from pathlib import Path

from upscaler.codecs import FORMATS, Format

FILE = Path(__file__).parent.parent / "docs/formats.md"

INTRODUCTION = """# Formats

What is read and written, and what a written file keeps of its picture. This page is generated from
[the table in the code](../upscaler/codecs/formats.py) by `python -m tests.formats_table`, and a test compares both.

"""

NOTES = """
Formats are known by content; the suffix only decides where a file has no signature (TGA), and for cameras' raw files.
Where there is no place for it, grey becomes RGB, 16 bits become 8, transparent pictures are laid on white, and colours
become sRGB; a profile of grey pixels is kept where grey is. TIFF keeps the descriptive tags of an EXIF block, the
camera's and the GPS's; the others keep it byte for byte.

Of several frames or pages the first is read, as viewers show it. What is left out is said in a warning, which stands
in the report of a job, too: further frames, the film of a motion photo, a gain map where it cannot be written, a high
dynamic range, channels that are neither colour nor transparency.
"""

METADATA = {
    "EXIF": "exif",
    "XMP": "xmp",
    "IPTC": "iptc",
    "resolution": "dpi",
    "texts": "comments",
    "gain map": "gain_map",
}
HEADINGS = ("format", "suffixes", "read", "written", "16 bits", "grey", "alpha", "profile", *METADATA)


def table() -> str:
    """Returns the whole page."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, FORMATS)]
    return INTRODUCTION + "".join(f"| {' | '.join(line)} |\n" for line in lines) + NOTES


def _cells(format: Format) -> list[str]:
    needs = {"HEIF": "`[heic]`", "RAW": "`[raw]`", "JXL": "`[jxl]`"}.get(format.name, "yes")
    first = [format.name, " ".join(format.suffixes), needs]
    if format.writer is None:
        return [*first, f"as {format.result_format}", *[""] * (len(HEADINGS) - 4)]
    deep = "12" if format.name == "AVIF" else "yes"
    kept = (format.writes_grey, format.writes_alpha, format.writes_profile)
    return [
        *first,
        needs,
        deep if format.writes_16_bits else "",
        *("yes" if each else "" for each in kept),
        *("yes" if field in format.metadata else "" for field in METADATA.values()),
    ]


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
