"""What the libraries say while they work is collected, and their loggers are as before afterwards."""

import logging
import warnings
from typing import Any

import pytest
from diffusers import DiffusionPipeline

from tests.diffusion import tiny
from upscaler.diffusion.messages import quiet, report_steps


def test_warnings_are_collected_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    before = [list(log.handlers) for log in loggers]
    with quiet() as messages:
        for log in loggers:
            log.warning("from %s", log.name)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert messages == ["from diffusers", "from transformers"]
    assert capfd.readouterr() == ("", "")
    assert [log.handlers for log in loggers] == before


def test_steps_take_the_place_of_the_bar_for_a_while() -> None:
    pipeline: Any = tiny.build_sd()
    steps: list[tuple[int, int | None]] = []
    with report_steps(pipeline, lambda *step: steps.append(step)), pipeline.progress_bar(total=3) as bar:
        bar.update()
        bar.update()
    assert steps == [(1, 3), (2, 3)]
    assert pipeline.progress_bar.__func__ is DiffusionPipeline.progress_bar
