"""Times Real-ESRGAN's own class, `RealESRGANer`, on one picture: the yardstick that `speed.py` runs as a child process.

It runs in an environment of its own (README.md says how to make it) and imports nothing of ours; which weights,
pictures and tiles are fair to compare is left to `speed.py`. The job is one JSON object, as the only argument or on
standard input:

    {"weights": "net.safetensors",      or a .pth, with the official names of the parameters
     "network": {"kind": "compact", "features": 64, "convolutions": 32, "scale": 4},
                or {"kind": "rrdb", "features": 64, "blocks": 23, "scale": 4}
     "picture": "picture.npy",          uint8, height x width x 3, RGB
     "tile": 256,                       0: the whole picture at once
     "tile_pad": 10,
     "repeats": 3,
     "device": "cuda:0",                optional; the CPU
     "precision": "fp16",               optional; "fp32", or "fp16", which the class calls half
     "output": "result.npy"}            optional; uint8, RGB

The answer is one line of JSON: {"seconds": [one per repeat], "peak_rss_mb": MiB of this process at its highest}.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torchvision.transforms import functional

PRECISIONS = ("fp32", "fp16")
"""Those that the class computes in."""


def supply_functional_tensor() -> None:
    """Stand in for the module that torchvision 0.17 removed and basicsr 1.4.2 imports one function from."""
    module = types.ModuleType("torchvision.transforms.functional_tensor")
    module.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
    sys.modules[module.__name__] = module


def load_parameters(path: Path) -> dict[str, torch.Tensor]:
    """The bare parameters, whichever of the official wrappings the file has."""
    if path.suffix == ".safetensors":
        return load_file(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    parameters: dict[str, torch.Tensor] = content.get("params_ema", content.get("params", content))
    return parameters


def build_network(network: dict[str, Any]) -> torch.nn.Module:
    """The empty network, from the classes that Real-ESRGAN's own scripts use."""
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    common = {"num_in_ch": 3, "num_out_ch": 3, "num_feat": network["features"]}
    net: torch.nn.Module
    if network["kind"] == "compact":
        net = SRVGGNetCompact(**common, num_conv=network["convolutions"], upscale=network["scale"], act_type="prelu")
    elif network["kind"] == "rrdb":
        net = RRDBNet(**common, num_block=network["blocks"], num_grow_ch=32, scale=network["scale"])
    else:
        raise ValueError(f"network: the kind {network['kind']!r} is not known. Give 'compact' or 'rrdb'.")
    return net


def build_rival(job: dict[str, Any]) -> Any:
    """The loaded `RealESRGANer`: every setting the job does not name at its default, on the CPU in float32."""
    from realesrgan import RealESRGANer

    precision = job.get("precision", "fp32")
    if precision not in PRECISIONS:
        raise ValueError(f"precision: the class does not compute in {precision}. Give {' or '.join(PRECISIONS)}.")
    # The class only reads a .pth that holds its parameters under "params".
    with tempfile.TemporaryDirectory() as folder:
        wrapped = Path(folder, "wrapped.pth")
        torch.save({"params": load_parameters(Path(job["weights"]))}, wrapped)
        return RealESRGANer(
            scale=job["network"]["scale"],
            model_path=str(wrapped),
            model=build_network(job["network"]),
            tile=job["tile"],
            tile_pad=job["tile_pad"],
            half=precision == "fp16",
            device=torch.device(job.get("device", "cpu")),
        )


def enhance(rival: Any, bgr: np.ndarray) -> tuple[np.ndarray, float]:
    """One picture (uint8, HWC, BGR in and out) and the seconds it took; a tile that failed is an error here."""
    talk = io.StringIO()
    with contextlib.redirect_stdout(talk):
        start = time.perf_counter()
        result, _ = rival.enhance(bgr)
        seconds = time.perf_counter() - start
    # The class prints what stopped a tile and goes on with the pixels of the tile before it.
    if "Error" in talk.getvalue():
        raise RuntimeError(f"RealESRGANer: a tile failed, the result is wrong.\n{talk.getvalue()}")
    return result, seconds


def peak_memory() -> float:
    """The highest resident memory of this process, in MiB."""
    try:
        # Linux hands the parent's peak on to a child in ru_maxrss, but not in VmHWM.
        status = Path("/proc/self/status").read_text()
        kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kib = peak // 1024 if sys.platform == "darwin" else peak
    return kib / 1024


def main() -> None:
    job = json.loads(sys.argv[1] if len(sys.argv) > 1 else sys.stdin.read())
    supply_functional_tensor()
    rival = build_rival(job)
    bgr = cv2.cvtColor(np.load(job["picture"]), cv2.COLOR_RGB2BGR)
    result, _ = enhance(rival, bgr)
    seconds = [enhance(rival, bgr)[1] for _ in range(job["repeats"])]
    answer = {"seconds": [round(value, 4) for value in seconds], "peak_rss_mb": round(peak_memory(), 1)}
    if "output" in job:
        np.save(job["output"], cv2.cvtColor(result, cv2.COLOR_BGR2RGB))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
