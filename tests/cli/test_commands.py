"""The table of commands: their help, and what stands for `upscale`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import upscaler
from tests.cli.conftest import Edit, Run, options_of, start
from tests.cli.test_completion import complete
from upscaler.cli.commands import COMMANDS


def test_help_names_every_command_and_how_to_begin(run: Run) -> None:
    done = run("--help")
    assert (done.code, done.err) == (0, "")
    text = done.out.decode()
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{(command.__doc__ or '').split('.', maxsplit=1)[0]}", text, re.MULTILINE)
    assert "upscaler photo.jpg " in text


def test_version_is_the_package_s(run: Run) -> None:
    assert run("--version").out.decode() == f"upscaler {upscaler.__version__}\n"


PANELS = ("Prompt", "Size", "Output", "Model", "Diffusion", "Hardware", "Input", "Folders", "Messages")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "doctor"])
def test_every_option_has_a_sentence_and_a_panel(run: Run, name: str) -> None:
    options = options_of(COMMANDS[name])
    assert len({flag for option in options for flag in option.opts}) == sum(len(option.opts) for option in options)
    for option in options:
        assert option.rich_help_panel in PANELS, option
        assert re.fullmatch(r"[A-Z].*\w.*\.", option.help), option
        assert len(option.help.split()) > 3, option
    text = run(name, "--help").out.decode()
    sections = dict(re.findall(r"^(\w+):\n((?:  .*\n)+)", text, re.MULTILINE))
    for option in options:
        assert re.search(rf"^  .*{option.opts[0]}\b", sections[option.rich_help_panel], re.MULTILINE), option
    assert list(sections) == sorted(sections, key=["Arguments", *PANELS, "Options"].index)


@pytest.mark.parametrize("columns", [60, 200])
def test_help_keeps_to_the_width_of_its_window(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = run("upscale", "--help").out.decode().splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert "\x1b" not in "".join(lines)


def test_an_option_that_several_commands_have_is_the_same_one_or_another_one_in_words() -> None:
    """One that is declared twice would drift apart; what two groups call the same must say something else."""
    seen = {}
    for command in COMMANDS.values():
        for option in options_of(command):
            key = option.opts[0], option.help
            assert seen.setdefault(key, option.opts) == option.opts
    names = [name for name, _ in seen]
    assert {name for name in names if names.count(name) > 1} == {
        "--blend",
        "--crop",
        "--denoise",
        "--fidelity",
        "--model",
        "--scale",
        "--output",
        "--name",
        "--prompt",
        "--negative",
        "--steps",
        "--guidance",
        "--seed",
    }


def test_upscale_is_meant_where_no_command_is_named(run: Run) -> None:
    assert run("--nonsense").err.endswith("See upscaler upscale --help.\n")


GREET = '''"""`upscaler greet`: a greeting."""

from __future__ import annotations

from typing import Annotated

import typer

from .console import show
from .groups import expand_groups
from .options import VerboseOptions


@expand_groups
def greet(name: Annotated[str, typer.Argument(metavar="NAME")], messages: VerboseOptions) -> None:
    """Greet somebody."""
    messages.set_up()
    show(f"hello {name}")
'''


def test_a_module_its_import_and_a_row_add_a_command(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "copy" / "upscaler" / "cli" / "greet.py").write_text(GREET)
    edit("cli/commands.py", "from .groups import", "from .greet import greet\n")
    edit("cli/commands.py", "upscale, generate, rerun", "greet, ")
    assert re.search(r"^  greet +Greet somebody\.$", start("--help").out.decode(), re.MULTILINE)
    assert re.search(r"^Messages:\n  -v, --verbose ", start("greet", "--help").out.decode(), re.MULTILINE)
    assert complete("upscaler gre") == ["greet"]
    assert start("greet", "you").out == b"hello you\n"
