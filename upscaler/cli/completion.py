"""Names of models for the shell's completion: those of the catalog and those imported. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator


def models(incomplete: str) -> list[tuple[str, str]]:
    """Names of what enlarges, each with what it is for."""
    return list(_names(incomplete, without="control"))


def generators(incomplete: str) -> list[tuple[str, str]]:
    """Names of what generates."""
    return list(_names(incomplete, only="generator"))


def controls(incomplete: str) -> list[tuple[str, str]]:
    """Names of ControlNets."""
    return list(_names(incomplete, only="control"))


def all_models(incomplete: str) -> list[tuple[str, str]]:
    """Names of all models."""
    return list(_names(incomplete))


def _names(incomplete: str, only: str | None = None, without: str | None = None) -> Iterator[tuple[str, str]]:
    from .. import catalog
    from ..errors import UpscalerError

    try:
        known = catalog.models()
    except UpscalerError:  # the user's own catalog is broken; a shell has no place to say so
        return
    for model in known:
        if model.name.startswith(incomplete) and only in (None, model.kind) and model.kind != without:
            yield model.name, model.purpose
