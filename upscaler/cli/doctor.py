"""`upscaler doctor`: what this machine has, and what would be used."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from .console import show, table

LIBRARIES = ("torch", "torchvision", "spandrel", "pyvips", "pyvips-binary", "pillow", "numpy", "opencv-python-headless")


def doctor() -> None:
    """Say what this machine has, and what would be used."""
    import psutil

    from .. import __version__, catalog, codecs
    from ..engines import device

    chosen = device.pick_device()
    show(f"upscaler {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    table(("library", "version"), [(name, _version(name)) for name in LIBRARIES])
    show("")
    table(
        ("device", "what it is", "precision", "memory for tiles", ""),
        [
            (
                str(found),
                device.describe(found),
                device.precision_name(found),
                f"{device.free_memory(found) / 2**30:.1f} GiB",
                "used" if found.type == chosen.type and (found.index or 0) == 0 else "",
            )
            for found in device.devices()
        ],
    )
    show("")
    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(".")
    show(
        f"memory {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, "
        f"disk {disk.free / 2**30:.0f} GiB free"
    )
    show("reads  " + " ".join(format.name for format in codecs.FORMATS))
    show("writes " + " ".join(format.name for format in codecs.FORMATS if format.writer))
    show("")
    table(
        ("model", "also called", "scale", "for", "licence"),
        [
            (
                model.name,
                " ".join(model.aliases),
                f"{model.scale}x" if model.scale else "any",
                model.purpose,
                model.licence,
            )
            for model in catalog.models()
        ],
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
