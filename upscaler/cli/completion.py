"""Names of models for the shell's completion: those of the catalog and those imported. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable


def complete_models(is_wanted: Callable[[str], bool]) -> Callable[[str], list[tuple[str, str]]]:
    """A completion of names of models, each with what it is for; `is_wanted` chooses from the kinds of models."""

    def complete(incomplete: str) -> list[tuple[str, str]]:
        from .. import catalog
        from ..errors import ModelError

        try:
            wanted = [model for model in catalog.models() if is_wanted(model.kind)]
        except ModelError:  # the user's own catalog is broken; a shell has no place to say so
            return []
        return [(model.name, model.purpose) for model in wanted if model.name.startswith(incomplete)]

    return complete


all_models = complete_models(lambda kind: True)
generators = complete_models(lambda kind: kind == "generator")
controls = complete_models(lambda kind: kind == "control")
enlarging = complete_models(lambda kind: kind != "control")
