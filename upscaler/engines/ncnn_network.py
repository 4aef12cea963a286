"""Networks in ncnn's form on this machine: those of checkpoints, written once into the cache folder, and a user's own.

What must be known to run one is kept beside it. No torch is needed but for checkpoints that are pickles.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from .. import catalog
from ..arrays import FloatArray
from ..catalog.ncnn import Surroundings, export, find_pair
from ..catalog.ncnn.graph import read_fields
from ..catalog.ncnn.write import State
from ..errors import EngineError, ModelError, OutOfMemory, first_line
from ..files import cache_dir
from ..machine import count_processors
from ..vulkan import load_ncnn

log = logging.getLogger("upscaler")

FORMAT = 1
"""The number of what is written; files with other numbers are written anew."""

SIDE = 96
"""Side in pixels of the picture on which a user's own network is measured: divisible by the strides in use, and larger
than the margins. Every blob is kept meanwhile."""

OUT_OF_MEMORY = -100
"""The code that ncnn returns when it cannot allocate something."""

SCRATCH = 2.78
"""Bytes that a convolution takes beside its result, for each of its input: a copy with borders, and its transform
(Winograd's, 64 values for 36)."""


@dataclass(frozen=True, slots=True)
class NcnnNetwork:
    """A graph and its weights on disk, and what has to be known to run them. All figures are for a source pixel."""

    param: Path
    bin: Path
    key: str
    """The same for the same weights; measurements are kept under it."""
    around: Surroundings
    bytes_per_pixel: float
    """Memory of what is alive at once, in float32."""
    elements_per_pixel: float
    """Elements of the largest blob."""
    multiply_adds: float = 0.0
    """0 if not known."""


def find_network(file: Path, other: Path | None = None, share: float = 1.0) -> NcnnNetwork | None:
    """Returns the network of a checkpoint in ncnn's form, which is written at the first use, or that of a `.param` file
    as it is. None if it is a checkpoint that cannot be written so.

    With `other`, `share` of the weights are the first checkpoint's and the rest are the other's. Raises ModelError when
    a file cannot be read, or the cache folder cannot be written.
    """
    key = catalog.weights_key(file, other, share)
    place = cache_dir() / "ncnn" / f"{key}-{FORMAT}"
    facts = place.with_name(f"{place.name}.json")
    is_pair = file.suffix.lower() == ".param"
    param, bin = find_pair(file) if is_pair else (Path(f"{place}.param"), Path(f"{place}.bin"))
    try:
        known = json.loads(facts.read_text())
        if known is None:
            return None
        if param.is_file() and bin.is_file():
            return NcnnNetwork(param, bin, key, Surroundings(**known.pop("around")), **known)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):  # missing, or of another form: it is made again
        pass
    network = _measure(param, bin, key) if is_pair else _write(file, other, share, key, param, bin)
    about = asdict(network) if network else {}
    for name in ("param", "bin", "key"):
        about.pop(name, None)
    _keep(facts, json.dumps(about or None).encode())
    return network


class NcnnNet:
    """A network that ncnn has loaded. May be called from several threads."""

    def __init__(
        self, network: NcnnNetwork, *, vulkan: int | None = None, half: bool = False, plain: bool = False
    ) -> None:
        """Loads it on the processor, or on the Vulkan device of that index.

        `half` stores and computes in float16, which only Vulkan devices do fast: on processors ncnn's float16 and
        bfloat16 were measured to be slower than float32. `plain` takes the simplest kernels: no Winograd, no packing.
        Raises ModelError when ncnn cannot read the files, OutOfMemory.
        """
        self._ncnn = load_ncnn()
        self._around = network.around
        # The net's own would keep what they have allocated when memory runs out; they must live longer than the net.
        self._allocators = self._ncnn.PoolAllocator(), self._ncnn.PoolAllocator()
        self.net = self._ncnn.Net()
        options = self.net.opt
        for name in dir(options):
            if re.match("use_(fp16|bf16|int8)_", name):
                setattr(options, name, half and "fp16" in name)
            elif plain and re.fullmatch("use_(packing_layout|sgemm_convolution|winograd.*)", name):
                setattr(options, name, False)
        options.num_threads = max(min(count_processors(), self._ncnn.get_physical_big_cpu_count()), 1)
        options.openmp_blocktime = 0  # threads that wait do not spin
        options.blob_allocator, options.workspace_allocator = self._allocators
        if vulkan is not None:
            options.use_vulkan_compute = True
            self.net.set_vulkan_device(vulkan)
        for load, file in ((self.net.load_param, network.param), (self.net.load_model, network.bin)):
            code = load(str(file))
            if code == OUT_OF_MEMORY:
                raise OutOfMemory(f"{file}: there is too little memory for the network. Choose a smaller model.")
            if code != 0:
                raise ModelError(f"{file}: ncnn cannot read it (code {code}). It is damaged, or has unknown layers.")

    def __del__(self) -> None:
        self.net = None  # before its allocators

    def compute(self, tile: FloatArray) -> FloatArray:
        """Enlarges a tile, (height, width, channels), float32, 0..1; the result has values between 0 and 1, too.

        Raises OutOfMemory, and EngineError with ncnn's code, or when the result has another shape than it should.
        """
        around = self._around
        height, width, channels = tile.shape
        padding = [(around.margin, around.margin + -side % around.multiple) for side in (height, width)]
        source = np.pad(tile.transpose(2, 0, 1), [(0, 0), *padding], "reflect")
        (result,) = self.extract(source, self.net.output_names())
        scale = around.scale
        expected = (channels, *((side + -side % around.multiple) * scale for side in (height, width)))
        if result.shape != expected:
            raise EngineError(f"ncnn's result has the shape {result.shape} instead of {expected}.")
        result = result[:, : height * scale, : width * scale].transpose(1, 2, 0)
        if around.adds_picture:
            result = result + tile.repeat(scale, 0).repeat(scale, 1)
        enlarged: FloatArray = np.clip(result, 0, 1)
        return enlarged

    def extract(self, source: FloatArray, blobs: Iterable[str | int], light: bool = True) -> list[FloatArray]:
        """Returns blobs by their names or numbers, float32, given the input, (channels, height, width).

        `light` gives back the memory of each as soon as it is not needed any more. Raises OutOfMemory, EngineError.
        """
        contiguous = np.ascontiguousarray(source)  # which has to live until it is cloned
        extractor = self.net.create_extractor()
        extractor.set_light_mode(light)
        codes = [extractor.input(self.net.input_names()[0], self._ncnn.Mat(contiguous).clone())]
        results: list[FloatArray] = []
        for blob in blobs:
            code, result = extractor.extract(blob)
            codes.append(code)
            if code == 0:
                results.append(np.array(result))
        if OUT_OF_MEMORY in codes:
            del extractor
            for allocator in self._allocators:
                allocator.clear()
            raise OutOfMemory("ncnn could not allocate what it needs.")
        if failed := next(filter(None, codes), None):
            raise EngineError(f"ncnn could not compute it (code {failed}).")
        return results


def _write(file: Path, other: Path | None, share: float, key: str, param: Path, bin: Path) -> NcnnNetwork | None:
    """Writes a checkpoint as a graph and its weights; None if it is of no architecture that can be written so."""
    state = _read_state(file)
    if other is not None:
        state = _mix(file, state, other, _read_state(other), share)
    exported = export(state)
    if exported is None:
        return None
    _keep(bin, exported.bin)
    _keep(param, exported.param.encode())
    network = NcnnNetwork(param, bin, key, exported.surroundings, 0, 0, exported.multiply_adds)
    side = 32 + 2 * network.around.margin
    _, memory, largest, _ = _observe(NcnnNet(network), _grey(network.around.channels, side, side))
    return replace(network, bytes_per_pixel=memory, elements_per_pixel=largest)


def _read_state(file: Path) -> State:
    """Reads the weights of a checkpoint: those of safetensors by numpy, pickles and bfloat16 by torch."""
    if file.suffix.lower() in catalog.SAFETENSORS:
        with suppress(SafetensorError, TypeError, KeyError, OSError):  # torch says what is wrong with it, if anything
            return load_file(file)
    try:
        from .checkpoint import read_weights
    except (ImportError, OSError) as error:
        raise ModelError(f"{file}: only torch can read it, and cannot be loaded ({first_line(error)}).") from error
    state = read_weights(file)
    floats = {name: value if str(value.dtype) == "torch.float16" else value.float() for name, value in state.items()}
    return {name: value.numpy() for name, value in floats.items()}


def _mix(file: Path, state: State, other: Path, added: State, share: float) -> State:
    """Mixes weights: `share` of the first and the rest of the other's. Raises ModelError when they do not match."""
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in added.items()}:
        raise ModelError(
            f"{other}: its architecture is not that of {file.name}, so they cannot be mixed. Choose another file."
        )
    ours, theirs = ({name: value.astype(np.float32) for name, value in each.items()} for each in (state, added))
    return {name: theirs[name] + np.float32(share) * (value - theirs[name]) for name, value in ours.items()}


def _grey(channels: int, height: int, width: int) -> FloatArray:
    return np.full((channels, height, width), 0.5, np.float32)


def _keep(path: Path, content: bytes) -> None:
    catalog.write_weights(path, lambda temporary: temporary.write_bytes(content))


def _measure(param: Path, bin: Path, key: str) -> NcnnNetwork:
    """Finds out what the program that runs a graph must do around it, by running it on two pictures.

    Raises ModelError when it is not a network that enlarges pictures.
    """
    channels = _channels(param)
    network = NcnnNetwork(param, bin, key, Surroundings(1, channels), 0, 0)
    loaded = NcnnNet(network)
    net = loaded.net
    try:
        if len(net.input_names()) != 1 or len(net.output_names()) != 1:
            raise EngineError(f"it takes {len(net.input_names())} blobs and gives {len(net.output_names())}")
        first, memory, largest, smallest = _observe(loaded, _grey(channels, SIDE, SIDE))
        multiple = 2 ** max(round(math.log2(SIDE / smallest)), 0)
        if multiple > 1:  # in a part that is enlarged already, strides count for less
            multiple *= 2 ** max(math.ceil(math.log2(first[2] / SIDE)), 0)
        second = loaded.extract(_grey(channels, SIDE, SIDE + multiple), net.output_names())[0].shape
        scale, rest = divmod(second[2] - first[2], multiple)
        margin, odd = divmod(scale * SIDE - first[2], 2 * max(scale, 1))
        if rest or odd or scale < 1 or margin < 0 or first[0] != channels or first[1] != first[2]:
            raise EngineError(f"of {channels}x{SIDE}x{SIDE} pixels it makes {'x'.join(map(str, first))}")
    except EngineError as error:
        raise ModelError(f"{param}: it cannot be used to enlarge pictures: {first_line(error)}.") from error
    around = Surroundings(scale, channels, margin, multiple, minimum=2, keeps_tone=scale > 1)
    return replace(network, around=around, bytes_per_pixel=memory, elements_per_pixel=largest)


def _channels(param: Path) -> int:
    """Returns how many channels of a picture a graph takes: what its first convolution takes, if that comes early.

    Raises ModelError when it is not a graph, or begins in another way.
    """
    for kind, fields in read_fields(param):
        if kind == "Convolution":
            kernel = int(fields["1"]) * int(fields.get("11", fields["1"]))
            return int(fields["6"]) // (int(fields["0"]) * kernel)
        if kind not in ("Input", "Split", "MemoryData", "BinaryOp", "Padding"):  # these keep the channels
            break
    raise ModelError(f"{param}: only a network that begins with a convolution can be used without knowing it.")


def _observe(loaded: NcnnNet, source: FloatArray) -> tuple[tuple[int, ...], float, float, int]:
    """Computes every blob of a network; returns the result's shape, bytes alive at once and elements of the largest
    blob, both for each pixel of the source, and the smallest width of a blob that is not a single pixel."""
    blobs = loaded.extract(source, range(len(loaded.net.blobs())), light=False)
    layers = loaded.net.layers()
    owner: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, layer in enumerate(layers):
        owner |= {top: owner[layer.bottoms[0]] if layer.type == "Split" else top for top in layer.tops}
        last |= {owner[bottom]: index for bottom in layer.bottoms}
    alive: set[int] = set()
    peak = 0.0
    for index, layer in enumerate(layers):
        alive |= {owner[top] for top in layer.tops}
        scratch = SCRATCH * blobs[layer.bottoms[0]].nbytes if layer.type == "Convolution" else 0
        peak = max(peak, sum(blobs[blob].nbytes for blob in alive) + scratch)
        alive -= {blob for blob in alive if last.get(blob, index + 1) <= index}
    pixels = source.shape[1] * source.shape[2]
    widths = [blob.shape[-1] for blob in blobs if blob.ndim == 3 and blob.shape[-1] > 1]
    return blobs[-1].shape, peak / pixels, max(blob.size for blob in blobs) / pixels, min(widths)
