"""The generator that is chosen for those who name none."""

from pathlib import Path

import pytest
import torch

from upscaler import ModelError, catalog
from upscaler.text2image.choice import choose

GPU = torch.device("meta")
"""Stands for any device with memory of its own: it is only asked for its kind."""


def of_gigabytes(memory: float, device: torch.device = GPU, offline: bool = False) -> str:
    return choose(device, int(memory * 1e9), offline=offline)[0].name


def test_best_is_chosen_that_fits() -> None:
    assert [of_gigabytes(memory) for memory in (80, 12.5, 9.5, 4.5)] == [
        "flux2-klein-4b",
        "sana-sprint",
        "sdxl",
        "sd15",
    ]


def test_smallest_is_chosen_where_none_fits() -> None:
    assert catalog.find(of_gigabytes(0.001)).memory == min(
        model.memory or 0 for model in catalog.models() if model.kind == "generator"
    )


def test_choice_says_among_which_and_for_how_much_memory() -> None:
    assert choose(GPU, 10**10)[1] == "the best of those that are free for all to use and fit into 10.0 GB on meta"
    assert choose(GPU, 10**6)[1] == (
        "the smallest of those that are free for all to use; none fits into 0.0 GB on meta"
    )


def test_chosen_ones_are_free_for_all_and_not_gated() -> None:
    for memory in range(1, 81):
        model = catalog.find(of_gigabytes(memory))
        assert model.commercial
        assert model.repository is None or not model.repository.gated


def test_offline_and_on_a_processor_what_is_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    embedded = [model.name for model in catalog.models() if model.kind == "generator" and model.file is not None]
    if not embedded:
        with pytest.raises(ModelError, match="no generator is on this machine, and fetching is forbidden"):
            of_gigabytes(80, offline=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "catalog.toml").write_text(
        '[[model]]\nname = "mine"\nkind = "generator"\ncommercial = true\nmemory = 1000000\nembedded = "mine"\n'
    )
    assert of_gigabytes(80, offline=True) in ("mine", *embedded)
    assert of_gigabytes(80, torch.device("cpu")) in ("mine", *embedded)
    assert choose(torch.device("cpu"))[1].startswith("the best of those that are on this machine and fit into ")
    assert of_gigabytes(80) == "flux2-klein-4b"
