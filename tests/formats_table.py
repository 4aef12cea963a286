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

## Documents

A `.cbz` needs no option: each of its pictures becomes a larger one under the same name, in the same order (`.png` is
put in the place of a suffix whose format cannot be written), and all other entries, such as ComicInfo.xml, are kept
byte for byte. An archive is refused that is encrypted, that would grow more than 200 times when it is unpacked, or
whose names lead out of it.

A `.pdf` (with `pip install '.[pdf]'`) becomes one whose pages have the same size, each a single JPEG of `--quality`, or
a lossless picture with `--lossless`. A page that is one picture is taken in the resolution of that. Any other page is
drawn: with text or drawings on a picture that fills it in that picture's resolution, 150 dots an inch at least; else in
that of its finest picture, 150 to 300. Text that can be searched is not kept, which is said; nor are links and
bookmarks.

Documents are enlarged page by page and resumed as animations are, see below; a page that is damaged fails the whole,
with its name. In folders CBZ files are taken like pictures, and PDF files, which may be anything, only with
`--all-frames`.

## All frames, all pages

With `--all-frames` (`EncodeOptions(all_frames=True)`, `Upscaler.enlarge_file`) an animation becomes an animation, in
its own format or another one of GIF, WebP, APNG and AVIF, and a TIFF of many pages one of as many. A GIF then stays a
GIF. Each frame is enlarged as it would be alone, composed as viewers show it.

- Kept of an animation: every frame, its duration (GIF counts hundredths of a second, AVIF whole milliseconds, at least
  one), how often it is shown (AVIF is shown for ever), transparency (GIF: all or nothing), and metadata and colour
  profile of the first frame where the format holds them. Frames are read with 8 bits.
- Not kept: how a frame is blended with the one before and disposed of. Frames are written as the rectangle in which
  they differ from the one before, which replaces what is there; a GIF with transparency as whole frames, each cleared
  before the next. Viewers show the same. The still picture of an APNG for viewers without animation is left out.
- Kept of a page: size, resolution, metadata, profile, 16 bits, and the kind of compression (none, LZW, PackBits, JPEG,
  Zstandard; all others, and pages of one bit, become deflate), unless `--compression` or `--lossless` asks for another.

Frames that are done are kept as files in `.upscaler/frames` beside the result until all are: no more than two are in
memory, and a run that was killed goes on with the next one and ends in the same bytes.
"""

METADATA = {
    "EXIF": "exif",
    "XMP": "xmp",
    "IPTC": "iptc",
    "resolution": "dpi",
    "texts": "comments",
    "gain map": "gain_map",
}
HEADINGS = ("format", "suffixes", "read", "written", "`--all-frames`", "16 bits", "grey", "alpha", "profile", *METADATA)


def table() -> str:
    """Returns the whole page."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(_cells, FORMATS)]
    return INTRODUCTION + "".join(f"| {' | '.join(line)} |\n" for line in lines) + NOTES


def _cells(format: Format) -> list[str]:
    needs = {"HEIF": "`[heic]`", "RAW": "`[raw]`", "JXL": "`[jxl]`", "PDF": "`[pdf]`"}.get(format.name, "yes")
    first = [format.name, " ".join(format.suffixes), needs]
    frames = format.frames or ""
    if format.is_document:
        return [*first, needs, frames, *[""] * (len(HEADINGS) - 5)]
    if format.writer is None:
        return [*first, f"as {format.result_format}", frames, *[""] * (len(HEADINGS) - 5)]
    deep = "12" if format.name == "AVIF" else "yes"
    kept = (format.writes_grey, format.writes_alpha, format.writes_profile)
    return [
        *first,
        needs,
        frames,
        deep if format.writes_16_bits else "",
        *("yes" if each else "" for each in kept),
        *("yes" if field in format.metadata else "" for field in METADATA.values()),
    ]


if __name__ == "__main__":
    FILE.write_text(table(), encoding="utf-8")
