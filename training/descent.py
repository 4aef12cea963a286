"""Steps down a loss: AdamW on all cores or on a GPU, its rate, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import nn

from upscaler.device import pick_precision

CORES = torch.get_num_threads()
"""That may be used, as it was when the program began."""

Loss = Callable[..., torch.Tensor]
"""Of the pictures of a part of a batch."""


def pick_device() -> torch.device:
    """Returns the CUDA device if there is one, and else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def quick(device: str = "cpu") -> torch.autocast:
    """Returns a context in which networks compute in bfloat16 if that kind of device has hardware for it. A processor
    without it would take many times as long, so there they stay in float32."""
    return torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device))


def has_bfloat16(device: str) -> bool:
    """Returns whether that kind of device has hardware for it."""
    return pick_precision("auto", torch.device(device), half=False, bfloat16=True) == torch.bfloat16


class Descent:
    """One module's way. Its `average` are the weights to use: what it learns wanders about them."""

    def __init__(self, module: nn.Module, rate: float, *, warmup: int = 100, average: float = 0.999) -> None:
        """Begins where the module is, on the device where it is. `rate` of learning is the highest, which is reached
        after `warmup` steps: AdamW's estimates are wild before. `average` is the share of the average that stays at
        each step; 0.999 looks back a thousand steps."""
        self.module = module
        self.device = next(module.parameters()).device
        self.average = {name: value.clone() for name, value in module.state_dict().items()}
        self.steps = 0
        self._rate = rate
        self._warmup = warmup
        self._stays = average
        # A second moment over a hundred steps instead of a thousand follows the short schedules of small machines.
        self._optimizer = torch.optim.AdamW(module.parameters(), betas=(0.9, 0.99), weight_decay=1e-4)
        # On a CPU each core learns from parts of its own: threads that share a convolution wait for each other inside
        # of it, and where other programs use the cores too, a step takes five times as long.
        on_cpu = self.device.type == "cpu"
        cores = CORES if on_cpu else 1
        self._threads = ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,))
        if on_cpu:  # what is left for the caller's thread, small sums, took three quarters of the time when shared
            torch.set_num_threads(1)
        self._parts = 1 if cores == 1 else 2 * cores  # a core that is less disturbed takes more of them

    @property
    def rate(self) -> float:
        """Of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def step(self, loss_of: Loss, batch: Sequence[torch.Tensor], progress: float) -> float:
        """Takes one step down the mean loss of the batch, and returns that loss. The rate falls with `progress`, the
        share of the way that is done, as a cosine to a hundredth: the last steps only settle."""
        falling = 0.01 + 0.99 * (1 + math.cos(math.pi * min(progress, 1))) / 2
        self._optimizer.param_groups[0]["lr"] = self._rate * falling * min(1, (self.steps + 1) / self._warmup)
        learned = [parameter for parameter in self.module.parameters() if parameter.requires_grad]

        def gradients(*part: torch.Tensor) -> tuple[float, tuple[torch.Tensor | None, ...]]:
            loss = loss_of(*part)
            return loss.item(), torch.autograd.grad(loss, learned, allow_unused=True)

        found = list(self._threads.map(gradients, *(each.chunk(self._parts) for each in batch)))
        for number, parameter in enumerate(learned):
            first, *others = (each[number] for _, each in found)
            for other in others:
                if first is not None and other is not None:
                    first += other
            parameter.grad = None if first is None else first.div_(len(found))
        nn.utils.clip_grad_norm_(learned, 1.0)
        self._optimizer.step()
        self.steps += 1
        share = min(self._stays, self.steps / (9 + self.steps))  # of young averages less is kept
        for name, value in self.module.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - share)
        return sum(loss for loss, _ in found) / len(found)

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint holds."""
        return {
            "module": self.module.state_dict(),
            "average": self.average,
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave, on whichever device. Raises RuntimeError if it is of another network."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average = {name: value.to(self.device) for name, value in state["average"].items()}
        self.steps = state["steps"]
