"""Groups of options in the signature of a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from tests.cli.conftest import options_of
from upscaler.cli.groups import Group, PanelCommand, expand_groups, flag, option


@dataclass(frozen=True)
class Colours(Group, panel="Colour"):
    hue: float | None = option("DEGREES", "Turn all colours by this angle.", "-u")
    loud: bool = flag("Make the colours strong.")


@dataclass(frozen=True)
class MoreColours(Colours):
    ink_count: int = option("N", "Print with this many inks.", "--inks", default=4, min=1)


seen: list[object] = []


@expand_groups
def paint(
    wall: Annotated[str, typer.Argument(metavar="WALL")],
    colours: MoreColours = MoreColours(hue=9.0),
) -> None:
    """Paint a wall."""
    seen.append((wall, colours))


def run(*arguments: str) -> object:
    app = typer.Typer(rich_markup_mode=None)
    app.command(cls=PanelCommand)(paint)
    app(list(arguments), standalone_mode=False)
    return seen.pop()


def test_a_command_gets_its_groups() -> None:
    assert run("north") == ("north", MoreColours(9.0, False, 4))
    assert run("north", "-u", "3", "--loud", "--inks", "2") == ("north", MoreColours(3.0, True, 2))


def test_fields_are_options_of_their_panel() -> None:
    options = [
        (each.name, each.opts, each.rich_help_panel, each.default, each.help, each.metavar)
        for each in options_of(paint)
    ]
    assert options == [
        ("hue", ["--hue", "-u"], "Colour", 9.0, "Turn all colours by this angle.", "DEGREES"),
        ("loud", ["--loud"], "Colour", False, "Make the colours strong.", None),
        ("ink_count", ["--inks"], "Colour", 4, "Print with this many inks.", "N"),
    ]
