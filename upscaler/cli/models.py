"""`upscaler models`: the models there are; fetched, imported, removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console import download_bar, say, set_up_logging, show, table

if TYPE_CHECKING:
    from ..catalog import Model

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="The models there are: list them, fetch, import or remove them.",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="A model's name, a file, a folder, a URL, or a repository of the hub.")
]


@app.command("list")
def list_(
    here: Annotated[bool, typer.Option("--here", help="Only those that need no fetching.")] = False,
) -> None:
    """A table of all models, imported ones included."""
    from .. import catalog
    from .describe import is_here, licence, size_of, use

    rows = []
    for model in catalog.models():
        needs_nothing = is_here(model)
        if needs_nothing or not here:
            here_too = "yes" if needs_nothing else ""
            rows.append((model.name, use(model), size_of(model), here_too, licence(model), model.purpose))
    table(("model", "scale", "size", "here", "licence", "for"), rows)


@app.command("show")
def show_(name: Name) -> None:
    """All that is known of one model."""
    from .describe import about_model

    set_up_logging(quiet=False, verbose=False)
    table(None, about_model(_found(name)))


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Models' names, URLs, or repositories of the hub.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every network whose licence allows commercial use.")
    ] = False,
) -> None:
    """Download models, so that they are here when there is no connection."""
    from .. import catalog
    from ..errors import ModelError, PlanError
    from .describe import pieces

    set_up_logging(quiet=False, verbose=False)
    if bool(names) == everything:
        raise PlanError("upscaler models fetch: name the models, or write --all.")
    wanted = [_found(name) for name in names or ()]
    if everything:
        wanted = [model for model in catalog.models() if model.commercial and model.download and model.download.urls]
    failures = []
    for model in [piece for named in wanted for piece in pieces(named)]:
        try:
            path = have(model)
        except ModelError as error:
            failures.append(f"error: {error}")
            continue
        credit = f"  {model.licence}, by {model.author}" if model.licence else ""
        show(f"{model.name}  {path or 'needs no file'}{credit}")
    for failure in failures:
        say(failure)
    if failures:
        raise SystemExit(1)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=".safetensors, .pth, .pt, .ckpt, or ncnn's .param or .bin.")
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What -m shall call it. Default: the file's name.")
    ] = None,
) -> None:
    """Keep a network of your own: converted once to safetensors, known by name from then on."""
    from .. import catalog
    from ..engines.model_import import import_model

    set_up_logging(quiet=False, verbose=False)
    model = import_model(file, name)
    show(f"{model.name}  {catalog.find_local(model)}  {model.architecture}, {model.scale}x")


@app.command()
def remove(names: Annotated[list[str], typer.Argument(metavar="NAME", help="Fetched or imported models.")]) -> None:
    """Delete what was fetched or imported of models."""
    from .. import catalog

    set_up_logging(quiet=False, verbose=False)
    for model in [_found(name) for name in names]:
        for path in catalog.remove(model):
            show(f"{path}: removed.")


@app.command()
def where(name: Annotated[str | None, typer.Argument(metavar="NAME", help="One model.")] = None) -> None:
    """The folder in which models are kept, or the file or folder of one of them."""
    from .. import catalog
    from ..errors import ModelError
    from .describe import pieces

    if name is None:
        show(str(catalog.models_dir()))
        return
    for model in pieces(_found(name)):
        path = catalog.find_local(model)
        if path is None:
            raise ModelError(f"{model.name}: is not on this machine. Get it with upscaler models fetch {model.name}.")
        show(str(path))


def have(
    model: Model, offline: bool | None = None, visible: bool | None = None, allow_pickle: bool = False
) -> Path | None:
    """The model's file, fetched under a progress bar if it must be; None if it needs none. Raises ModelError."""
    from .. import catalog

    if model.kind == "resample":
        return None
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    with download_bar(model.name, on_terminal if visible is None else visible) as progress:
        return catalog.fetch_model(model, progress, offline=offline, allow_pickle=allow_pickle)


def _found(name: str) -> Model:
    """Raises PlanError, since the name is the user's."""
    from .. import catalog
    from ..errors import ModelError, PlanError

    try:
        return catalog.find(name)
    except ModelError as error:
        raise PlanError(str(error)) from error
