"""Groups of options: a command takes frozen dataclasses, and each of their fields is an option of the command line.

The groups themselves are in `options`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import field, fields
from typing import Annotated, Any, ClassVar, cast, get_type_hints

import typer
from typer.core import TyperCommand

from . import options_in_text

Command = Callable[..., None]


class Group:
    """The base of groups, which are frozen dataclasses: `class SizeOptions(Group, panel="Size")`."""

    panel: ClassVar[str]
    """The heading of its options in help; that of the base unless the class names one."""

    def __init_subclass__(cls, panel: str | None = None) -> None:
        if panel is not None:
            cls.panel = panel

    def arguments(self) -> dict[str, Any]:
        """Returns the options that were given, by name: the fields that are neither None nor False."""
        values = {field.name: getattr(self, field.name) for field in fields(cast("Any", self))}
        return {name: value for name, value in values.items() if value is not None and value is not False}


def option(metavar: str, help: str, *flags: str, default: Any = None, **facts: Any) -> Any:
    """Declares a field of a group: an option called by the field's name with hyphens, or by a long flag in `flags`.

    Short `flags`, such as "-s", are additional names. `facts`: other arguments of `typer.Option`.
    """
    return field(default=default, metadata={"flags": flags, "facts": {"metavar": metavar, "help": help, **facts}})


def flag(help: str, *flags: str) -> Any:
    """Declares a field of a group that is true if its option is given, which takes no value."""
    return field(default=False, metadata={"flags": flags, "facts": {"help": help}})


def expand_groups(command: Command) -> Command:
    """Makes a command that Typer understands: a parameter that is a group becomes an option for each of its fields.

    The default of such a parameter is a group as well, whose values are the defaults of the options.
    """
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    for parameter in inspect.signature(command).parameters.values():
        group = hints[parameter.name]
        if isinstance(group, type) and issubclass(group, Group):
            groups[parameter.name] = group
            parameters += _options(group, parameter.default)
        else:
            parameters.append(parameter.replace(annotation=group))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


class PanelCommand(TyperCommand):
    """A command whose help has a section for each panel, and whose options messages may name.

    The help is plain text: Typer's own panels are frames that Rich draws, which take longer to start, and leave less
    room for words in a pipe or a narrow window.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Options" if parameter.param_type_name == "option" else "Arguments"
                name, help = record
                panel = getattr(parameter, "rich_help_panel", None) or kind
                panels.setdefault(panel, []).append((name.partition(" <")[0], help))  # without the type of an argument
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)

    def invoke(self, ctx: Any) -> Any:
        options_in_text.limit_options(name for parameter in self.params for name in parameter.opts)
        return super().invoke(ctx)


def _options(group: Any, defaults: Any) -> Iterator[inspect.Parameter]:
    """Yields a parameter for each field of a group, shown in the group's panel of the help."""
    hints = get_type_hints(group)
    for each in fields(group):
        flags = each.metadata["flags"]
        if not any(flag.startswith("--") for flag in flags):
            flags = f"--{each.name.replace('_', '-')}", *flags
        info = typer.Option(*flags, rich_help_panel=group.panel, **each.metadata["facts"])
        default = each.default if defaults is inspect.Parameter.empty else getattr(defaults, each.name)
        annotation = cast("Any", Annotated)[hints[each.name], info]
        yield inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
