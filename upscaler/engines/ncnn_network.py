"""Networks in ncnn's form on this machine: those of checkpoints, written once into the cache folder, and a user's own.

What must be known to run one is kept beside it. No torch is needed but for checkpoints that are pickles.
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from .. import catalog, interpreter
from ..arrays import FloatArray
from ..catalog.ncnn import Surroundings, Tail, export, find_pair, find_tail
from ..catalog.ncnn.graph import DAMAGED, read_fields
from ..catalog.ncnn.write import State
from ..errors import EngineError, ModelError, first_line
from ..files import cache_dir
from .ncnn_net import PART, NcnnNet, NcnnNetwork

log = logging.getLogger("upscaler")

FORMAT = 2
"""The number of what is written; files with other numbers are written anew."""

SIDE = 96
"""Side in pixels of the picture on which a user's own network is measured: divisible by the strides in use, and larger
than the margins. Every blob is kept meanwhile."""

SCRATCH = 2.78
"""Bytes that a convolution takes beside its result, for each of its input: a copy with borders, and its transform
(Winograd's, 64 values for 36)."""


PATIENCE, MEMORY = 600, 4 * 2**30
"""Seconds and bytes in which a pair of files must be measured, on pictures that have a few thousand pixels."""


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
            around, tail = Surroundings(**known.pop("around")), known.pop("tail")
            return NcnnNetwork(param, bin, key, around, tail=None if tail is None else Tail(**tail), **known)
    except (OSError, ValueError, TypeError, AttributeError, KeyError):  # missing, or of another form: it is made again
        pass
    network = _measure_apart(param, bin, key) if is_pair else _write(file, other, share, key, param, bin)
    about = asdict(network) if network else {}
    for name in ("param", "bin", "key"):
        about.pop(name, None)
    _keep(facts, json.dumps(about or None).encode())
    return network


def _measure_apart(param: Path, bin: Path, key: str) -> NcnnNetwork:
    """Measures a pair of files in a process of its own, since ncnn computes whatever a graph says, and may be ended by
    it. Raises ModelError, also when that happens."""
    statement = "from upscaler.engines import ncnn_network; ncnn_network.write_measured(*sys.argv[1:])"
    command = interpreter.command(statement, str(param.absolute()), str(bin.absolute()), key)
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{param}: ncnn has computed it for {PATIENCE} s without a result. {DAMAGED}") from error
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise ModelError(f"{param}: ncnn ends when it computes it (code {done.returncode}). {DAMAGED}") from error
    if "error" in found:
        raise ModelError(found["error"])
    around, tail = Surroundings(**found.pop("around")), found.pop("tail")
    return NcnnNetwork(param, bin, key, around, tail=None if tail is None else Tail(**tail), **found)


def write_measured(param: str, bin: str, key: str) -> None:
    """Writes what `_measure` finds to standard output as JSON; of a ModelError, its text as `error`."""
    interpreter.limit(MEMORY, PATIENCE)
    try:
        found = asdict(_measure(Path(param), Path(bin), key))
    except ModelError as error:
        found = {"error": str(error)}
    sys.stdout.write(json.dumps({name: value for name, value in found.items() if name not in ("param", "bin", "key")}))


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
    return _add_memory(network, _observe(NcnnNet(network), _grey(network.around.channels, side, side)))


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
        observed = _observe(loaded, _grey(channels, SIDE, SIDE))
        first, smallest = observed.result, min(blob[-1] for blob in observed.blobs.values() if blob[-1] > 1)
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
    return _add_memory(replace(network, around=around), observed)


def _channels(param: Path) -> int:
    """Returns how many channels of a picture a graph takes: what its first convolution takes, if that comes early.

    Raises ModelError when it is not a graph, or begins in another way.
    """
    for kind, fields in read_fields(param):
        if kind == "Convolution":
            try:
                kernel = int(fields["1"]) * int(fields.get("11", fields["1"]))
                channels = int(fields["6"]) // (int(fields["0"]) * kernel)
            except (KeyError, ValueError, ZeroDivisionError) as error:
                raise ModelError(f"{param}: its first convolution lacks its sizes. {DAMAGED}") from error
            if not 1 <= channels <= 4:
                raise ModelError(f"{param}: it takes {channels} channels, and pictures have 1 to 4.")
            return channels
        if kind not in ("Input", "Split", "MemoryData", "BinaryOp", "Padding"):  # these keep the channels
            break
    raise ModelError(f"{param}: only a network that begins with a convolution can be used without knowing it.")


@dataclass(frozen=True, slots=True)
class _Observed:
    """What was seen of a network while it computed one picture."""

    pixels: int
    """How many pixels the picture has."""
    result: tuple[int, ...]
    """Channels, height and width."""
    blobs: dict[str, tuple[int, ...]]
    """The shape of every blob, by its name, in the order in which they are computed."""
    alive: dict[str, float]
    """Bytes that are in use while a layer is computed, by the name of the first blob that it gives."""


def _observe(loaded: NcnnNet, source: FloatArray) -> _Observed:
    """Computes every blob of a network."""
    net = loaded.net
    names = [blob.name for blob in net.blobs()]
    blobs = loaded.extract(source, range(len(names)), light=False)
    layers = net.layers()
    owner: dict[int, int] = {}
    last: dict[int, int] = {}
    for index, layer in enumerate(layers):
        owner |= {top: owner[layer.bottoms[0]] if layer.type == "Split" else top for top in layer.tops}
        last |= {owner[bottom]: index for bottom in layer.bottoms}
    alive: set[int] = set()
    in_use: dict[str, float] = {}
    for index, layer in enumerate(layers):
        alive |= {owner[top] for top in layer.tops}
        scratch = SCRATCH * blobs[layer.bottoms[0]].nbytes if layer.type == "Convolution" else 0
        in_use[names[layer.tops[0]]] = sum(blobs[blob].nbytes for blob in alive) + scratch
        alive -= {blob for blob in alive if last.get(blob, index + 1) <= index}
    shapes = {name: blob.shape for name, blob in zip(names, blobs, strict=True) if blob.ndim == 3}
    return _Observed(source.shape[1] * source.shape[2], blobs[-1].shape, shapes, in_use)


def _add_memory(network: NcnnNetwork, observed: _Observed) -> NcnnNetwork:
    """Returns a network with the memory that it takes. It is divided if its tail takes more than its trunk."""
    names, pixels = list(observed.alive), observed.pixels
    tail = None if network.around.margin else find_tail(network.param)
    end = len(names) if tail is None else 1 + names.index(tail.neck)
    trunk = max(observed.alive[name] for name in names[:end]) / pixels
    rest = max((observed.alive[name] for name in names[end:]), default=0) / pixels
    if rest <= trunk:
        tail, end = None, len(names)
    last = len(observed.blobs) if tail is None else 1 + list(observed.blobs).index(tail.neck)
    largest = max(math.prod(shape) for shape in list(observed.blobs.values())[:last]) / pixels
    fixed = 0.0
    if tail is not None:
        neck = math.prod(observed.blobs[tail.neck][1:]) / pixels
        fixed = rest / neck * (PART + 2 * tail.reach) ** 2
    return replace(network, bytes_per_pixel=trunk, elements_per_pixel=largest, tail=tail, fixed_bytes=fixed)
