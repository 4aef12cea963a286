"""A GPU that does not exist, for tests on machines without one: `pretend` makes torch behave as if there were one.

    with pretend("cuda", memory=2**30) as gpu:
        torch.ones(3, device="cuda") + torch.ones(3)  # raises RuntimeError, as with a real one

Tensors of the pretended device are tensors of the processor whose storage is in a table of the device. So

- `tensor.device` names the device, and an operation on tensors of two devices raises what torch raises;
- the bytes of storages that are alive are counted. Beyond `memory`, or the share of it that the process has set for
  itself, an operation raises what the kind of device raises; what is freed stays reserved until the cache is emptied;
- convolutions, and products of matrices, round float32 to TF32 where torch's switches allow it and the card has it;
- float64 is missing on MPS, and elsewhere on request;
- functions of torch.cuda that refuse a device without an index refuse it;
- after `gpu.lose()` every operation raises, and never again computes, as after a fault in a real kernel;
- `gpu.before` sees each operation before it runs, and may raise; `gpu.crossings` lists what goes from and to the host.

It works in the thread that enters it and in those that are started inside. It has one card and no allocator, streams or
kernels of its own: order in time, fragmentation, and other digits than the processor's cannot be shown with it. What a
function of torch takes only while it runs is not counted.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode

GIB = 2**30

READS_NO_VALUES = {
    *("__get__", "__set__", "__len__", "dim", "size", "stride", "numel", "nelement", "element_size", "storage_offset"),
    *("is_floating_point", "is_complex", "is_contiguous", "is_inference", "untyped_storage", "data_ptr", "is_set_to"),
    *("_has_compatible_shallow_copy_type", "requires_grad_", "register_hook", "device", "_parse_to"),
}
"""Functions that compute nothing, so that a tensor's place does not matter to them and they never fail."""

COPIES = {"copy_", "__setitem__"}
"""Functions that copy their last argument into their first, from one device to another if need be."""

READS = {"item", "tolist", "__bool__", "__float__", "__int__", "__index__"}
"""Functions that bring numbers to the host."""

MIXES_DEVICES = {*COPIES, "__getitem__", "set_", "index_put_"}
"""Functions that torch lets have tensors of several devices, such as indices on the processor."""

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "conv_transpose2d"}
PRODUCTS = {"linear", "matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention"}


class FakeGPU(TorchFunctionMode):
    """The pretended card; see the module. `before` is called with an operation's name and the device's tensors."""

    def __init__(self, kind: str, memory: int, others: int, has_tf32: bool, has_float64: bool) -> None:
        super().__init__()
        self.device = torch.device(kind, 0)
        self.memory = memory
        self.others = others
        """Bytes that other programs use."""
        self.share = 1.0
        """The part of `memory` that the process allows itself."""
        self.words: Literal["allocator", "cublas", "cudnn"] = "allocator"
        """Which library of CUDA tells that memory has run out."""
        self.before: Callable[[str, list[torch.Tensor]], None] | None = None
        self.crossings: list[tuple[Literal["up", "down"], torch.dtype, int]] = []
        """What went between host and device: direction, precision and bytes on the device's side."""
        self.live = self.peak = self.reserved = 0
        self._has_tf32, self._has_float64 = has_tf32 and kind == "cuda", has_float64
        self._lock = threading.RLock()
        self._storages: dict[int, int] = {}
        self._is_lost = False
        own = torch.Tensor
        self._special: dict[Any, Callable[..., Any]] = {
            own.device.__get__: lambda tensor: self._device_of(tensor) or tensor.device,
            own.is_cpu.__get__: lambda tensor: not self.holds(tensor) and tensor.is_cpu,
            getattr(own, f"is_{kind}").__get__: self.holds,
            getattr(own, kind, None): lambda tensor, *_, **options: self._to(tensor, self.device, **options),
            own.cpu: lambda tensor, **options: self._to(tensor, "cpu", **options),
            own.to: self._to,
            own.type_as: self._to,
            own.numpy: partial(self._refuse_numpy, own.numpy),
            own.__array__: partial(self._refuse_numpy, own.__array__),
            own.pin_memory: lambda tensor: tensor.clone(),
        }

    def holds(self, tensor: torch.Tensor) -> bool:
        """Returns whether a tensor is on the device."""
        return self._device_of(tensor) is not None

    def lose(self) -> None:
        """Makes the device fail from now on."""
        self._is_lost = True

    def out_of_memory(self, wanted: int = 0) -> Exception:
        """Returns what torch raises on this kind of device when `wanted` bytes are not there."""
        if self.device.type == "mps":
            return RuntimeError(
                f"MPS backend out of memory (MPS allocated: {self.live} bytes, other allocations: {self.others} bytes, "
                f"max allowed: {self.memory} bytes). Tried to allocate {wanted} bytes on private pool. Use "
                "PYTORCH_MPS_HIGH_WATERMARK_RATIO=0.0 to disable upper limit for memory allocations."
            )
        if self.words == "cublas":
            return RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        if self.words == "cudnn":
            return RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        return torch.OutOfMemoryError(
            f"{self.device.type.upper()} out of memory. Tried to allocate {wanted} bytes. GPU 0 has a total capacity "
            f"of {self.memory} bytes of which {self.memory - self.others - self.reserved} bytes is free."
        )

    def free(self, device: Any = None) -> tuple[int, int]:
        """Returns free and all bytes of the card, as the driver sees them: what torch keeps is not free."""
        self._check()
        return max(self.memory - self.others - self.reserved, 0), self.memory

    def empty_cache(self) -> None:
        self._check()
        self.reserved = self.live

    def set_share(self, fraction: float, device: Any = None) -> None:
        device = None if device is None else torch.device(device)
        if device is not None and device.index is None:
            raise ValueError(f"Expected a torch.device with a specified index or an integer, but got:{device}")
        self.share = fraction

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in self._special:
            return self._special[func](*args, **kwargs)
        name = getattr(func, "__name__", str(func))
        if name in READS_NO_VALUES:
            return func(*args, **kwargs)
        is_asked = self._is_name_of_this(kwargs.get("device"))
        if is_asked:
            kwargs["device"] = "cpu"
            if kwargs.get("generator") is not None and kwargs["generator"].device.type == "cpu":
                raise RuntimeError(f"Expected a '{self.device.type}' device type for generator but found 'cpu'")
        if kwargs.pop("pin_memory", False) and is_asked:
            raise RuntimeError("Only dense CPU tensors can be pinned")
        tensors = list(_tensors((args, kwargs.values())))
        here = [tensor for tensor in tensors if self.holds(tensor)]
        if not here and not is_asked:
            return func(*args, **kwargs)
        self._check()
        if self.before is not None:
            self.before(name, here)
        if name not in MIXES_DEVICES and here and any(not self.holds(each) and each.dim() for each in tensors):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {self.device} and "
                f"cpu! (when checking arguments in {name})"
            )
        if self._rounds(name):
            args = tuple(_round_to_tf32(each) if isinstance(each, torch.Tensor) else each for each in args)
        if name in COPIES:
            self._log_crossing(args[-1], args[0])
        elif name in READS:
            self._log_crossing(args[0], None)
        result = func(*args, **kwargs)
        on_host = {tensor.untyped_storage()._cdata for tensor in tensors if not self.holds(tensor)}
        for tensor in _tensors((result,)):
            if tensor.untyped_storage()._cdata not in on_host:
                self._claim(tensor)
        return result

    def _check(self) -> None:
        if self._is_lost:
            raise getattr(torch, "AcceleratorError", RuntimeError)(
                f"{self.device.type.upper()} error: unspecified launch failure\nKernel errors might be asynchronously "
                "reported at some other API call, so the stacktrace below might be incorrect."
            )

    def _device_of(self, tensor: torch.Tensor) -> torch.device | None:
        if tensor.is_meta or tensor.layout != torch.strided:
            return None
        return self.device if tensor.untyped_storage()._cdata in self._storages else None

    def _is_name_of_this(self, value: str | int | torch.device | None) -> bool:
        named = torch.device(self.device.type, value) if isinstance(value, int) else torch.device(value or "cpu")
        if named.type == self.device.type and named.index not in (None, 0):
            raise RuntimeError("CUDA error: invalid device ordinal")
        return named.type == self.device.type

    def _claim(self, tensor: torch.Tensor) -> None:
        """Puts the storage of a new result on the device, if it is not there."""
        if tensor.dtype in (torch.float64, torch.complex128) and not self._has_float64:
            name = str(tensor.dtype).removeprefix("torch.")
            raise TypeError(
                f"Cannot convert a MPS Tensor to {name} dtype as the MPS framework doesn't support {name}. Please use "
                "float32 instead."
            )
        if tensor.is_meta:
            return
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._storages:
            return
        with self._lock:
            if self.live + size > min(self.memory - self.others, int(self.memory * self.share)):
                raise self.out_of_memory(size)
            self._storages[key] = size
            self.live += size
            self.peak, self.reserved = max(self.peak, self.live), max(self.reserved, self.live)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        with self._lock:
            self.live -= self._storages.pop(key)

    def _to(self, tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        flags = [value for value in args if isinstance(value, bool)]  # non_blocking, copy
        device, dtype = None, tensor.dtype
        for value in (*args, *(kwargs.get(name) for name in ("device", "dtype", "other"))):
            if isinstance(value, torch.Tensor):
                device, dtype = self._device_of(value) or value.device, value.dtype
            elif isinstance(value, torch.dtype):
                dtype = value
            elif isinstance(value, (str, int, torch.device)) and not isinstance(value, bool):
                device = value
        was_here = self.holds(tensor)
        is_here = was_here if device is None else self._is_name_of_this(device)
        if not (was_here or is_here) or str(device) == "meta":
            return tensor.to(*args, **kwargs)
        self._check()
        copy = was_here != is_here or kwargs.get("copy", flags[1:] == [True])
        layout = kwargs.get("memory_format") or torch.preserve_format
        result = tensor.to("cpu", dtype, copy=copy, memory_format=layout)
        if is_here:
            self._claim(result)
        self._log_crossing(tensor, result)
        return result

    def _refuse_numpy(self, function: Callable[..., Any], tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if self.holds(tensor):
            raise TypeError(
                f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
                "memory first."
            )
        return function(tensor, *args, **kwargs)

    def _log_crossing(self, source: Any, target: torch.Tensor | None) -> None:
        sides = [isinstance(side, torch.Tensor) and self.holds(side) for side in (source, target)]
        if sides == [True, False]:
            self.crossings.append(("down", source.dtype, source.nbytes))
        elif sides == [False, True] and target is not None and isinstance(source, torch.Tensor):
            self.crossings.append(("up", target.dtype, source.numel() * target.itemsize))

    def _rounds(self, name: str) -> bool:
        switches = torch.backends.cudnn if name in CONVOLUTIONS else torch.backends.cuda.matmul
        return self._has_tf32 and name in (CONVOLUTIONS | PRODUCTS) and bool(switches.allow_tf32)


@contextmanager
def pretend(
    kind: Literal["cuda", "xpu", "mps"] = "cuda",
    *,
    memory: int = 24 * GIB,
    others: int = 0,
    tf32: bool = True,
    float64: bool | None = None,
) -> Iterator[FakeGPU]:
    """Makes this machine one with a single GPU of `kind` with `memory` bytes, of which other programs use `others`.

    `tf32` is whether the card has it; torch allows it to convolutions unless told otherwise. `float64` is whether the
    card has it, by default on every kind but MPS.
    """
    gpu = FakeGPU(kind, memory, others, tf32, kind != "mps" if float64 is None else float64)
    run = threading.Thread.run
    autocast = torch.autocast

    def run_in_pretence(thread: threading.Thread) -> None:
        with gpu:
            run(thread)

    functions: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "a pretended card",
        "is_bf16_supported": lambda including_emulation=True: True,
        "mem_get_info": gpu.free,
        "memory_reserved": lambda device=None: gpu.reserved,
        "memory_allocated": lambda device=None: gpu.live,
        "max_memory_allocated": lambda device=None: gpu.peak,
        "driver_allocated_memory": lambda: gpu.reserved,
        "current_allocated_memory": lambda: gpu.live,
        "recommended_max_memory": lambda: gpu.memory,
        "empty_cache": gpu.empty_cache,
        "set_per_process_memory_fraction": gpu.set_share,
        "synchronize": lambda device=None: gpu._check(),
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, device=None: None,
        "Stream": _Stream,
        "current_stream": _Stream,
        "stream": lambda stream: nullcontext(),
        "Event": _Stream,
    }
    with ExitStack() as stack:
        module = getattr(torch, kind)
        for name, function in functions.items():
            if hasattr(module, name):
                stack.enter_context(patch.object(module, name, function))
        # It refuses streams that are none before a mode sees it.
        stack.enter_context(patch.object(torch.Tensor, "record_stream", lambda tensor, stream: None))
        stack.enter_context(patch.object(threading.Thread, "run", run_in_pretence))
        stack.enter_context(patch("torch.autocast", lambda device, *args, **kwargs: autocast("cpu", *args, **kwargs)))
        stack.enter_context(gpu)
        yield gpu


class _Stream:
    """A stream, or an event, on which everything is done at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.stream_id = 0

    def query(self) -> bool:
        return True

    def synchronize(self, *_: Any) -> None:
        """Waits for nothing."""

    wait = record = record_event = wait_event = wait_stream = synchronize


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (tuple, list)) or type(value).__name__ == "dict_values":
            yield from _tensors(value)


def _round_to_tf32(tensor: torch.Tensor) -> torch.Tensor:
    """Rounds float32 to the ten binary digits of TF32, to the nearest."""
    if tensor.dtype != torch.float32:
        return tensor
    digits = tensor.detach().clone().view(torch.int32)
    return ((digits + 0x0FFF + ((digits >> 13) & 1)) & ~0x1FFF).view(torch.float32)
