"""A picture on its way: when it is over, and the sentence that says why it failed."""

from __future__ import annotations

import errno
import os
import pickle
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import pyvips

from upscaler import OutputError, Picture, PictureError
from upscaler.inputs.discover import Job
from upscaler.jobs.task import OVERHEAD, Task
from upscaler.text2image.parameters import GenerationParameters

JOB = Job(Path("in/a.png"), Path("out/a.png"))


def test_a_task_that_is_over_holds_no_pixels() -> None:
    task = Task(JOB, picture=Picture.from_array(np.zeros((10, 10, 3), np.uint8)))
    assert (task.is_over, task.bytes) == (False, OVERHEAD + 300)
    for over in (task.end(is_made=True), task.end(skipped="too large"), task.fail(PictureError("torn"))):
        assert (over.is_over, over.bytes) == (True, OVERHEAD)
    assert task.fail(PictureError("torn")).error == "in/a.png: torn"


def test_a_task_can_be_sent_to_another_process() -> None:
    task = Task(Job(GenerationParameters("black // white"), Path("a.png")), settings="{}")
    assert pickle.loads(pickle.dumps(task)) == task


def test_failures_name_the_source_unless_they_name_a_file() -> None:
    assert Task(JOB).fail(OutputError("out/a.png: exists.")).error == "out/a.png: exists."
    assert Task(JOB).fail(OutputError("in/a.png: torn.")).error == "in/a.png: torn."
    assert (
        Task(JOB).fail(OSError(5, "Input/output error", "x.safetensors")).error == "x.safetensors: Input/output error."
    )
    prompt = Job(GenerationParameters("a // b"), Path("out/a.png"))
    assert Task(prompt).fail(PictureError("torn.")).error == "a // b: torn."


def test_a_full_disk_is_no_failure_of_one_picture() -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wrapped = OutputError("out/a.png: cannot be written")
    wrapped.__cause__ = full
    by_libvips = OutputError("out/a.png: cannot be written as PNG (target: write error).")
    by_libvips.__cause__ = pyvips.Error(
        "unable to call", "target: write error\nsystem error: No space left on device\n"
    )
    by_sqlite = OutputError("out/.upscaler: the manifest in there cannot be used.")
    by_sqlite.__cause__ = sqlite3.OperationalError("database or disk is full")
    quota = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    for problem in (full, wrapped, by_libvips, by_sqlite, quota):
        with pytest.raises(OutputError, match=r"^out/a\.png: the disk is full\. Make room"):
            Task(JOB).fail(problem)
