"""Whether the GPU makes the right pixels: the bugs that were found without one, the tests, other precisions, large
tiles, and the same picture again."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from upscaler import Size, catalog, tiling
from upscaler.engines import network as networks
from upscaler.tiling import Budget

from .material import Network, differences, photo, photograph, picture, run_tiles, x4plus
from .run import ROOT, Run

X4PLUS_ELEMENTS = 1024
"""Elements of x4plus's largest tensor for each source pixel: 64 channels at four times the size."""
X4PLUS_FEATURES = 64
"""The same of the network as it is divided: its features at the source's size, since its tail is computed in parts."""


def check_bugs(run: Run) -> None:
    """G1, G2 and G8 of GPU.md, with tiny diffusion models. They were mended on a pretended device."""
    from tests.diffusion import tiny
    from upscaler import Diffusion, GenerationParameters, TextToImage, Upscaler
    from upscaler.diffusion import memory, runner

    folder = run.work / "tiny"
    tiny.build_sd().save_pretrained(folder / "sd")
    tiny.build_x4().save_pretrained(folder / "x4")
    results: list[Any] = []

    def draw() -> str:
        with TextToImage(str(folder / "sd"), device="cpu" if run.dry else None) as generator:
            return str(generator(GenerationParameters("a", size=Size(64, 64), steps=1)).size)

    def enlarge(offload: Any) -> str:
        def place(*arguments: Any) -> memory.Placement:
            return replace(memory.place(*arguments), offload=offload, vae_tile=16)

        diffusion = Diffusion(steps=2, prompt="a")
        with (
            patch.object(runner, "place", place),
            Upscaler(str(folder / "x4"), device=run.device, precision="fp32", diffusion=diffusion) as upscaler,
        ):
            results.append(upscaler(picture(56, 40)).pixels)
        levels = int(differences(results[0], results[-1]).max())
        if levels > 2:
            raise AssertionError(f"differs by {levels} levels from what is made without offloading")
        return f"within {levels} levels"

    run.attempt("G1, a picture is generated on the device that is chosen by default", draw)
    for offload in memory.OFFLOADS[: 1 if run.dry else None]:
        run.attempt(f"G2, a canvas with offload {offload}", lambda offload=offload: enlarge(offload))
    if not run.dry and hasattr(torch.cuda, "get_per_process_memory_fraction"):
        with Upscaler(str(folder / "x4"), memory=3 * 10**9, diffusion=Diffusion(steps=1, prompt="a")) as upscaler:
            upscaler(picture(24, 24))
        share = torch.cuda.get_per_process_memory_fraction(0)
        run.say("G8, share of the memory after a model with a budget", share, right=share == 1)


def check_tests(run: Run) -> None:
    """The tests that are marked `gpu`. A dry run only collects them."""
    files = [str(file) for file in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in file.read_text()]
    options = ["-m", "gpu", "-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore"]
    command = [sys.executable, "-m", "pytest", *options, *(["--collect-only"] if run.dry else []), *files]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    print("\n".join(lines[-25:]), flush=True)
    failures = [line for line in lines if re.match(r"FAILED|ERROR", line)]
    last = next((line for line in reversed(lines) if line.strip()), "")
    run.say("pytest -m gpu", last, right=done.returncode == 0)
    run.say("failures", failures)


def check_parity(run: Run) -> None:
    """Levels between the GPU and float32 on the CPU: fp32 with all digits and with TF32's, fp16, bf16."""
    for network in (photo(), replace(photo(), name="faithful", model=catalog.find("faithful")), x4plus(run)):
        small = network.name == "x4plus" or run.dry
        eight = picture(*((64, 48) if small else (256, 192)))
        sixteen = (eight.astype(np.uint16) * 257 + 77).clip(0, 65535).astype(np.uint16)
        expected = _enlarge(run, network, [eight, sixteen], "cpu", "fp32")
        for tf32 in (False, True):
            with _tf32() if tf32 else nullcontext():
                made = _enlarge(run, network, [eight, sixteen], run.device, "fp32")
            few, many = (differences(one, other) for one, other in zip(made, expected, strict=True))
            right = tf32 or (few.max() <= 1 and many.max() <= 16)
            run.say(
                f"{network.name}, fp32 {'with TF32' if tf32 else 'with all digits'}: levels at most",
                {"8 bits": int(few.max()), "16 bits": int(many.max()), "16 bits, mean": round(float(many.mean()), 2)},
                right=bool(right),
            )
        for precision in ("bf16",) if run.dry else ("fp16", "bf16"):
            change = differences(_enlarge(run, network, [eight], run.device, precision)[0], expected[0])
            share = 100 * float((change > 0).mean())
            run.say(
                f"{network.name}, {precision}: levels at most, and % that differ", [int(change.max()), round(share, 2)]
            )


def check_large(run: Run) -> None:
    """G3: the plan keeps tensors below 2^31 elements; whether one beyond would be wrong. This may end the process."""
    network = x4plus(run)
    with_engine = network.pipeline(run)
    info = with_engine.estimate(picture(64, 48)).engine
    plan = tiling.plan(Size(6000, 4000), info.needs, Budget(info.tile_memory))
    fits = plan.tile.pixels * plan.max_batch * X4PLUS_FEATURES < 2**31
    run.say("x4plus, 24 megapixels: tiles", f"{plan.count} of {plan.tile}, {plan.max_batch} together", right=fits)
    with_engine.close()
    bare = network.load(run)
    width, height, shared = (48, 40, 8) if run.dry else (1660, 1478, 120)
    tile = torch.rand(1, 3, height, width, device=run.device, dtype=next(bare.parameters()).dtype)
    half = height // 2
    with torch.inference_mode():
        whole = bare(tile.contiguous(memory_format=torch.channels_last))
        top = bare(tile[:, :, : half + shared])[:, :, : 4 * half]
        bottom = bare(tile[:, :, half - shared :])[:, :, 4 * shared :]
    halves = torch.cat([top, bottom], dim=2)
    change = float((whole - halves).abs().max())
    elements = f"{width * height * X4PLUS_ELEMENTS / 2**31:.2f} x 2^31 elements"
    run.say(f"finite in one tile of {elements}", bool(whole.isfinite().all()))
    run.say("difference between that tile and two halves, of 1", change, "beyond 0.01 it is wrong: the limit is needed")


def check_repeat(run: Run) -> None:
    """Whether the same picture gives the same bytes again: alone, and together with others."""
    for network in (photo(), x4plus(run)):
        pipeline = network.pipeline(run)
        source = photograph(run) if network.name == "photo" else picture(*((64, 48) if run.dry else (256, 192)))
        made = [pipeline.run(source).pixels for _ in range(2 if run.dry else 5)]
        results = {hashlib.sha256(pixels.tobytes()).hexdigest() for pixels in made}
        run.say(f"{network.name}: different results of the same picture", len(results), right=len(results) == 1)
        engine = pipeline._engines.enlarger(8)
        side = 32 if run.dry else 128
        tiles = np.stack([picture(side, side, seed).astype(np.float32) / 255 for seed in range(8)])
        alone = np.rint(255 * np.concatenate([run_tiles(engine, tile[None]) for tile in tiles]))
        for count in (2, 4, 8):
            groups = [run_tiles(engine, tiles[first : first + count]) for first in range(0, 8, count)]
            change = np.abs(np.rint(255 * np.concatenate(groups)) - alone)
            share = 100 * float((change > 0).mean())
            run.say(
                f"{network.name}: % of the levels that differ, {count} together", share, f"at most {change.max():.0f}"
            )
        pipeline.close()


def _enlarge(run: Run, network: Network, pictures: list[Any], device: str, precision: str) -> list[Any]:
    pipeline = network.pipeline(run, device, precision=precision, fidelity=0.0)
    results = [pipeline.run(pixels).pixels for pixels in pictures]
    pipeline.close()
    return results


def _tf32() -> Any:
    """Lets float32 be computed with TF32's ten digits, which the package prevents."""
    torch.backends.cudnn.allow_tf32 = True
    return patch.object(networks, "no_tf32", nullcontext)
