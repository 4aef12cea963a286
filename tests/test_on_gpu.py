"""Whole pictures on a pretended GPU, which is taken without being named: what the CPU makes, within one level."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from tests.fake_gpu import FakeGPU, pretend
from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import Picture, Target, Upscaler, codecs
from upscaler.errors import DeviceLost, OutOfMemory
from upscaler.surface import HOST, surface_for

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


def sent(gpu: FakeGPU) -> dict[str, int]:
    """Bytes that went up and down since this was last asked: as whole numbers of pixels, and all others."""
    found = {"up": 0, "down": 0, "other": 0}
    for way, dtype, size in gpu.crossings:
        found[way if dtype in (torch.uint8, torch.int16) else "other"] += size
    gpu.crossings.clear()
    return found


@pytest.mark.parametrize(
    ("depth", "alpha", "target", "model", "tile"),
    [
        (8, False, Target(), "tiny", None),
        (8, False, Target(), "tiny", 500),
        (16, False, Target(), "tiny", 500),
        (8, True, Target(), "tiny", 500),
        (8, False, Target(width=2500), "tiny", None),
        (8, False, Target(), "clean", 500),
    ],
    ids=["whole", "tiles", "deep", "alpha", "exact", "denoise"],
)
def test_the_source_goes_up_once_and_the_result_comes_down_once(
    network: str, depth: int, alpha: bool, target: Target, model: str, tile: int | None
) -> None:
    """For 2 megapixels: as whole numbers. Beside them go 2 KB for each tile, the numbers of its check and the positions
    of its mirrored pixels, and positions of 150 KB if the size is changed."""
    small = photo(100, depth, alpha)
    pixels = cv2.resize(small.pixels, (1632, 1224), interpolation=cv2.INTER_CUBIC)
    picture = Picture.from_array(pixels)
    denoise = 0.5 if model == "clean" else 0
    with pretend("cuda") as gpu, Upscaler(network, tile=tile, denoise=denoise) as upscaler:
        upscaler(small, target=Target())
        sent(gpu)
        result = upscaler(picture, target=target).pixels
        found = sent(gpu)
    between = pixels.size * 2 if denoise else 0  # 16 bits between two passes
    assert found["up"] == pixels.nbytes + between
    assert found["down"] == result.nbytes + between
    assert found["other"] < (0.02 if target == Target() else 0.03) * pixels.nbytes


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
@pytest.mark.parametrize("tile", [None, 200])
@pytest.mark.parametrize("target", [Target(), Target(width=1000)], ids=["plain", "exact"])
def test_the_plan_says_what_is_used(network: str, precision: str, tile: int | None, target: Target) -> None:
    picture = Picture.from_array(cv2.resize(photo(100).pixels, (816, 612), interpolation=cv2.INTER_CUBIC))
    with pretend("cuda") as gpu, Upscaler(network, tile=tile, precision=precision) as upscaler:
        upscaler(photo(), target=Target())
        gpu.peak = gpu.live
        before = gpu.live
        upscaler(picture, target=target)
        used = gpu.peak - before
        planned = upscaler.estimate(picture, target=target).memory
    assert 0.7 * planned < used < 1.2 * planned


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["clamp_", "interpolate", "round_"])
def test_a_pass_is_finished_on_the_host_where_memory_does_not_suffice_after_the_network(
    kind: Kind, name: str, network: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever it runs out: joined, held to the source, or rounded. Progress ends where it should."""
    picture = photo(72, alpha=True)
    right = enlarged(picture, network, "cpu", Target(), precision="fp32")
    seen = []
    with pretend(kind) as gpu, Upscaler(network, tile=40) as upscaler:
        upscaler.estimate(picture)

        def refuse(function: str, tensors: list[torch.Tensor]) -> None:
            if function == name:
                raise gpu.out_of_memory()

        gpu.before = refuse
        result = upscaler(picture, progress=lambda done, total: seen.append((done, total)))
        assert levels(result.pixels, right) <= 1
    assert "results are joined on the CPU" in caplog.text
    assert seen[-1][0] == seen[-1][1] == max(seen)[0]


def test_a_device_that_is_lost_while_results_are_finished_is_an_error_of_its_own(network: str) -> None:
    with pretend("cuda") as gpu, Upscaler(network, tile=40) as upscaler:
        upscaler.estimate(photo())

        def lose(function: str, tensors: list[torch.Tensor]) -> None:
            if function == "interpolate":
                gpu.lose()
                gpu._check()

        gpu.before = lose
        with pytest.raises(DeviceLost, match="cuda:0 is lost to this process"):
            upscaler(photo())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_arrive_whole_while_the_gpu_computes_on(dtype: type) -> None:
    """More bands than the ring has buffers, of growing sizes, each computed just before it is sent."""
    surface = surface_for("cuda:0")
    full = int(np.iinfo(dtype).max)
    heights = [3, 200, 64, 500, 1, 300, 300, 700]
    canvas = np.zeros((sum(heights), 1500, 3), dtype)
    right = np.random.default_rng(0).integers(0, full, canvas.shape, dtype)
    heavy = torch.rand(4096, 4096, device="cuda")
    y = 0
    with surface.writer(canvas) as writer:
        for height in heights:
            there = surface.to_float(surface.bring(right[y : y + height]))
            heavy = (heavy @ heavy).clamp_(0, 1)  # so that the copy must wait for what is computed
            writer.write(y, surface.round(there + 0 * heavy.sum(), full))
            y += height
    assert np.array_equal(canvas, right)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_nobody_waits_for_the_gpu_until_numbers_are_asked_for() -> None:
    """What sends, measures and rounds returns long before the GPU has done what was asked of it before."""
    surface = surface_for("cuda:0")
    pixels = np.random.default_rng(0).random((1, 600, 800, 3), np.float32)
    canvas = np.zeros((600, 800, 3), np.uint8)
    heavy = torch.rand(8192, 8192, device="cuda")

    def enqueue(writer: Any) -> Any:
        tiles = surface.bring(pixels)
        numbers = surface.measure(tiles, tiles.half(), None)
        writer.write(0, surface.round(tiles[0], 255))
        return numbers

    with surface.writer(canvas) as writer:
        enqueue(writer)()  # kernels are loaded, and pinned memory is there
        torch.cuda.synchronize()
        for _ in range(40):
            heavy = (heavy @ heavy).clamp_(0, 1)
        done = torch.cuda.Event()
        done.record()
        numbers = enqueue(writer)
        assert not done.query(), "it waited"
        (found,) = numbers()
        assert done.query()
    assert np.abs(found.result - found.source).max() < 1e-3
    assert np.array_equal(canvas, HOST.round(pixels[0], 255))
