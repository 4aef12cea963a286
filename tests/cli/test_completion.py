"""The shell's completion, through the protocol by which a shell asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.networks import tiny_compact
from upscaler import catalog
from upscaler.files import cache_dir


def complete(line: str, *flags: str) -> list[str]:
    """What a shell shows for the last word of a line."""
    words = line.split(" ")
    environment = {"_UPSCALER_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, *flags, "-m", "upscaler"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=True)
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not loaded & {"torch", "diffusers", "transformers", "spandrel"}
    assert flags or not done.stderr
    return done.stdout.split()


def test_names_of_models_are_completed_without_loading_torch() -> None:
    names = complete("upscaler photo.jpg -m realesrgan-x4", "-X", "importtime")
    assert names == ["realesrgan-x4plus", "realesrgan-x4plus-anime-6b"]


@pytest.mark.parametrize("line", ["upscaler -m photo", "upscaler upscale -m photo", "upscaler models show photo"])
def test_a_command_that_is_left_out_is_completed_like_one_that_is_named(line: str) -> None:
    assert complete(line) == ["photo", "photo-fast"]


def test_generators_are_completed_for_generators_only() -> None:
    kinds = {model.name: model.kind for model in catalog.models()}
    names = complete("upscaler generate -g ")
    assert names
    assert {kinds[name] for name in names} == {"generator"}
    assert "control" not in {kinds[name] for name in complete("upscaler -m ")}
    assert {kinds[name] for name in complete("upscaler --control ")} <= {"control"}


def test_imported_models_are_completed(run: Run, tmp_path: Path) -> None:
    assert run("models", "import", tiny_compact(tmp_path), "--name", "my-network").code == 0
    assert complete("upscaler a.jpg -m my-n") == ["my-network"]


def test_commands_and_options_are_completed() -> None:
    assert complete("upscaler gen") == ["generate"]
    assert complete("upscaler --long") == ["--long-edge"]
    assert complete("upscaler generate --init") == ["--init-image"]
    assert complete("upscaler photo") == []  # then the shell names files


def test_a_broken_catalog_is_not_said_in_the_middle_of_a_line() -> None:
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "catalog.toml").write_text("not a catalog")
    assert complete("upscaler -m photo") == []


def test_a_script_for_the_shell_is_shown(run: Run) -> None:
    command = [sys.executable, "-m", "upscaler"]
    environment = os.environ | {"_UPSCALER_COMPLETE": "source_bash"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "complete -o default -F _upscaler_completion upscaler" in done.stdout
    assert b"--install-completion" in run("--help").out
