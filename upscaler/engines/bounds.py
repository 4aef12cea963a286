"""Bounds on the memory that a file of weights may take while it is read, which follow from its size.

Two kilobytes can name tensors of a terabyte, by strides of zero, or layers that are far wider or more than those whose
weights are there. Everything is checked before memory is touched.
"""

from __future__ import annotations

import math
import pickletools
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

SLACK = 16 * 2**20
"""Bytes that any file may take beyond what follows from its size."""

NETWORK = 16
"""Bytes of a network's layers for each of its weights as float32: some build branches that are merged afterwards."""

PICKLES = 5
"""Pickles that are at the beginning of a file of PyTorch's first format, one after the other."""


class TooLarge(ValueError):
    """A file would take more memory than a file of its size can need."""


def check_archive(file: Path) -> None:
    """Raises TooLarge when a file of PyTorch's unpacks to more than it is, or asks for memory by a number alone."""
    size = file.stat().st_size
    if not zipfile.is_zipfile(file):
        with file.open("rb") as content:
            _check_pickles(content, PICKLES)
        return
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > size + SLACK:
            raise TooLarge(f"its {size} bytes would unpack to {unpacked}, and weights are not compressed")
        for entry in archive.infolist():
            if entry.filename.endswith(".pkl"):
                with archive.open(entry) as content:
                    _check_pickles(content, 1)


def check_tensors(state: Mapping[str, torch.Tensor], size: int) -> None:
    """Raises TooLarge when the tensors from a file of `size` bytes are larger than it, and ValueError for tensors that
    are not plain. Tensors may share memory, but not be repeated in it."""
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise ValueError(f"{name} is no plain tensor")
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if total > 2 * size + SLACK:
        raise TooLarge(f"its tensors have {total} bytes, and the file {size}")
    numbers = [int(number) for name in state for number in re.findall(r"\b[0-9]{1,9}\b", name, re.ASCII)]
    if max(numbers, default=0) > 10 * len(state) + 100 or any(re.search("[0-9]{10}", name) for name in state):
        raise TooLarge("it numbers far more layers than it has")


class NetworkBound(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which a network is built from its weights; TooLarge is raised before it takes far more memory than
    they do: by layers that are too wide or too many, or by a table that grows with the square of one."""

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = NETWORK * 4 * sum(tensor.numel() for tensor in state.values()) + NETWORK * SLACK

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shapes = [each.shape for each in args if isinstance(each, torch.Tensor)]
        needed = 0
        if args and isinstance(args[0], list | tuple) and all(isinstance(side, int) for side in args[0]):
            needed = 4 * math.prod(args[0])
            self._left -= needed
        elif len(shapes) == 2:
            with suppress(RuntimeError):
                needed = 4 * math.prod(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
        if needed > max(self._left, 0):
            raise TooLarge(f"its layers would take {needed / 2**30:.1f} GiB more than its weights tell")
        return func(*args, **(kwargs or {}))


def _check_pickles(content: IO[bytes], count: int) -> None:
    """Raises TooLarge if pickles make an array from its length. Whatever else is wrong, its reader says."""
    for _ in range(count):
        try:
            for operation, argument, _ in pickletools.genops(content):
                if operation.name in ("GLOBAL", "INST") and str(argument).endswith(" bytearray"):
                    raise TooLarge("it asks for memory instead of holding weights")
        except TooLarge:
            raise
        except Exception:  # pickletools raises whatever a broken pickle makes of it; its reader says what is wrong
            return
