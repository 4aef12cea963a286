"""Whole pictures on a pretended GPU, which is taken without being named: what the CPU makes, within one level."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Picture, Target, Upscaler, codecs
from upscaler.errors import OutOfMemory

Kind = Literal["cuda", "xpu", "mps"]
KINDS: list[Kind] = ["cuda", "xpu", "mps"]


@pytest.fixture
def network(tmp_path: Path) -> str:
    return str(tiny_compact(tmp_path))


def photo(side: int = 72, depth: int = 8, alpha: bool = False) -> Picture:
    pixels = sample("astronaut.jpg")[40 : 40 + side, 70 : 82 + side]
    if alpha:
        ramp = np.linspace(0, 1, pixels[:, :, 0].size, dtype=np.float32).reshape(*pixels.shape[:2], 1)
        pixels = np.concatenate([pixels, ramp], axis=2)
    most = 2**depth - 1
    return Picture.from_array(np.rint(pixels * most).astype(np.uint16 if depth == 16 else np.uint8))


def enlarged(
    picture: Picture, model: str, device: str | None, target: Target, tile: int | None = 40, **options: Any
) -> NDArray[Any]:
    with Upscaler(model, device=device, tile=tile, **options) as upscaler:
        return upscaler(picture, target=target).pixels


def levels(first: NDArray[Any], second: NDArray[Any]) -> int:
    assert first.shape == second.shape
    assert first.dtype == second.dtype
    return int(np.abs(first.astype(int) - second).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("picture", "target"),
    [
        (photo(), Target()),
        (photo(alpha=True), Target()),
        (photo(), Target(width=119)),
        (photo(depth=16), Target()),
        (photo(depth=16, alpha=True), Target(scale=3)),
    ],
    ids=["plain", "alpha", "exact", "deep", "deep-alpha-two-passes"],
)
def test_every_kind_of_picture_is_the_cpu_s(kind: Kind, network: str, picture: Picture, target: Target) -> None:
    """In the same tiles. 16 bits are computed in fp32, whose digits TF32 would take: they differ by one of 65,535."""
    right = enlarged(picture, network, "cpu", target, precision="fp32")
    with pretend(kind, tf32=True) as gpu:
        most = 2 if picture.depth == 16 and target.scale == 3 else 1  # one for each pass
        assert levels(enlarged(picture, network, None, target), right) <= most
        assert gpu.peak > 0
        assert (gpu.live, gpu.reserved) == (0, 0), "closing gives it all back"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_other_precisions_are_as_near_as_they_can_be(network: str, precision: str) -> None:
    right = enlarged(photo(), network, "cpu", Target(), precision="fp32")
    with pretend("cuda"):
        assert levels(enlarged(photo(), network, None, Target(), precision=precision), right) <= {"fp32": 1}.get(
            precision, 5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_small_pictures_survives_memory_that_runs_out(
    kind: Kind, network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for index in range(6):
        Image.fromarray(photo(36 + index % 2).pixels).save(f"in/{index}.png")
    with Upscaler(network, device="cpu", precision="fp32") as upscaler:
        assert all(outcome.error is None for outcome in upscaler.batch("in", "right"))
    failures = []
    with pretend(kind) as gpu, Upscaler(network) as upscaler:

        def refuse(name: str, tensors: list[torch.Tensor]) -> None:
            if name == "conv2d" and tensors[0].shape[0] * tensors[0].shape[2] * tensors[0].shape[3] > 4000:
                failures.append(name)
                raise gpu.out_of_memory()

        upscaler.estimate(photo())
        gpu.before = refuse
        outcomes = list(upscaler.batch("in", "out"))
    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert len(failures) <= 2, "each batch that is too large teaches the others"
    for index in range(6):
        made, right = (codecs.decode(Path(folder, f"{index}.png")).pixels for folder in ("out", "right"))
        assert levels(made, right) <= 1


@pytest.mark.parametrize(("depth", "alpha"), [(8, False), (8, True), (16, False)], ids=["plain", "alpha", "deep"])
def test_a_picture_is_right_or_an_error_with_any_memory(network: str, depth: int, alpha: bool) -> None:
    picture = photo(200, depth, alpha)
    right = enlarged(picture, network, "cpu", Target(), None, precision="fp32")

    def attempt() -> int:
        """Levels of 8 bits: smaller tiles agree to half a one."""
        return round(levels(enlarged(picture, network, None, Target(), None), right) / (257 if depth == 16 else 1))

    with pretend("cuda") as gpu:
        attempt()
        most = gpu.peak
    outcomes = []
    for share in (0.6, 0.35, 0.25, 0.18, 0.04, 0.02):
        with pretend("cuda", memory=int(most * share)):
            try:
                outcomes.append(f"{attempt()} levels")
            except OutOfMemory as error:
                outcomes.append(str(error).partition(": ")[2])
    right_ones = [outcome for outcome in outcomes if outcome in ("0 levels", "1 levels")]
    assert 3 <= len(right_ones) < len(outcomes), outcomes
    refusal = "the network does not fit into the memory of cuda:0. Choose a smaller model."
    assert outcomes[len(right_ones) :] == [refusal] * (len(outcomes) - len(right_ones))
