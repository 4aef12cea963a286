"""Metadata put right for a new size: XMP as text, EXIF by `exif`, the rest as it was."""

from __future__ import annotations

import pytest

from upscaler.picture import Metadata
from upscaler.tiling import Region, Size

from ..codecs import blocks

NEW = Size(240, 160)


def corrected(xmp: str, size: Size = NEW) -> str:
    result = Metadata(xmp=xmp.encode()).correct(size).xmp
    assert result is not None
    return result.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('tiff:Orientation="6"', 'tiff:Orientation="1"'),
        ("tiff:Orientation='8'", "tiff:Orientation='1'"),
        ('tiff:Orientation = "6"', 'tiff:Orientation = "1"'),
        ("<tiff:Orientation>3</tiff:Orientation>", "<tiff:Orientation>1</tiff:Orientation>"),
        ('tiff:ImageWidth="60" tiff:ImageLength="40"', 'tiff:ImageWidth="240" tiff:ImageLength="160"'),
        ("<exif:PixelXDimension>60</exif:PixelXDimension>", "<exif:PixelXDimension>240</exif:PixelXDimension>"),
        ("<exif:PixelYDimension>40</exif:PixelYDimension>", "<exif:PixelYDimension>160</exif:PixelYDimension>"),
        ("<a/><xmp:Thumbnails>\n<rdf:Alt/>\n</xmp:Thumbnails><b/>", "<a/><b/>"),
        ('xmp:Rating="5" my-tiff:Orientations="6"', 'xmp:Rating="5" my-tiff:Orientations="6"'),
        ("<dc:title>tiff:Orientation</dc:title>", "<dc:title>tiff:Orientation</dc:title>"),
        ("Grüße 漢字", "Grüße 漢字"),
    ],
)
def test_xmp_changes_only_where_the_pixels_did(before: str, after: str) -> None:
    assert corrected(before) == after


def test_packet_of_a_camera_is_corrected_twice_over_to_the_same() -> None:
    once = corrected(blocks.xmp(60, 40, 6).decode())
    assert 'tiff:Orientation="1"' in once
    assert "Thumbnails" not in once
    assert corrected(once) == once


PANORAMA = (
    'GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="{}" GPano:FullPanoHeightPixels=\'{}\' '
    "<GPano:CroppedAreaImageWidthPixels>{}</GPano:CroppedAreaImageWidthPixels> "
    'GPano:CroppedAreaImageHeightPixels="{}" GPano:CroppedAreaLeftPixels="{}" GPano:CroppedAreaTopPixels="{}" '
    'GPano:InitialViewHeadingDegrees="90"'
)


def test_pixels_of_a_panorama_are_those_of_the_result() -> None:
    metadata = Metadata(xmp=PANORAMA.format(64, 48, 60, 40, 2, 4).encode(), size=Size(60, 40))
    larger = metadata.correct(NEW)
    assert larger.xmp == PANORAMA.format(256, 192, 240, 160, 8, 16).encode()
    assert larger.correct(NEW).xmp == larger.xmp
    assert larger.correct(Size(60, 40)).xmp == metadata.xmp


def test_pixels_of_a_panorama_follow_a_crop() -> None:
    metadata = Metadata(xmp=PANORAMA.format(64, 48, 60, 40, 2, 4).encode(), size=Size(60, 40))
    part = metadata.crop_to(Region(10, 5, 30, 20), Size(60, 40)).correct(Size(60, 40))
    assert part.xmp == PANORAMA.format(128, 96, 60, 40, 24, 18).encode()
    assert part.correct(Size(60, 40)).xmp == part.xmp


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '<a GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" GCamera:MicroVideoOffset="1234" b="2"/>',
            '<a b="2"/>',
        ),
        ("<a><GCamera:MotionPhoto>1</GCamera:MotionPhoto><b/></a>", "<a><b/></a>"),
        ("<a hdrgm:Version='1.0' c=\"d\"/>", '<a c="d"/>'),
        (
            '<a/><Container:Directory rdf:x="y">\n<rdf:li Item:Length="5"/>\n</Container:Directory><b/>',
            "<a/><b/>",
        ),
        ("<exif:SubjectArea><rdf:Seq><rdf:li>1</rdf:li></rdf:Seq></exif:SubjectArea>", ""),
        ('<a exif:FocalPlaneXResolution="3000/1" exif:FNumber="2"/>', '<a exif:FNumber="2"/>'),
    ],
)
def test_what_points_to_parts_of_the_old_file_goes(before: str, after: str) -> None:
    assert corrected(before) == after


def test_nothing_comes_of_nothing() -> None:
    assert Metadata().correct(Size(6, 4)) == Metadata()


def test_rest_is_kept() -> None:
    metadata = Metadata(iptc=blocks.iptc(), dpi=(300, 150), comments={"parameters": "a cat"})
    assert metadata.correct(Size(6, 4)) == metadata


def test_exif_is_corrected_and_garbage_left_out() -> None:
    assert Metadata(exif=blocks.exif(60, 40, 6)).correct(Size(6, 4)).exif is not None
    assert Metadata(exif=b"garbage" * 9).correct(Size(6, 4)).exif is None
