"""The README tells the truth: its commands and its library lines run as they are written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import options_of
from upscaler import catalog
from upscaler.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with what the README's commands ask for, and no result of any."""
    shutil.copy(ROOT / "samples" / "coffee.jpg", tmp_path / "photo.jpg")
    (tmp_path / "scans" / "old").mkdir(parents=True)
    shutil.copy(ROOT / "samples" / "camera.jpg", tmp_path / "scans")
    shutil.copy(ROOT / "samples" / "logo.png", tmp_path / "scans" / "old")
    return tmp_path


def test_commands_of_the_readme_run(place: Path) -> None:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    assert len(lines) == 5
    for line in lines:
        command = line.replace("upscaler ", f'"{sys.executable}" -m upscaler ', 1)
        done = subprocess.run(command, shell=True, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
    made = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
    assert {"photo_4x.jpg", "larger.png", "wall.webp", "larger.jpg"} <= made
    assert {"enlarged/camera.jpg", "enlarged/old/logo.png"} <= made


def test_library_lines_of_the_readme_run(place: Path) -> None:
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1200x800 (800, 1200, 3)"
    assert done.stdout.count("done") == 2


def test_the_model_of_the_readme_is_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (block,) = blocks("toml")
    (tmp_path / "catalog.toml").write_text(block)
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    assert catalog.find("my-network").download is not None


def test_models_of_the_readme_are_in_the_catalog() -> None:
    for name in re.findall(r"-m ([a-z0-9-]+)(?= |$)", README, re.MULTILINE):
        assert catalog.find(name)


def test_options_of_the_readme_exist() -> None:
    known = {
        name: {flag for option in options_of(command) for flag in option.opts} for name, command in COMMANDS.items()
    }
    for block in (*blocks("sh"), *blocks("console")):
        for line in re.findall(r"upscaler (?!models)(.*?)(?:#|$)", block, re.MULTILINE):
            command = line.split()[0] if line.split()[0] in known else "upscale"
            words = re.sub('"[^"]*"', "", line).split()
            assert {word for word in words if re.match("--?[a-z]", word)} <= known[command], line
    everything = {flag for flags in known.values() for flag in flags}
    prose = re.sub(r"`pip[^`]*`", "", README)
    assert set(re.findall(r"`(--[a-z][a-z-]*)", prose)) <= everything


def test_make_commands_of_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert "make demo" in commands
    assert "make test" in commands
    assert {command.split()[1] for command in commands if command.startswith("make ")} <= targets


def test_links_and_pictures_of_the_readme_are_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_every_embedded_model_has_a_card() -> None:
    for weights in (ROOT / "models").glob("*/*.safetensors"):
        assert (weights.parent / "CARD.md").is_file()
