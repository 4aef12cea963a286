"""The main path: seams, sizes, colours, depth, alpha, threads, memory on disk."""

import dataclasses
import pickle
import threading
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import upscaler
from tests.diffusion.tiny import build_x4
from tests.fake_gpu import pretend
from tests.networks import tiny_compact
from tests.pictures import ALL, PHOTOS, SAMPLES, sample
from upscaler import (
    EngineError,
    Metadata,
    Paper,
    Picture,
    PictureError,
    PlanError,
    Size,
    Target,
    Upscaler,
    codecs,
    tiling,
)
from upscaler.arrays import FloatArray
from upscaler.engines.network import NetworkEngine
from upscaler.faces import FaceOptions
from upscaler.picture import canvas
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.tiling import Plan


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def exact() -> Upscaler:
    return Upscaler("faithful", device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def lanczos() -> Upscaler:
    return Upscaler("lanczos")


@pytest.mark.parametrize("tile", [32, 47, 64, 101, 150])
@pytest.mark.parametrize("name", ALL)
def test_tiled_equals_whole_to_one_level(exact: Upscaler, name: str, tile: int) -> None:
    pixels = codecs.decode(SAMPLES / name).pixels
    if tile < 64:
        pixels = pixels[:112, :120]  # small tiles are mostly overlap: every pixel is computed up to ten times
    tiled = Upscaler("faithful", device="cpu", precision="fp32", tile=tile)
    assert tiled.estimate(pixels).plans[0].count > 1
    assert np.abs(exact(pixels).pixels.astype(int) - tiled(pixels).pixels).max() <= 1


def test_batches_give_the_same_picture(exact: Upscaler) -> None:
    one, four = (Upscaler("faithful", device="cpu", precision="fp32", tile=64, batch=batch) for batch in (1, 4))
    picture = SAMPLES / "astronaut.jpg"
    difference = one(picture).pixels.astype(int) - four(picture).pixels.astype(int)
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize(
    ("target", "size"),
    [
        (Target(), (400, 240)),
        (Target(scale=1), (100, 60)),
        (Target(scale=2), (200, 120)),
        (Target(scale=2.5), (250, 150)),
        (Target(scale=0.5), (50, 30)),
        (Target(scale=8), (800, 480)),
        (Target(scale=17), (1700, 1020)),
        (Target(width=333), (333, 200)),
        (Target(height=333), (555, 333)),
        (Target(long_edge=401), (401, 241)),
        (Target(megapixels=0.24), (632, 379)),
        (Target(fit=Size(300, 300)), (300, 180)),
        (Target(at_least=Size(300, 300)), (500, 300)),
        (Target(at_least=Size(50, 50)), (100, 60)),
        (Target(print=Paper(100, 150, dpi=50)), (295, 177)),
    ],
)
def test_result_has_exactly_the_size_asked_for(lanczos: Upscaler, target: Target, size: tuple[int, int]) -> None:
    pixels = as_bytes(sample("astronaut.jpg")[:60, :100])
    assert lanczos(pixels, target=target).size == Size(*size)


@pytest.mark.parametrize("paper", [Paper(100, 150, dpi=50), Paper(254, 254, dpi=10), Paper(10, 10, dpi=20)], ids=str)
def test_result_for_paper_says_how_finely_it_is_printed(lanczos: Upscaler, paper: Paper) -> None:
    """Enlarged, as large as before, and smaller."""
    source = Picture(as_bytes(sample("astronaut.jpg")[:60, :100]), metadata=Metadata(b"II*\0", dpi=(72.0, 72.0)))
    result = lanczos(source, target=Target(print=paper))
    assert result.metadata.dpi == (paper.dpi, paper.dpi)
    assert result.metadata.exif == source.metadata.exif
    assert lanczos(source, 2).metadata.dpi == (72, 72)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (5, 200)])
def test_tiny_and_thin_pictures_work(exact: Upscaler, shape: tuple[int, int]) -> None:
    pixels = np.full((*shape, 3), 90, np.uint8)
    result = exact(pixels)
    assert result.size == Size(shape[1] * 4, shape[0] * 4)
    assert np.abs(result.pixels.astype(int) - 90).max() <= 3


@pytest.mark.parametrize("name", PHOTOS)
def test_result_shrunk_back_is_the_source(exact: Upscaler, name: str) -> None:
    source = upscaler.Picture.from_array(as_bytes(sample(name)))
    back = PIL.Image.fromarray(exact(source).pixels).reduce(4)
    error = np.abs(np.asarray(back).astype(int) - source.pixels).mean()
    assert error < 6


def test_a_grey_picture_stays_grey_in_one_channel_or_three(exact: Upscaler) -> None:
    grey = exact(SAMPLES / "camera.jpg")
    assert grey.pixels.shape[2] == 1
    stored_as_rgb = exact(np.repeat(upscaler.upscale(SAMPLES / "camera.jpg", 1, model="lanczos").pixels, 3, axis=2))
    assert (stored_as_rgb.pixels[:, :, 0] == stored_as_rgb.pixels[:, :, 1]).all()
    assert (stored_as_rgb.pixels[:, :, 0] == stored_as_rgb.pixels[:, :, 2]).all()


def test_colour_goes_through_a_grey_network_channel_by_channel(tmp_path: Path) -> None:
    up = Upscaler(str(tiny_compact(tmp_path, scale=2, channels=1)), device="cpu", precision="fp32")
    pixels = as_bytes(sample("astronaut.jpg")[:50, :50])
    result = up(pixels).pixels
    for channel in range(3):
        assert np.array_equal(result[:, :, channel], up(pixels[:, :, channel]).pixels[:, :, 0])


def test_sixteen_bits_keep_their_levels() -> None:
    gradient = np.tile(np.linspace(20000, 24000, 128).astype(np.uint16)[None, :, None], (32, 1, 3))
    gradient[:, :, 1] += 7
    result = upscaler.upscale(gradient, device="cpu")
    assert result.depth == 16
    assert len(np.unique(result.pixels[64])) > 256, "it went through 8 bits or half precision"


def test_passes_in_between_keep_sixteen_bits(lanczos: Upscaler) -> None:
    gradient = np.tile(np.linspace(20000, 24000, 64).astype(np.uint16)[None, :, None], (16, 1, 1))
    assert len(np.unique(lanczos(gradient, 8).pixels)) > 400


@pytest.mark.parametrize("model", ["faithful", "lanczos"])
def test_a_logo_on_any_ground_has_no_fringe(model: str) -> None:
    """A white disc whose transparent pixels are black must stay white to its very edge."""
    y, x = np.mgrid[-40:40, -40:40]
    inside = np.clip(30.5 - np.hypot(x, y), 0, 1)
    logo = np.zeros((80, 80, 4), np.uint8)
    logo[inside > 0, :3] = 255
    logo[:, :, 3] = np.rint(inside * 255)
    result = upscaler.upscale(logo, 4, model=model, device="cpu").pixels
    visible = result[:, :, 3] > 8
    assert result[visible][:, :3].min() >= 245
    assert (result[120:200, 120:200, 3] == 255).all(), "what was opaque stays opaque"
    assert (result[:24, :24, 3] == 0).all(), "what was empty stays empty"


@pytest.mark.parametrize(("model", "denoise", "depth"), [("faithful", 0.5, 8), ("lanczos", 0, 8), ("lanczos", 0, 16)])
def test_a_wide_picture_is_the_same_by_columns(
    monkeypatch: pytest.MonkeyPatch, model: str, denoise: float, depth: int
) -> None:
    colour = as_bytes(sample("coffee.jpg"))[:40, :150]
    alpha = np.linspace(0, 255, colour.shape[1]).astype(np.uint8)[None, :, None].repeat(40, 0)
    pixels = np.concatenate([colour, alpha], 2)
    if depth == 16:
        pixels = pixels * np.uint16(257)
    pipeline = Pipeline(model, PipelineOptions(device="cpu", precision="fp32", tile=64, denoise=denoise))
    found = []
    for by_columns in (False, True):
        if by_columns:
            monkeypatch.setattr(
                tiling, "plan_either_way", lambda size, *rest: tiling.plan(size.transpose(), *rest).transpose()
            )
        picture = Picture.from_array(pixels)
        estimate = pipeline.estimate(picture, Target(scale=2))
        assert all(isinstance(plan, Plan) and plan.by_columns == by_columns for plan in estimate.plans)
        found.append(pipeline.run(picture, estimate=estimate).pixels.astype(int))
    difference = np.abs(found[0] - found[1])
    assert difference.max() <= (1 if depth == 8 else 8)
    assert (difference > 0).mean() < (0.01 if depth == 8 else 0.3)


def test_the_largest_scans_are_planned_with_a_gibibyte() -> None:
    scan = Picture(np.broadcast_to(np.uint8(0), (30000, 30000, 1)))
    assert Pipeline("lanczos").estimate(scan, Target(scale=2)).memory < 2**30


@pytest.mark.parametrize("scale", [3, 7])
def test_networks_of_odd_scales_enlarge_alpha_that_varies(tmp_path: Path, scale: int) -> None:
    """Bands of the result may begin inside a row of the source."""
    pixels = np.full((70, 60, 4), 120, np.uint8)
    pixels[:, :, 3] = np.linspace(0, 255, 70)[:, None]
    pixels[:20, :, 3], pixels[-20:, :, 3] = 0, 255
    up = Upscaler(str(tiny_compact(tmp_path, scale=scale)), device="cpu", tile=40)
    alpha = up(pixels).pixels[:, :, 3]
    assert alpha.shape == (70 * scale, 60 * scale)
    assert (alpha[: 19 * scale] == 0).all()
    assert (alpha[-19 * scale :] == 255).all()


def test_opaque_alpha_stays_opaque(exact: Upscaler) -> None:
    pixels = np.dstack([as_bytes(sample("coffee.jpg")[:40, :40]), np.full((40, 40), 255, np.uint8)])
    result = exact(pixels).pixels
    assert (result[:, :, 3] == 255).all()
    assert np.array_equal(result[:, :, :3], exact(pixels[:, :, :3]).pixels)


def test_arrays_tensors_images_bytes_and_paths_give_the_same(lanczos: Upscaler) -> None:
    file = SAMPLES / "chelsea.png"
    right = lanczos(file).pixels
    pixels = np.asarray(PIL.Image.open(file))
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    for source in (str(file), file.read_bytes(), pixels, PIL.Image.open(file), tensor, tensor[None]):
        assert np.array_equal(lanczos(source).pixels, right)
    floats = lanczos(pixels / 255)
    assert floats.depth == 16
    assert np.abs(floats.pixels / 257 - right).max() <= 1


def test_picture_converts_to_what_libraries_want(lanczos: Upscaler) -> None:
    result = lanczos(SAMPLES / "camera.jpg", 2)
    assert result.to_numpy().shape == (512, 512)
    assert result.to_pil().mode == "L"
    tensor = result.to_tensor()
    assert tuple(tensor.shape) == (1, 512, 512)
    assert np.array_equal(Picture.from_tensor(tensor).pixels // 257, result.pixels)


@pytest.mark.parametrize(
    "bad", [np.zeros((3, 4, 5), np.uint8), np.zeros(7), np.full((4, 4), np.nan), np.zeros((4, 4), np.int32), 17, None]
)
def test_what_is_no_picture_is_refused_with_a_sentence(lanczos: Upscaler, bad: object) -> None:
    with pytest.raises(PictureError, match=r"\."):
        lanczos(bad)  # type: ignore[arg-type]


def test_a_network_that_only_cleans_refuses_to_enlarge(tmp_path: Path) -> None:
    up = Upscaler(str(tiny_compact(tmp_path, scale=1)), device="cpu")
    pixels = as_bytes(sample("coffee.jpg")[:40, :40])
    cleaned = up(pixels)
    assert cleaned.size == Size(40, 40)
    assert up.estimate(pixels).plans, "it was copied, not cleaned"
    with pytest.raises(PlanError, match="without enlarging"):
        up(pixels, 2)


def test_threads_do_not_mix_their_pictures(exact: Upscaler) -> None:
    sources = [as_bytes(sample(name)[:90, :120]) for name in PHOTOS] * 2
    right = [exact(source).pixels for source in sources]
    results: list[np.ndarray | None] = [None] * len(sources)

    def work(index: int) -> None:
        results[index] = exact(sources[index]).pixels

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result, wanted in zip(results, right, strict=True):
        assert result is not None
        assert np.abs(result.astype(int) - wanted).max() <= 1


def test_progress_counts_every_tile_once_to_the_end() -> None:
    up = Upscaler("lanczos", tile=40)
    for name in ("astronaut.jpg", "logo.png"):
        calls: list[tuple[int, int]] = []
        up(SAMPLES / name, 6, progress=lambda done, total, calls=calls: calls.append((done, total)))
        assert [done for done, _ in calls] == list(range(calls[0][1] + 1))


def test_large_pictures_lie_on_disk_with_the_same_pixels(
    lanczos: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = lanczos(SAMPLES / "logo.png", 6).pixels
    monkeypatch.setattr(canvas, "IN_MEMORY", 1000)
    result = lanczos(SAMPLES / "logo.png", 6, workspace=tmp_path)
    assert isinstance(result.pixels, np.memmap)
    assert np.array_equal(result.pixels, right)
    assert not list(tmp_path.glob("*upscaler*")), "the file has no name to be left behind"


def test_interrupting_leaves_nothing(lanczos: Upscaler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas, "IN_MEMORY", 1000)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lanczos(SAMPLES / "logo.png", 6, workspace=tmp_path, progress=stop)
    assert not list(tmp_path.iterdir()) or {file.name for file in tmp_path.iterdir()} <= {"home"}


def test_upscaler_loads_again_after_it_was_closed() -> None:
    with Upscaler("lanczos") as up:
        first = up(SAMPLES / "chelsea.png").pixels
    assert np.array_equal(up(SAMPLES / "chelsea.png").pixels, first)


def test_pictures_are_computed_alone_where_a_batch_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline(str(tiny_compact(tmp_path)), PipelineOptions(device="cpu", precision="fp32", batch=4))
    pictures = [Picture.from_array(np.full((9, 9, 3), level, np.uint8)) for level in (10, 200)]
    estimates = [pipeline.estimate(picture) for picture in pictures]
    run_tiles = NetworkEngine.run

    def one_at_a_time(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        if len(tiles) > 1:
            raise EngineError("too many")
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", one_at_a_time)
    computed = pipeline.compute_tiles(pictures, estimates)
    for picture, estimate, tiles in zip(pictures, estimates, computed, strict=True):
        assert len(tiles) == 1
        shared = pipeline.run(picture, estimate=estimate, tiles=tiles)
        assert np.array_equal(shared.pixels, pipeline.run(picture).pixels)


def test_pictures_of_several_tiles_or_passes_are_not_computed_together(tmp_path: Path) -> None:
    pipeline = Pipeline(str(tiny_compact(tmp_path)), PipelineOptions(device="cpu", batch=4, tile=64))
    small, large = (Picture.from_array(np.zeros((side, side, 3), np.uint8)) for side in (40, 400))
    assert pipeline.estimate(small).batch_key is not None
    assert pipeline.estimate(large).batch_key is None
    assert pipeline.estimate(small, Target(scale=4)).batch_key is None
    assert Pipeline(str(tiny_compact(tmp_path)), PipelineOptions(device="cpu")).estimate(small).batch_key is None


def test_pictures_to_be_cleaned_are_cleaned_and_enlarged_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    noisy = [random.integers(60, 190, (40, 48, channels), np.uint8) for channels in (3, 3, 4, 3)]
    noisy[1][:] = noisy[1][:, :, :1]
    noisy.append(noisy[3].astype(np.uint16) * 257)
    pictures = [Picture.from_array(pixels) for pixels in noisy]
    batches: list[tuple[int, ...]] = []
    run_tiles = NetworkEngine.run

    def counted(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        batches.append(tiles.shape)
        return run_tiles(self, tiles)

    with pretend("cuda"):
        pipeline = Pipeline(str(tiny_compact(tmp_path)), PipelineOptions(denoise=0.7, precision="fp32"))
        estimates = [pipeline.estimate(picture) for picture in pictures]
        assert len(estimates[0].plans) == 2
        keys = [estimate.batch_key for estimate in estimates]
        assert keys[0] is not None
        assert keys == [keys[0]] * 4 + keys[4:]
        assert keys[4] not in (None, keys[0]), "its precision may be another one"
        alone = [pipeline.run(picture) for picture in pictures[:4]]
        monkeypatch.setattr(NetworkEngine, "run", counted)
        computed = pipeline.compute_tiles(pictures[:4], estimates[:4])
        assert [shape[0] for shape in batches] == [4, 4]
        monkeypatch.setattr(NetworkEngine, "run", run_tiles)
        for picture, estimate, tiles, right in zip(pictures, estimates, computed, alone, strict=False):
            assert len(tiles) == 2
            shared = pipeline.run(picture, estimate=estimate, tiles=tiles).pixels
            assert shared.dtype == np.uint8
            assert np.abs(shared.astype(int) - right.pixels).max() <= 1


def test_a_picture_that_cannot_be_computed_does_not_take_the_others_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(
        str(tiny_compact(tmp_path)), PipelineOptions(device="cpu", backend="torch", precision="fp32", batch=4)
    )
    pictures = [Picture.from_array(np.full((9, 9, 3), level, np.uint8)) for level in (10, 200)]
    estimates = [pipeline.estimate(picture) for picture in pictures]
    right = pipeline.run(pictures[0]).pixels
    run_tiles = NetworkEngine.run

    def not_bright(self: NetworkEngine, tiles: FloatArray) -> FloatArray:
        if tiles.max() > 0.5:
            raise RuntimeError("too bright")
        return run_tiles(self, tiles)

    monkeypatch.setattr(NetworkEngine, "run", not_bright)
    dark, bright = pipeline.compute_tiles(pictures, estimates)
    assert np.array_equal(pipeline.run(pictures[0], estimate=estimates[0], tiles=dark).pixels, right)
    with pytest.raises(EngineError, match="too bright"):
        pipeline.run(pictures[1], estimate=estimates[1], tiles=bright)


def test_a_pipeline_sent_elsewhere_makes_the_same_picture_and_takes_nothing_loaded_with_it(tmp_path: Path) -> None:
    pipeline = Pipeline(str(tiny_compact(tmp_path)), PipelineOptions(device="cpu", precision="fp32", fidelity=0.7))
    pixels = as_bytes(sample("coffee.jpg")[:40, :40])
    right = pipeline.run(pixels).pixels
    sent = pickle.dumps(pipeline)
    assert len(sent) < 10_000
    received = pickle.loads(sent)
    assert received.settings == pipeline.settings
    assert np.array_equal(received.run(pixels).pixels, right)
    assert pipeline.on("cpu").options == pipeline.options
    assert pipeline.on("cuda").options.device == "cuda"


def test_settings_hold_every_option_but_those_that_results_do_not_depend_on(tmp_path: Path) -> None:
    """Else a job that is begun again would keep what was made with another value. Diffusion models have windows."""
    without_effect, windows = {"device", "batch", "workspace"}, {"memory": 2 * 10**9, "tile": 256, "overlap": 0}
    options = {field.name for field in dataclasses.fields(PipelineOptions)}
    for name in ("face.pth", "detector.onnx"):
        (tmp_path / name).write_bytes(b"only its hash is asked for")
    faces = FaceOptions(model=str(tmp_path / "face.pth"), detector=str(tmp_path / "detector.onnx"))
    chosen = PipelineOptions(**windows, backend="ncnn", before=("photo",), faces=faces)
    settings = Pipeline("lanczos", chosen).settings
    assert settings.keys() == options - without_effect - windows.keys() | {"model", "weights"}
    build_x4().save_pretrained(tmp_path / "x4")
    diffusion = Pipeline(str(tmp_path / "x4"), chosen).settings
    assert diffusion.keys() == options - without_effect | {"model", "weights"}
    assert diffusion.items() >= windows.items()


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_fidelity_out_of_range_names_its_argument(value: float) -> None:
    with pytest.raises(PlanError, match=r"^fidelity=.*: the value must be between 0 and 1"):
        PipelineOptions(fidelity=value)
