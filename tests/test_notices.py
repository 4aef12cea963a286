"""Warnings about pictures, logged and collected."""

from __future__ import annotations

import logging
import threading

import pytest

from upscaler.notices import collect, warn


def test_warnings_are_logged_and_collected_around_them(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "upscaler"), collect() as outer:
        warn("%s: %d frames.", "a.gif", 3)
        with collect() as inner:
            warn("b")
    warn("c")
    assert (outer, inner) == (["a.gif: 3 frames."], ["b"])
    assert [record.getMessage() for record in caplog.records] == ["a.gif: 3 frames.", "b", "c"]


def test_warnings_are_collected_when_none_is_shown() -> None:
    log = logging.getLogger("upscaler")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with collect() as texts:
            warn("quiet")
    finally:
        log.setLevel(before)
    assert texts == ["quiet"]


def test_threads_do_not_collect_each_other_s_warnings() -> None:
    with collect() as texts:
        other = threading.Thread(target=warn, args=("elsewhere",))
        other.start()
        other.join()
    assert texts == []
