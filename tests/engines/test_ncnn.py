"""Networks that ncnn computes: the same pixels as torch's, on the processor and on a Vulkan device; failures."""

from __future__ import annotations

import dataclasses
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.catalog.test_ncnn import WRITTEN, rrdbnet_state
from tests.networks import tiny_compact
from tests.pictures import sample
from tests.vulkan import needs_vulkan
from upscaler import Upscaler, catalog
from upscaler.arrays import FloatArray
from upscaler.engines import ncnn_net, ncnn_network, run_checked
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.ncnn import NcnnEngine
from upscaler.engines.ncnn_net import NcnnNet
from upscaler.engines.ncnn_network import find_network
from upscaler.engines.network import NetworkEngine
from upscaler.errors import EngineError, ModelError, OutOfMemory, PlanError
from upscaler.surface import HOST, Upload, cut
from upscaler.tiling import Budget, Size, plan

LEVEL = 1 / 255

DEVICES = ("cpu", pytest.param("vulkan", marks=needs_vulkan))


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        save_file(WRITTEN[name](), tmp_path / f"{name}.safetensors")
        return tmp_path / f"{name}.safetensors"

    return make


def load(file: Path, device: str = "cpu", **options: Any) -> NcnnEngine:
    network = find_network(file)
    assert network is not None
    return NcnnEngine.load(network, name=file.stem, device=device, **{"reach": 4, **options})


def tiles(channels: int = 3, count: int = 2, height: int = 48, width: int = 32) -> FloatArray:
    return np.random.default_rng(3).random((count, height, width, channels), np.float32)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("device", ["cpu", pytest.param("vulkan", marks=[needs_vulkan, pytest.mark.slow])])
def test_it_computes_what_torch_does(name: str, device: str, make: Callable[[str], Path]) -> None:
    file = make(name)
    ours = load(file, device, precision="fp32")
    theirs = NetworkEngine.load(Checkpoint(file), name=name, device="cpu", precision="fp32", reach=4)
    pixels = tiles(ours.info.channels)
    assert (ours.info.channels, ours.info.needs.scale) == (theirs.info.channels, theirs.info.needs.scale)
    assert (ours.info.needs.multiple, ours.info.needs.minimum) == (
        theirs.info.needs.multiple,
        theirs.info.needs.minimum,
    )
    assert ours.info.keeps_tone == theirs.info.keeps_tone
    result = ours.run(pixels)
    assert (result.dtype, result.shape) == (np.float32, theirs.run(pixels).shape)
    assert np.abs(result - theirs.run(pixels)).max() < LEVEL / 2


@pytest.mark.parametrize("name", ["drunet", "upcunet-3x", "rrdbnet-x2plus"])
def test_sides_that_are_no_multiples_are_filled_up(name: str, make: Callable[[str], Path]) -> None:
    engine = load(make(name))
    whole = engine.run(tiles(height=48, width=48))
    part = engine.run(tiles(height=48, width=48)[:, :45, :43])
    scale = engine.info.needs.scale
    assert part.shape == (2, 45 * scale, 43 * scale, 3)
    if name != "upcunet-3x":  # which sees the whole of its tile
        assert np.abs(part[:, : 20 * scale, : 20 * scale] - whole[:, : 20 * scale, : 20 * scale]).mean() < 0.02


@pytest.mark.parametrize("doublings", [1, 2, 3])
@pytest.mark.parametrize("size", [(50, 70), (16, 16), (33, 17), (4, 100)], ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_a_divided_network_gives_what_it_gives_at_once(
    doublings: int, size: tuple[int, int], device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncnn_net, "PART", 16)
    save_file(rrdbnet_state(doublings, features=16, grow=4), tmp_path / "net.safetensors")
    network = find_network(tmp_path / "net.safetensors")
    assert network is not None
    assert network.tail is not None
    whole = dataclasses.replace(network, tail=None)
    divided, at_once = (
        NcnnEngine.load(each, name="net", device=device, precision="fp32", reach=4) for each in (network, whole)
    )
    pixels = tiles(height=size[0], width=size[1])
    assert np.abs(divided.run(pixels) - at_once.run(pixels)).max() < 1e-5


def test_a_divided_network_takes_a_fraction_of_the_memory(tmp_path: Path) -> None:
    state = rrdbnet_state(features=64, grow=32)  # the sizes of Real-ESRGAN x4plus, whose other blocks take no more
    save_file(state, tmp_path / "net.safetensors")
    network = find_network(tmp_path / "net.safetensors")
    assert network is not None
    assert network.tail is not None
    whole = ncnn_network._add_memory(
        dataclasses.replace(network, around=dataclasses.replace(network.around, margin=1)),
        ncnn_network._observe(NcnnNet(network), np.full((3, 32, 32), 0.5, np.float32)),
    )
    assert whole.tail is None
    assert network.bytes_per_pixel < 0.25 * whole.bytes_per_pixel


def test_reach_is_measured_where_it_is_not_known_and_is_torch_s(make: Callable[[str], Path], tmp_path: Path) -> None:
    file = make("compact-1x")
    ours = load(file, reach=None).info.needs.reach
    (tmp_path / "home" / "tiling.json").unlink()
    assert ours == NetworkEngine.load(Checkpoint(file), name="n", device="cpu").info.needs.reach


def test_a_network_is_written_once(
    make: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make("compact-1x")
    first = find_network(file)
    monkeypatch.setattr(ncnn_network, "export", None)
    assert find_network(file) == first
    for other in tmp_path.glob("home/ncnn/*.bin"):
        other.unlink()
    with pytest.raises(TypeError):
        find_network(file)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"around": {}}'])
def test_facts_of_another_form_are_written_again(content: str, make: Callable[[str], Path], tmp_path: Path) -> None:
    first = find_network(make("compact-1x"))
    (facts,) = tmp_path.glob("home/ncnn/*.json")
    before = facts.read_text()
    facts.write_text(content)
    assert find_network(make("compact-1x")) == first
    assert facts.read_text() == before


def test_two_networks_are_mixed(tmp_path: Path) -> None:
    one = WRITTEN["compact-1x"]()
    other = {name: value * np.float32(1.1) for name, value in one.items()}
    files = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    for state, file in zip((one, other), files, strict=True):
        save_file(state, file)
    network = find_network(*files, 0.25)
    assert network is not None
    assert len({network.key, *(each.key for file in files if (each := find_network(file)))}) == 3
    ours = NcnnEngine.load(network, name="mixed", reach=4).run(tiles())
    theirs = NetworkEngine.load(Checkpoint(*files, 0.25), name="mixed", device="cpu", precision="fp32", reach=4)
    assert np.abs(ours - theirs.run(tiles())).max() < LEVEL / 2
    save_file({"body.0.weight": np.zeros((1, 3, 3, 3), np.float32)}, files[1])
    with pytest.raises(ModelError, match=r"other\.safetensors: its architecture is not that of one\.safetensors"):
        find_network(*files, 0.5)


def test_pickles_are_read_by_torch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in WRITTEN["compact-1x"]().items()}
    torch.save({"params_ema": state}, tmp_path / "net.pth")
    first = find_network(tmp_path / "net.pth")
    assert first is not None
    monkeypatch.setattr("upscaler.engines.checkpoint.read_weights", None)
    assert find_network(tmp_path / "net.pth") == first


@pytest.mark.parametrize("device", DEVICES)
def test_several_threads_compute_at_once(device: str, make: Callable[[str], Path]) -> None:
    engine = load(make("rrdbnet-4x"), device, precision="fp32")
    pixels = tiles(count=1)
    expected = engine.run(pixels)
    results: list[FloatArray] = []
    threads = [threading.Thread(target=lambda: results.append(engine.run(pixels))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results)


def test_fallbacks_end_with_the_simplest_kernels(make: Callable[[str], Path]) -> None:
    engine = load(make("rrdbnet-4x"))
    plain = engine.fallback()
    assert plain is not None
    assert np.abs(engine.run(tiles()) - plain.run(tiles())).max() < LEVEL / 2
    assert engine.fallback() is plain
    assert plain.fallback() is None
    assert engine.fallback(elsewhere=True) is None


@needs_vulkan
def test_on_vulkan_fallbacks_go_to_float32_and_to_the_processor(make: Callable[[str], Path]) -> None:
    engine = load(make("compact-1x"), "vulkan")
    places = []
    fallback: Any = engine
    while fallback is not None:
        places.append((fallback.info.device, fallback.info.precision))
        fallback = fallback.fallback()
    assert places[0][0].startswith("vulkan:")
    assert places[-3:] == [(places[0][0], "fp32"), ("cpu", "fp32"), ("cpu", "fp32")]
    elsewhere = engine.fallback(elsewhere=True)
    assert elsewhere is not None
    assert elsewhere.info.device == "cpu"


@needs_vulkan
def test_half_precision_is_taken_only_where_it_is_right(
    make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make("compact-1x")
    assert load(file, "vulkan").info.precision == "fp16"
    right = NcnnNet.compute

    def compute(self: NcnnNet, tile: FloatArray) -> FloatArray:
        return right(self, tile) * (0 if self.net.opt.use_fp16_storage else 1)

    monkeypatch.setattr(NcnnNet, "compute", compute)
    assert load(file, "vulkan").info.precision == "fp32"
    with pytest.raises(ModelError, match=r"does not run at first try .*in fp16: its result is wrong"):
        load(file, "vulkan", precision="fp16")


@pytest.mark.parametrize("precision", ["bf16", "fp16", "int8"])
def test_processors_compute_in_float32_only(precision: str, make: Callable[[str], Path]) -> None:
    with pytest.raises(PlanError, match=rf"^precision={precision}: ncnn computes fp32 on a processor"):
        load(make("compact-1x"), precision=precision)


def test_ncnn_s_code_for_too_little_memory_is_known(
    make: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = load(make("compact-1x"))
    net = engine._net.net

    class Failing:
        """A net whose extractors give a code of failure."""

        input_names, output_names = net.input_names, net.output_names

        def create_extractor(self) -> Failing:
            return self

        def set_light_mode(self, light: bool) -> None: ...

        def input(self, name: str, source: Any) -> int:
            return 0

        def extract(self, name: str) -> tuple[int, None]:
            return code, None

    engine._net.net = Failing()
    for code, error, sentence in (  # noqa: B007
        (-100, OutOfMemory, "ncnn could not allocate what it needs"),
        (-1, EngineError, r"ncnn could not compute it \(code -1\)"),
    ):
        with pytest.raises(error, match=sentence):
            engine.run(tiles())


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_too_little_memory_gives_smaller_tiles(tmp_path: Path) -> None:
    """Allocations of ncnn fail for real, and the picture is the same."""
    code = """
import resource, sys, logging
import numpy as np
from pathlib import Path
from upscaler import Upscaler
logging.basicConfig(level=logging.WARNING)
upscaler = Upscaler("photo", device="cpu", backend="ncnn", denoise=0, tile=512)
picture = np.random.default_rng(0).integers(0, 256, (480, 480, 3), np.uint8)
whole = upscaler(picture).pixels.astype(int)
upscaler = Upscaler("photo", device="cpu", backend="ncnn", denoise=0, tile=512)
upscaler(picture[:32, :32])
used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20, -1))
tiled = upscaler(picture).pixels
print(np.abs(whole - tiled).max() <= 1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert "out of memory on cpu: tiles of" in done.stderr


@needs_vulkan
def test_a_vulkan_device_that_disappears_is_replaced_by_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tiny_compact(tmp_path)
    engine, expected = load(file, "vulkan", precision="fp32"), load(file)
    picture = np.rint(sample("coffee.jpg")[:200, :90] * 255).astype(np.uint8)
    right = NcnnNet.compute

    def compute(self: NcnnNet, tile: FloatArray) -> FloatArray:
        if self.net.opt.use_vulkan_compute:
            raise EngineError("ncnn could not compute it (code -1).")
        return right(self, tile)

    monkeypatch.setattr(NcnnNet, "compute", compute)
    tiling = plan(Size(90, 200), engine.info.needs, Budget(2**30, tile=48))
    with caplog.at_level(logging.WARNING):
        computed = list(run_checked(engine, cut(Upload(picture, HOST), tiling)))
    assert "using fp32 on cpu from here on" in caplog.text
    assert len(computed) == tiling.count
    for tile, batch in zip(computed, cut(Upload(picture, HOST), tiling), strict=True):
        assert np.array_equal(tile.pixels, expected.run(batch.pixels)[0])


@needs_vulkan
@pytest.mark.parametrize("name", ["text.png", "coffee.jpg"])
def test_pictures_are_right_on_vulkan(name: str) -> None:
    picture = np.rint(sample(name)[50:98, 60:120] * 255).astype(np.uint8)
    alpha = np.random.default_rng(0).integers(0, 256, (*picture.shape[:2], 1), np.uint8)
    for source in (picture, np.concatenate([picture, alpha], 2), (picture.astype(np.uint16) * 257)):
        ours, theirs = (
            Upscaler("photo-fast", device=device, precision="fp32", tile=40, denoise=0.5)(source).pixels
            for device in ("vulkan", "cpu")
        )
        assert np.abs(ours.astype(int) - theirs).max() <= (16 if source.dtype == np.uint16 else 1)


# Networks that are used as they are


def unknown(folder: Path, old: str, new: str) -> Path:
    """A graph that the importer does not know."""
    network = find_network(catalog.fetch_model(catalog.find("photo-fast")))
    assert network is not None
    (folder / "odd.bin").write_bytes(network.bin.read_bytes())
    text, count = re.subn(old, new, network.param.read_text(), count=1, flags=re.MULTILINE)
    assert count
    (folder / "odd.param").write_text(text)
    return folder / "odd.param"


def test_a_graph_that_only_ncnn_knows_is_used_as_it_is(tmp_path: Path) -> None:
    """It has a parameter that ncnn knows, or ignores, and the importer does not."""
    file = unknown(tmp_path, r"^PReLU (\S+) 1 1 (\S+) (\S+) 0=(\d+)$", r"PReLU \1 1 1 \2 \3 0=\4 7=1")
    model = catalog.find(str(file))
    assert (model.file, model.name) == (file, "odd")
    picture = np.random.default_rng(0).integers(0, 256, (30, 41, 3), np.uint8)
    upscaler = Upscaler(str(file), device="cpu")
    info = upscaler.estimate(picture).engine
    assert (info.backend, info.needs.scale) == ("ncnn", 4)
    assert 5 < info.needs.reach < 15
    known = Upscaler("photo-fast", device="cpu", precision="fp32", denoise=0)
    assert np.abs(upscaler(picture).pixels.astype(int) - known(picture).pixels).max() <= 1
    with pytest.raises(PlanError, match=r"^backend=torch: only ncnn can compute this network"):
        Upscaler(str(file), backend="torch").estimate(picture)
    with pytest.raises(PlanError, match=r"^device=cuda: ncnn computes on cpu or vulkan"):
        Upscaler(str(file), device="cuda").estimate(picture)


def test_margins_strides_and_scales_of_a_graph_are_measured(make: Callable[[str], Path]) -> None:
    for name in ("upcunet-2x", "upcunet-3x", "span"):
        written = find_network(make(name))
        assert written is not None
        measured = ncnn_network._measure(written.param, written.bin, "key").around
        facts = dataclasses.asdict(written.around)
        for fact in ("scale", "channels", "margin"):
            assert getattr(measured, fact) == facts[fact], (name, fact)
        assert measured.multiple % written.around.multiple == 0


@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        ("0=8 1=3", "its first convolution lacks its sizes"),
        ("0=8 1=0 6=216", "its first convolution lacks its sizes"),
        ("0=8 1=x 6=216", "its first convolution lacks its sizes"),
        ("0=8 1=3 6=72000", "it takes 1000 channels, and pictures have 1 to 4"),
    ],
)
def test_a_first_convolution_of_no_picture_is_refused_in_a_sentence(tmp_path: Path, sizes: str, sentence: str) -> None:
    file = tmp_path / "odd.param"
    file.write_text(f"7767517\n2 2\nInput in 0 1 a\nConvolution c 1 1 a b {sizes}\n")
    file.with_suffix(".bin").write_bytes(b"")
    with pytest.raises(ModelError, match=sentence):
        ncnn_network.find_network(file)


def test_a_graph_that_ends_its_process_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "odd.param"
    file.write_text("7767517\n2 2\nInput in 0 1 a\nConvolution c 1 1 a b 0=3 1=1 6=9\n")
    file.with_suffix(".bin").write_bytes(bytes(40))
    command = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"]
    monkeypatch.setattr(ncnn_network.interpreter, "command", lambda *_: command)
    with pytest.raises(ModelError, match=r"odd\.param: ncnn ends when it computes it \(code -11\)"):
        ncnn_network.find_network(file)
    command[-1] = "import time; time.sleep(60)"
    monkeypatch.setattr(ncnn_network, "PATIENCE", 0.1)
    with pytest.raises(ModelError, match=r"odd\.param: ncnn has computed it for 0\.1 s without a result"):
        ncnn_network.find_network(file)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (r"^PixelShuffle (.*) 0=4", r"PixelShuffle \1 0=4 1=1", r"odd\.param: .*"),
        ("^Input", "Outlet", "ncnn cannot read it|only a network that begins with a convolution"),
        ("^Convolution", "Foldings", "only a network that begins with a convolution"),
    ],
)
def test_a_graph_that_cannot_be_used_is_refused_in_a_sentence(
    old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    file = unknown(tmp_path, old, new)
    try:
        Upscaler(str(file), device="cpu").estimate(np.zeros((9, 9, 3), np.uint8))
    except ModelError as error:
        assert re.search(sentence, str(error))  # noqa: PT017
    else:
        assert "PixelShuffle" in old
