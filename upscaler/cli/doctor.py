"""`upscaler doctor`: what this machine has, and what would be used. It changes nothing."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .console import say, show, table

LIBRARIES = ("torch", "torchvision", "spandrel", "pyvips", "pyvips-binary", "pillow", "numpy", "opencv-python-headless")


def doctor() -> None:
    """Say what this machine has, and what would be used. The exit code is 1 if something is broken."""
    show(f"upscaler {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    table(("library", "version"), [(name, _version(name)) for name in LIBRARIES])
    broken = False
    for part in (_show_devices, _show_memory, _show_formats, _show_models):
        show("")
        try:
            part()
        except Exception as error:  # libraries that do not load are what this command looks for
            say(f"error: {type(error).__name__}: {error}. {cure(error)}.")
            broken = True
    if broken:
        raise SystemExit(1)


def _show_devices() -> None:
    from .. import device

    chosen = device.pick_device()
    rows = []
    for found in device.devices():
        memory = f"{device.memory_for_tiles(found) / 2**30:.1f} GiB"
        used = "used" if found.type == chosen.type and (found.index or 0) == 0 else ""
        rows.append((str(found), device.describe(found), device.precision_name(found), memory, used))
    table(("device", "what it is", "precision", "memory for tiles", ""), rows)


def _show_memory() -> None:
    import psutil

    ram, disk = psutil.virtual_memory(), shutil.disk_usage(".").free
    show(f"memory {ram.available / 2**30:.1f} of {ram.total / 2**30:.1f} GiB free, disk {disk / 2**30:.0f} GiB free")


def _show_formats() -> None:
    from .. import codecs

    show("reads  " + " ".join(format.name for format in codecs.FORMATS))
    show("writes " + " ".join(format.name for format in codecs.FORMATS if format.writer))


def _show_models() -> None:
    from .. import catalog

    models = catalog.models()
    here = [model.name for model in models if model.facts.loader is None or catalog.find_local(model)]
    show(f"models {' '.join(here)}; {len(models) - len(here)} more can be fetched, see upscaler models list")
    show(f"fetched ones are kept in {catalog.models_dir()}" + ("; offline" if catalog.is_offline() else ""))


def cure(error: Exception) -> str:
    """Returns advice for a library that does not load, as a sentence without its full stop.

    OpenCV's wheel for desktops replaces the one for servers when another package asks for it, and needs the libraries
    of a display.
    """
    if "libGL" in str(error):
        return "Run pip install --force-reinstall --no-deps opencv-python-headless, the one that needs no display"
    return "Install upscaler anew"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
