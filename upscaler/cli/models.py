"""`upscaler models`: lists, fetches, imports and removes models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ModelError, PlanError
from .console import say, show, table
from .groups import PanelCommand, expand_groups
from .options import FetchOptions, VerboseOptions, complete_models
from .options_in_text import sentence

if TYPE_CHECKING:
    from ..catalog import Model

app = typer.Typer(rich_markup_mode=None, help="The models there are: list them, fetch, import or remove them.")


def _names(help: str) -> Any:
    """Declares an argument that names one model or several, with completion in shells."""
    return typer.Argument(metavar="NAME", autocompletion=complete_models(lambda kind: True), help=help)


@app.command("list", cls=PanelCommand)
def list_(here: Annotated[bool, typer.Option("--here", help="List only those that need no fetching.")] = False) -> None:
    """List all models, imported ones included."""
    from .. import catalog
    from .describe import OVERVIEW, is_here, overview

    table(OVERVIEW, [overview(model) for model in catalog.models() if not here or is_here(model)])


@app.command(cls=PanelCommand)
def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORD", help="Say what must be in the name, use, architecture, licence or author."),
    ] = None,
    scale: Annotated[int | None, typer.Option(metavar="TIMES", help="List only those that enlarge so much.")] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="List only those whose licence allows commercial use.")
    ] = False,
) -> None:
    """Search all models of the list, and the hundreds of OpenModelDB, which -m takes by name, too."""
    from .. import catalog
    from .describe import OVERVIEW, has_link, overview

    found = catalog.search(words or (), scale, commercial)
    if not found:
        asked = [*(words or ()), *([f"{scale}x"] if scale else ()), *(["commercial use"] if commercial else ())]
        raise ModelError(f"no model has all of this: {', '.join(asked)}. Search with fewer words or options.")
    *columns, last = OVERVIEW
    rows = []
    for model in found:
        *facts, purpose = overview(model)
        rows.append((*facts, "yes" if has_link(model) else "", purpose))
    table((*columns, "link", last), rows)


@app.command("show", cls=PanelCommand)
@expand_groups
def show_(
    name: Annotated[str, _names("Name a model, a file, a folder, a URL, or a repository of the hub.")],
    messages: VerboseOptions,
) -> None:
    """Show all that is known of one model."""
    messages.set_up()
    from .describe import about_model

    table(None, about_model(_find(name)))


@app.command(cls=PanelCommand)
@expand_groups
def fetch(
    names: Annotated[list[str] | None, _names("Name models, URLs, or repositories of the hub.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Fetch every network whose licence allows commercial use.")
    ] = False,
    *,
    messages: VerboseOptions,
) -> None:
    """Download models, so that they are here when there is no connection."""
    messages.set_up()
    from .. import catalog
    from .describe import pieces

    if bool(names) == everything:
        raise PlanError("upscaler models fetch: name the models, or write --all.")
    wanted = [_find(name) for name in names or ()]
    if everything:
        wanted = [model for model in catalog.models() if model.commercial and model.download and model.download.urls]
    failures = []
    for model in [piece for named in wanted for piece in pieces(named)]:
        try:
            FetchOptions().download([model], messages.shows_bars)
        except ModelError as error:
            failures.append(f"error: {sentence(error)}")
            continue
        credit = f"  {model.licence}, by {model.author}" if model.licence else ""
        show(f"{model.name}  {catalog.find_local(model) or 'needs no file'}{credit}")
    for failure in failures:
        say(failure)
    if failures:
        raise SystemExit(1)


@app.command("import", cls=PanelCommand)
@expand_groups
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Name a .safetensors, .pth, .pt or .ckpt file, or ncnn's .param or .bin."),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Say what -m shall call it. Default: the file's name.")
    ] = None,
    *,
    messages: VerboseOptions,
) -> None:
    """Keep a network of your own: converted once to safetensors, known by name from then on."""
    messages.set_up()
    from .. import catalog
    from ..engines.model_import import import_model

    model = import_model(file, name)
    show(f"{model.name}  {catalog.find_local(model)}  {model.architecture}, {model.scale}x")


@app.command(cls=PanelCommand)
@expand_groups
def remove(names: Annotated[list[str], _names("Name fetched or imported models.")], messages: VerboseOptions) -> None:
    """Delete what was fetched or imported of models."""
    messages.set_up()
    from .. import catalog

    for model in [_find(name) for name in names]:
        for path in catalog.remove(model):
            show(f"{path}: removed.")


@app.command(cls=PanelCommand)
def where(name: Annotated[str | None, _names("Name one model.")] = None) -> None:
    """Show the folder in which models are kept, or the file or folder of one of them."""
    from .. import catalog
    from .describe import pieces

    if name is None:
        show(str(catalog.models_dir()))
        return
    for model in pieces(_find(name)):
        path = catalog.find_local(model)
        if path is None:
            raise ModelError(f"{model.name} is not on this machine. Get it with upscaler models fetch {model.name}.")
        show(str(path))


def _find(name: str) -> Model:
    """Returns the model of that name. Raises PlanError in place of ModelError, since the user chose the name."""
    from .. import catalog

    try:
        return catalog.find(name)
    except ModelError as error:
        raise PlanError(str(error)) from error
