"""Moves pixels between the host and a GPU without making either wait, where the GPU is CUDA's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from numpy.typing import NDArray

from ..arrays import PixelArray

RING = 3
"""Buffers for results on their way to the host: one that is filled, one that is emptied, and one to spare."""

DTYPES = {"uint8": torch.uint8, "uint16": torch.int16, "int64": torch.int64, "float32": torch.float32}
"""How numbers are sent. Most operations of torch know no uint16, so its bits are sent as int16."""


def upload(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copies an array to a device, on CUDA through pinned memory, so that nobody waits for it."""
    is_cuda = device.type == "cuda"
    host = torch.empty(array.shape, dtype=DTYPES[array.dtype.name], pin_memory=is_cuda)
    host.numpy().view(array.dtype)[...] = array
    return host.to(device, non_blocking=is_cuda)


def fetch(numbers: torch.Tensor) -> Callable[[], NDArray[Any]]:
    """Begins to copy a tensor to the host, and returns a function that waits until it is there."""
    if numbers.device.type != "cuda":
        return lambda: numbers.cpu().numpy()
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(numbers.device))

    def wait() -> NDArray[Any]:
        event.synchronize()
        return host.numpy()

    return wait


class DeviceWriter:
    """A `Writer` of whole numbers that a device has computed; see there.

    On CUDA they go through a ring of pinned buffers on a stream of their own, and a thread copies them into the canvas.
    """

    def __init__(self, device: torch.device, canvas: PixelArray) -> None:
        self._device = device
        self._canvas = canvas
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._buffers: deque[torch.Tensor] = deque(torch.empty(0, dtype=torch.uint8) for _ in range(RING))
        self._under_way: deque[Future[None]] = deque()
        self._thread = ThreadPoolExecutor(1, "upscaler-download")

    def __enter__(self) -> DeviceWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        if error[0] is None:
            for written in self._under_way:
                written.result()

    def write(self, y: int, whole: torch.Tensor) -> None:
        """Begins to write rows of whole numbers into the canvas from row `y` on."""
        if self._stream is None:
            self._store(whole.cpu(), y)
            return
        if len(self._under_way) == RING:
            self._under_way.popleft().result()
        buffer = self._buffers.popleft()
        if buffer.nbytes < whole.nbytes:
            buffer = torch.empty(whole.nbytes, dtype=torch.uint8, pin_memory=True)
        self._buffers.append(buffer)
        host = buffer[: whole.nbytes].view(whole.dtype).view(whole.shape)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            host.copy_(whole, non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(self._stream)
        whole.record_stream(self._stream)
        self._under_way.append(self._thread.submit(self._store, host, y, event))

    def _store(self, host: torch.Tensor, y: int, event: torch.cuda.Event | None = None) -> None:
        if event is not None:
            event.synchronize()
        self._canvas[y : y + len(host)] = host.numpy().view(self._canvas.dtype)
