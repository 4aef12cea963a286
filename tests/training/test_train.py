"""Twenty steps of training, as from the command line: they learn, can be resumed, and what they write is a model."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.pictures import SAMPLES, sample
from training import charts, label, mean, networks, train
from training.configs import CONFIGS
from upscaler import Upscaler

PHOTOS = ("astronaut.jpg", "coffee.jpg", "camera.jpg", "chelsea.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """The samples, under names of which two are held out."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in PHOTOS:
        with Image.open(SAMPLES / name) as image:
            for number in range(4):
                image.convert("RGB").rotate(90 * number, expand=True).save(folder / f"{number}-{name}")
    return folder


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configurations, of tiny networks on tiny pieces."""
    for name, config in CONFIGS.items():
        tiny = replace(config, features=8, convolutions=2, batch=8, side=16, piece=24, fresh=2, rate=5e-3, warmup=5)
        if config.contest:
            tiny = replace(tiny, contest=replace(config.contest, features=4))
        monkeypatch.setitem(CONFIGS, name, tiny)


def run(monkeypatch: pytest.MonkeyPatch, program: object, *arguments: object) -> None:
    at_once = ["--eager"] if program is train else []  # compiling takes longer than twenty steps
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments), "--workers", "0", *at_once])
    program.main()  # type: ignore[attr-defined]


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_twenty_steps_learn_and_write_a_model(monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(monkeypatch, train, "faithful", "--photos", photos, "--out", out, "--pool", 16, "--steps", 1)
    run(monkeypatch, train, "faithful", "--photos", photos, "--out", out, "--pool", 16, "--steps", 20)
    first, last = log(out)
    assert (first["step"], last["step"]) == ("1", "20")
    for kind in ("clean", "poor"):
        assert float(last[f"{kind} gain, dB"]) > float(first[f"{kind} gain, dB"]) + 0.2
    assert list(out.glob("*-poor.png"))
    coffee = sample("coffee.jpg")[:96, :128]
    result = Upscaler(str(out / "faithful-x4.safetensors"))(coffee)
    assert (result.size.width, result.size.height) == (512, 384)
    shrunk = np.asarray(result.to_pil().reduce(4)) / 255
    assert np.abs(shrunk - coffee).mean() < 0.02


def test_contest_begins_with_given_weights_and_teaches_network_and_judge(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(label, "AT_ONCE", 4)
    labels = tmp_path / "labels"
    for pieces in (4, 8):
        run(
            monkeypatch,
            label,
            "photo",
            "--photos",
            photos,
            "--out",
            labels,
            "--teacher",
            "faithful",
            "--pieces",
            pieces,
        )
    assert len(list(labels.iterdir())) == 2
    piece = load_file(labels / "00000.safetensors")
    assert piece["taught"].shape == piece["truth"].shape == (4, 3, 96, 96)
    out = tmp_path / "faithful"
    run(monkeypatch, train, "faithful", "--photos", photos, "--out", out, "--pool", 4, "--steps", 1)
    start = out / "faithful-x4.safetensors"
    arguments = ["photo", "--photos", photos, "--labelled", labels, "--out", tmp_path / "photo", "--start", start]
    run(monkeypatch, train, *arguments, "--steps", 1)
    before = torch.load(tmp_path / "photo" / "checkpoint.pt", weights_only=True)
    run(monkeypatch, train, *arguments, "--steps", 4)
    after = torch.load(tmp_path / "photo" / "checkpoint.pt", weights_only=True)
    for part, weights in (("network", "module"), ("network", "average"), ("judge", "module")):
        old, new = before[part][weights], after[part][weights]
        assert any(not torch.equal(value, new[name]) for name, value in old.items()), (part, weights)
    begun, written = load_file(start), load_file(tmp_path / "photo" / "photo-x4.safetensors")
    for name, value in after["network"]["average"].items():
        assert torch.allclose(written[name].float(), begun[name].float().lerp(value, 0.85), atol=1e-3)


def test_mean_of_weights_counts_shares_and_refuses_other_networks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for file, features in zip(files, (4, 4, 8), strict=True):
        save_file(networks.weights(networks.plain(features, 2)), file)
    out = tmp_path / "mean.safetensors"
    monkeypatch.setattr(sys, "argv", ["program", str(out), f"{files[0]}=3", str(files[1])])
    mean.main()
    first, second, found = (load_file(file) for file in (*files[:2], out))
    for name, value in found.items():
        assert value.dtype == torch.float16
        assert torch.allclose(value.float(), first[name].float().lerp(second[name].float(), 0.25), atol=1e-3)
    for wrong, said in (
        (files[2], "2.safetensors: is of another network than"),
        (tmp_path / "missing.safetensors", "missing.safetensors: cannot be read as .safetensors"),
        (f"{files[1]}=much", "the share is not a number"),
        (f"{files[1]}=0", "the share is not above zero"),
    ):
        monkeypatch.setattr(sys, "argv", ["program", str(out), str(files[0]), str(wrong)])
        with pytest.raises(SystemExit):
            mean.main()
        assert said in capsys.readouterr().err


def test_drawn_truths_are_told_from_photographs() -> None:
    drawn = [Image.fromarray(charts.page()), Image.new("L", (64, 64), 200)]
    photographs = [Image.open(SAMPLES / name) for name in PHOTOS]
    for pictures, expected in ((drawn, True), (photographs, False)):
        for picture in pictures:
            levels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
            assert label.is_drawn(torch.from_numpy(levels.copy())) is expected


def test_teacher_keeps_its_details_and_takes_the_tones_of_the_truth() -> None:
    levels = 255 * torch.from_numpy(np.array(sample("coffee.jpg")[:96, :128])).permute(2, 0, 1)[None]
    details = 20 * (torch.arange(128) % 2) - 10  # lines of one pixel, far below what is held
    taught = (0.7 * levels + 10 + details).clamp(0, 255).byte()
    result = label.held(taught, levels)
    before, after = (
        torch.nn.functional.avg_pool2d(each.float() - levels.float(), 16).abs().mean() for each in (taught, result)
    )
    assert before > 10
    assert after < 2
    steps = (result.float().diff(dim=-1) - taught.float().diff(dim=-1)).abs()
    assert steps.mean() < 2


def test_contest_without_labels_is_refused(
    monkeypatch: pytest.MonkeyPatch, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, train, "photo", "--photos", photos)
    assert "photo learns from a teacher: --labelled is missing. Run training.label first." in capsys.readouterr().err


def test_folder_without_photographs_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, words in ((tmp_path / "none", "no such folder"), (tmp_path, "has too few .jpg and .png")):
        with pytest.raises(SystemExit) as exit:
            run(monkeypatch, train, "faithful", "--photos", folder)
        assert exit.value.code == 2
        assert f"argument --photos: {folder}: {words}" in capsys.readouterr().err


def test_checkpoint_of_another_network_is_kept_and_said(
    monkeypatch: pytest.MonkeyPatch, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["faithful", "--photos", photos, "--out", out, "--pool", 4, "--steps"]
    run(monkeypatch, train, *arguments, 1)
    before = (out / "checkpoint.pt").read_bytes()
    with pytest.raises(SystemExit, match=r"checkpoint\.pt: is of another network\. Name another folder with --out\.$"):
        run(monkeypatch, train, *arguments, 2, "--architecture", "plain", "--size", "8x3")
    assert (out / "checkpoint.pt").read_bytes() == before
