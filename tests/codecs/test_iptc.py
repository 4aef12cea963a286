"""IPTC records in and out of Photoshop's resources."""

from __future__ import annotations

import pytest

from upscaler.codecs import iptc

from . import blocks


def test_records_are_found_among_other_resources() -> None:
    resources = blocks.photoshop(blocks.iptc())
    assert iptc.find_records(resources) == blocks.iptc()
    assert iptc.find_records(resources.removeprefix(iptc.HEADER)) == blocks.iptc()


@pytest.mark.parametrize("records", [b"\x1c\2\5\0\1a", b"\x1c\2\5\0\2ab"], ids=["even", "odd"])
def test_records_come_back_as_they_went_in(records: bytes) -> None:
    resources = iptc.make_resources(records)
    assert len(resources) % 2 == 0
    assert iptc.find_records(resources) == records


@pytest.mark.parametrize("resources", [b"", b"8BIM", iptc.HEADER, iptc.HEADER + b"8BIM\x04\x04", b"garbage" * 9])
def test_where_there_are_none_there_are_none(resources: bytes) -> None:
    assert iptc.find_records(resources) is None


def test_broken_resources_never_raise() -> None:
    resources = blocks.photoshop(blocks.iptc())
    for end in range(len(resources)):
        iptc.find_records(resources[:end])
    for at in range(len(resources)):
        iptc.find_records(resources[:at] + b"\xff" + resources[at + 1 :])
