"""What follows from a model's kind."""

from __future__ import annotations

from typing import get_args

from upscaler import catalog
from upscaler.catalog import KINDS, Kind


def test_every_kind_has_its_facts() -> None:
    assert KINDS.keys() == set(get_args(Kind))


def test_models_of_the_catalog_have_what_their_kind_needs() -> None:
    """Files for a library to load, or models that they are made of, or neither: then they compute nothing learned."""
    for model in catalog.models():
        has_files = any((model.file, model.download, model.repository, model.package))
        assert has_files == (model.facts.loader is not None), model.name
        assert bool(model.enlarge_with) == (model.facts.refines and not model.facts.generates), model.name
        is_sampled = model.facts.takes_diffusion and has_files
        assert (model.sampling is not None) == is_sampled, model.name
