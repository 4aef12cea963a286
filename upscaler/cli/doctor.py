"""`upscaler doctor`: what this machine has, and what would be used. It changes nothing."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .console import say, show, table

LIBRARIES = (
    "ncnn",
    "torch",
    "torchvision",
    "spandrel",
    "pyvips",
    "pyvips-binary",
    "pillow",
    "numpy",
    "opencv-python-headless",
)

NOT_INSTALLED = "not installed"


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
    """Shows torch's devices and those of ncnn. The one that is used is torch's GPU, else a GPU that speaks Vulkan."""
    from .. import device, vulkan

    chosen, cards = device.pick_device(), vulkan.vulkan_devices()
    gpu = vulkan.find_gpu() if chosen.type == "cpu" else None
    rows = []
    for found in device.devices():
        memory = f"{device.memory_for_tiles(found) / 2**30:.1f} GiB"
        is_used = gpu is None and found.type == chosen.type and (found.index or 0) == 0
        by = "ncnn, torch" if found.type == "cpu" and _version("ncnn") != NOT_INSTALLED else "torch"
        rows.append((str(found), device.describe(found), by, device.precision_name(found), memory, is_used))
    for card in cards:
        memory = f"{card.memory * vulkan.SHARE / 2**30:.1f} GiB"
        rows.append((card.name, f"{card.description} (Vulkan)", "ncnn", "fp16", memory, card == gpu))
    shown = [(*row, "used" if is_used else "") for *row, is_used in rows]
    table(("device", "what it is", "computed by", "precision", "memory for tiles", ""), shown)


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
        return NOT_INSTALLED
