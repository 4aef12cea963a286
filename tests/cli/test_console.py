"""Messages and progress bars, as a terminal shows them."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from upscaler.cli import console


def screen(written: str) -> list[str]:
    """What is left on a terminal after all that was written, without blank ends."""
    rows, row, column = [""], 0, 0
    for letter in written.replace("\x1b[A", "\x00"):
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
        elif letter == "\x00":
            row = max(row - 1, 0)
        else:
            rows += [""] * (row + 1 - len(rows))
            line = rows[row].ljust(column)
            rows[row] = line[:column] + letter + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in rows]


def be_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


def test_bars_leave_a_clean_screen_and_lines_between_them_are_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_a_terminal(monkeypatch)
    with closing(console.Bars(["a.jpg", "b.jpg"], True)) as shown:
        for name in ("a", "b"):
            for done in range(5):
                shown.tiles(f"{name}.jpg", done, 4)
                if done == 2:
                    console.say(f"warning: {name}")
            shown.picture_done()
            console.say(f"{name} done")
    written = capsys.readouterr().err
    assert "\rall" in written
    assert "\ra.jpg   0% |" in written
    assert " of 4 tiles, " in written
    assert [line for line in screen(written) if line] == ["warning: a", "a done", "warning: b", "b done"]


def test_bar_of_the_run_counts_parts_of_pictures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    be_a_terminal(monkeypatch)
    with closing(console.Bars(["a.jpg", "b.jpg"], True)) as shown:
        shown.picture_done()
        shown._run.start_t -= 60
        shown._run.mininterval = 0
        shown.tiles("b.jpg", 1, 2)
        shown.tiles("b.jpg", 2, 4)
    assert "75% |" in capsys.readouterr().err


def test_without_a_terminal_a_run_has_one_bar_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(console.Bars(["a.jpg", "b.jpg"], True)) as shown:
        shown.tiles("b.jpg", 1, 2)
        shown.picture_done()
    written = capsys.readouterr().err
    assert "\x1b" not in written
    assert "tiles" not in written


def test_invisible_bars_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(console.Bars(["a.jpg", "b.jpg"], False)) as shown:
        shown.tiles("b.jpg", 1, 2)
        shown.picture_done()
    assert capsys.readouterr().err == ""


def test_long_and_odd_names_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(console.Bars(["x\x1b[2J\n" + "y" * 99], True)) as shown:
        shown.tiles("x\x1b[2J\n" + "y" * 99, 0, 1)
    written = capsys.readouterr().err
    assert "x\\x1b[2J\\nyy" in written
    assert "y…" in written


def test_message_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("a\x1b[2J\nb\udcff")
    assert capsys.readouterr().err == "a\\x1b[2J\\nb\\udcff\n"


def test_terminal_has_bars_unless_quiet(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    be_a_terminal(monkeypatch)
    assert "\ra.jpg   0% |" in run("a.jpg", "-m", "lanczos").err
    assert "|" not in run("b.png", "-m", "lanczos", "-q").err
