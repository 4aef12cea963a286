"""`upscaler doctor`: what this machine has, and what would be used. Finds out, and changes nothing."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from .console import say, show, table

LIBRARIES = ("torch", "torchvision", "spandrel", "pyvips", "pyvips-binary", "pillow", "numpy", "opencv-python-headless")


def doctor() -> None:
    """Say what this machine has, and what would be used. The exit code is 1 if something is broken."""
    from .. import __version__

    show(f"upscaler {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    table(("library", "version"), [(name, _version(name)) for name in LIBRARIES])
    broken = False
    for part in (_show_devices, _show_room, _show_formats, _show_models):
        show("")
        try:
            part()
        except Exception as error:  # a library that does not load is just what is looked for here
            say(f"error: {type(error).__name__}: {error}. Install upscaler anew.")
            broken = True
    if broken:
        raise SystemExit(1)


def _show_devices() -> None:
    from ..engines import device

    chosen = device.pick_device()
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


def _show_room() -> None:
    import psutil

    memory = psutil.virtual_memory()
    disk = shutil.disk_usage(".")
    show(
        f"memory {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, "
        f"disk {disk.free / 2**30:.0f} GiB free"
    )


def _show_formats() -> None:
    from .. import codecs

    show("reads  " + " ".join(format.name for format in codecs.FORMATS))
    show("writes " + " ".join(format.name for format in codecs.FORMATS if format.writer))


def _show_models() -> None:
    from .. import catalog

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
