"""What a worker tells: of each task as soon as it is over, and of what ends the job."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from upscaler import DeviceLost, Picture, PlanError, Target
from upscaler.inputs.discover import Job
from upscaler.jobs.outcome import SelectionRules
from upscaler.jobs.stages import FileStages
from upscaler.jobs.task import Task
from upscaler.jobs.workers import worker
from upscaler.jobs.workers.messages import Failed, Finished, Message, Ready
from upscaler.pipeline import Pipeline, PipelineOptions


@pytest.fixture(autouse=True)
def _logging_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_log_to", lambda *_: None)


def stages(parts: Path, **options: object) -> FileStages:
    pipeline = Pipeline("lanczos", PipelineOptions(**options))  # type: ignore[arg-type]
    return FileStages(pipeline=pipeline, target=Target(scale=2), parts=parts, reading={}, rules=SelectionRules())


def test_a_task_is_told_of_while_the_next_is_not_there(tmp_path: Path) -> None:
    """It is over, with a part and without pixels; the worker waits for tasks meanwhile."""
    Picture.from_array(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    told = threading.Event()

    def tasks() -> Iterator[Task | None]:
        yield Task(Job(tmp_path / "a.png", tmp_path / "out.png"), number=7)
        yield None
        assert told.wait(60), "nothing is told before the next task comes"

    serving = threading.Thread(target=worker.serve, args=(stages(tmp_path / "parts"), tasks(), 30, messages.put))
    serving.start()
    assert messages.get(timeout=60) == Ready()
    finished = messages.get(timeout=60)
    told.set()
    serving.join()
    assert isinstance(finished, Finished)
    task = finished.task
    assert (task.number, task.is_made, task.picture, task.error) == (7, True, None, None)
    (part,) = task.parts
    assert (part.file.parent, part.output) == (tmp_path / "parts", tmp_path / "out.png")
    assert messages.empty()


def test_what_ends_the_job_is_told(tmp_path: Path) -> None:
    Picture.from_array(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    messages: list[Message] = []
    task = Task(Job(tmp_path / "a.png", tmp_path / "out.png"))
    worker.serve(stages(tmp_path / "parts", tile=9), [task] * 3, 30, messages.append)
    assert messages[0] == Ready()
    assert {type(message) for message in messages[1:]} == {Failed}
    assert isinstance(messages[1], Failed)
    assert isinstance(messages[1].error, PlanError)


def test_a_lost_device_is_told_and_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ended(Exception):
        """Instead of the end of this process."""

    def end(code: int) -> None:
        raise Ended(str(code))

    monkeypatch.setattr(worker, "LAST_WORDS", 0.0)
    monkeypatch.setattr("os._exit", end)
    monkeypatch.setattr("upscaler.engines.resample.ResampleEngine.run", raise_lost)
    Picture.from_array(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    messages: list[Message] = []
    task = Task(Job(tmp_path / "a.png", tmp_path / "out.png"))
    worker.serve(stages(tmp_path / "parts"), [task] * 3, 30, messages.append)
    assert [type(message) for message in messages] == [Ready, Failed]
    assert isinstance(messages[1], Failed)
    assert isinstance(messages[1].error, DeviceLost)


def raise_lost(*_: object) -> None:
    raise DeviceLost("cuda:0 is lost.")
