"""The report of a job: counts, and a row for every picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from upscaler import OutputError, PlanError, Size
from upscaler.inputs.filters import Skipped
from upscaler.jobs import report
from upscaler.jobs.outcome import Outcome
from upscaler.text2image.parameters import GenerationParameters

OUTCOMES = [
    Outcome(
        Path("a.png"),
        Path("out/a.png"),
        None,
        Size(4, 2),
        1.23456,
        0.98765,
        0.12345,
        warnings=("a.png: one.", "a.png: two."),
    ),
    Outcome(Path("b.png"), Path("out/b.png"), "b.png: torn.", None, 0.5),
    Outcome(Path("c.png"), Path("out/c.png"), None, Size(4, 2), 2.0, was_done=True),
    Outcome(GenerationParameters("x // y, z"), Path("out/d.png"), None, None, 0.0, skipped="too large"),
]


def test_rows_are_the_same_in_both_forms(tmp_path: Path) -> None:
    for name in ("a.json", "a.csv"):
        report.write(tmp_path / name, OUTCOMES, [Skipped(Path("notes.txt"), "not a picture")])
    rows = json.loads((tmp_path / "a.json").read_text())
    assert [row["outcome"] for row in rows] == ["made", "failed", "done before", "skipped", "skipped"]
    assert [row["source"] for row in rows] == ["a.png", "b.png", "c.png", "x // y, z", "notes.txt"]
    assert (rows[0]["width"], rows[0]["height"], rows[0]["seconds"], rows[0]["lr_rmse"]) == (4, 2, 1.235, 0.988)
    assert [row["denoise"] for row in rows] == [0.123, "", "", "", ""]
    assert [row["reason"] for row in rows[1:]] == ["b.png: torn.", "", "too large", "not a picture"]
    assert [row["warnings"] for row in rows] == ["a.png: one. a.png: two.", "", "", "", ""]
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [{name: str(value) for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("begin", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_cells_of_a_table_are_not_computed_by_spreadsheets(tmp_path: Path, begin: str) -> None:
    outcome = Outcome(Path(f"{begin}.png"), Path(f"{begin}.png"), f"{begin}.png: torn.", None, 0.5)
    report.write(tmp_path / "a.csv", [outcome], [Skipped(Path(begin), begin)])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0]["source"], rows[0]["output"], rows[0]["reason"]] == [
        f"'{begin}.png",
        f"'{begin}.png",
        f"'{begin}.png: torn.",
    ]
    assert [rows[1]["source"], rows[1]["reason"]] == [f"'{begin}", f"'{begin}"]
    assert rows[0]["seconds"] == "0.5"


def test_summary_counts_each_kind() -> None:
    assert report.summary(OUTCOMES, 2, 3.0) == "1 made, 1 done before, 1 failed, 3 skipped; 3.0 s"
    assert report.summary(OUTCOMES[:1] * 2, 0, 3.0) == "2 made; 3.0 s, 1.50 s a picture"


def test_a_report_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"report=a\.txt: its name must end in \.json or \.csv"):
        report.check(Path("a.txt"))
    with pytest.raises(PlanError, match="it cannot be written there"):
        report.check(tmp_path / "missing/a.csv")
    (tmp_path / "a.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(PlanError, match="Name an ordinary file in a folder"):
        report.check(tmp_path / "a.csv")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="the report cannot be written"):
        report.write(tmp_path / "file/a.csv", OUTCOMES, [])
