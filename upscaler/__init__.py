"""Makes pictures larger: photographs and drawings, by neural networks, in tiles, without seams.

    import upscaler
    picture = upscaler.upscale("photo.jpg", scale=4)
    picture.save("photo_4x.jpg")

Importing this package loads neither torch nor any codec; the first use does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Upscaler, compare, upscale
    from .diffusion.options import Diffusion, Lora
    from .errors import (
        DeviceLost,
        EngineError,
        ModelError,
        OutOfMemory,
        OutputError,
        PictureError,
        PlanError,
        UpscalerError,
    )
    from .faces import FaceOptions
    from .picture import Face, Metadata, Picture
    from .pipeline import Estimate
    from .target import Paper, Target
    from .text2image.parameters import GenerationParameters
    from .text2image.text_to_image import TextToImage, generate
    from .tiling import Crop, Size

__version__ = "0.1.0"

_HOMES = {
    "Crop": "tiling",
    "DeviceLost": "errors",
    "Diffusion": "diffusion.options",
    "EngineError": "errors",
    "Estimate": "pipeline",
    "Face": "picture",
    "FaceOptions": "faces",
    "TextToImage": "text2image.text_to_image",
    "Lora": "diffusion.options",
    "Metadata": "picture",
    "ModelError": "errors",
    "OutOfMemory": "errors",
    "OutputError": "errors",
    "Paper": "target",
    "Picture": "picture",
    "PictureError": "errors",
    "PlanError": "errors",
    "Size": "tiling",
    "Target": "target",
    "Upscaler": "api",
    "UpscalerError": "errors",
    "GenerationParameters": "text2image.parameters",
    "compare": "api",
    "fetch": "api",
    "generate": "text2image.text_to_image",
    "models": "catalog",
    "upscale": "api",
}

__all__ = [
    "Crop",
    "DeviceLost",
    "Diffusion",
    "EngineError",
    "Estimate",
    "Face",
    "FaceOptions",
    "GenerationParameters",
    "Lora",
    "Metadata",
    "ModelError",
    "OutOfMemory",
    "OutputError",
    "Paper",
    "Picture",
    "PictureError",
    "PlanError",
    "Size",
    "Target",
    "TextToImage",
    "Upscaler",
    "UpscalerError",
    "compare",
    "fetch",
    "generate",
    "models",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
