"""What the machine is, and how fast it moves and multiplies numbers: what everything else is compared with."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from .run import Run


def check_facts(run: Run) -> None:
    """Versions, bandwidth between host and card, arithmetic, and how long a process takes to start."""
    run.say("torch", torch.__version__)
    run.say("cores", os.cpu_count())
    run.say("convolutions are TF32 unless told otherwise", torch.backends.cudnn.allow_tf32)
    if not run.dry:
        run.say("card", torch.cuda.get_device_name())
        run.say("cuDNN", torch.backends.cudnn.version())
        run.say("GiB free, and in all", [round(value / 2**30, 1) for value in torch.cuda.mem_get_info()])
    _say_bandwidth(run, count=10**5 if run.dry else 10**8)
    side = 64 if run.dry else 8192
    a = torch.randn(side, side, device=run.device, dtype=torch.bfloat16)
    run.say("TFLOP/s in bf16", 2 * side**3 / run.seconds(lambda: a @ a) / 1e12)
    program = f"import upscaler, torch; torch.zeros(1, device={run.device!r})"
    start = run.wall(lambda: subprocess.run([sys.executable, "-c", program], check=True))
    run.say("seconds until a new process has used the device", start)


def _say_bandwidth(run: Run, count: int) -> None:
    """GB/s both ways, of `count` values in ordinary and in pinned memory, and into memory that is new each time."""
    for title, dtype, pinned in (
        ("float32, pageable", torch.float32, False),
        ("float32, pinned", torch.float32, True),
        ("uint8, pinned", torch.uint8, True),
    ):
        host = torch.ones(count, dtype=dtype, pin_memory=pinned and not run.dry)
        there = host.to(run.device, copy=True)
        up = run.seconds(lambda host=host, there=there: there.copy_(host, non_blocking=True))
        down = run.seconds(lambda host=host, there=there: host.copy_(there, non_blocking=True))
        run.say(f"GB/s to the card, {title}", host.nbytes / up / 1e9)
        run.say(f"GB/s from the card, {title}", host.nbytes / down / 1e9)
    there = torch.ones(count, device=run.device)
    run.say("GB/s from the card into new memory, as today", there.nbytes / run.wall(there.cpu) / 1e9)
