"""Every class of pipelines that can be tiled: how it is made, and how it is called for a canvas of some size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    DiffusionPipeline,
    FluxImg2ImgPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusionControlNetImg2ImgPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLControlNetImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    ZImageImg2ImgPipeline,
)

from . import tiny


@dataclass(frozen=True)
class Case:
    """A class of pipelines."""

    build: Callable[[], DiffusionPipeline]
    arguments: Callable[[int, int], dict[str, Any]]
    """Of a call, for a canvas of (width, height) latents."""

    def latents(self, pipeline: DiffusionPipeline, width: int, height: int, **more: Any) -> torch.Tensor:
        """What the pipeline makes, from the same noise each time."""
        arguments = {"num_inference_steps": 2, "output_type": "latent"} | self.arguments(width, height) | more
        result: torch.Tensor = pipeline(generator=seeded(), **arguments).images
        return result


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _image_to_image(width: int, height: int) -> dict[str, Any]:
    image = torch.randn(1, 4, height, width, generator=seeded(1))
    return {"prompt": "a", "image": image, "strength": 0.5, "num_inference_steps": 4}


def _sized(width: int, height: int) -> dict[str, Any]:
    return {"width": 8 * width, "height": 8 * height}


def _controlled(width: int, height: int) -> dict[str, Any]:
    control = torch.rand(1, 3, 8 * height, 8 * width, generator=seeded(2))
    return _image_to_image(width, height) | {"control_image": control, "controlnet_conditioning_scale": 1.0}


def _x4(width: int, height: int) -> dict[str, Any]:
    return {"prompt": "a", "image": torch.rand(1, 3, height, width, generator=seeded(1))}


def _x2(width: int, height: int) -> dict[str, Any]:
    image = torch.randn(1, 4, height // 2, width // 2, generator=seeded(1))
    return {"prompt": "a", "image": image, "guidance_scale": 2.0}


def _embedded(rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, 7, tiny.HIDDEN, generator=seeded(3))


def _sana(width: int, height: int) -> dict[str, Any]:
    texts = {f"{name}prompt_embeds": _embedded() for name in ("", "negative_")}
    masks = {f"{name}prompt_attention_mask": torch.ones(1, 7) for name in ("", "negative_")}
    return _sized(width, height) | texts | masks | {"negative_prompt": None, "use_resolution_binning": False}


def _z_image(width: int, height: int) -> dict[str, Any]:
    texts = {"prompt_embeds": [_embedded()[0]], "negative_prompt_embeds": [_embedded()[0, :3]], "prompt": None}
    return _image_to_image(width, height) | _sized(width, height) | texts


def _of(build: Callable[[], DiffusionPipeline], kind: type[DiffusionPipeline]) -> Callable[[], DiffusionPipeline]:
    """Another pipeline of the same components."""
    return lambda: tiny.quiet(kind(**build().components))


def _with_control(build: Callable[[], Any], kind: type[DiffusionPipeline]) -> Callable[[], DiffusionPipeline]:
    def make() -> DiffusionPipeline:
        pipeline = build()
        return tiny.quiet(kind(**pipeline.components, controlnet=tiny.build_controlnet(pipeline.unet)))

    return make


CASES = {
    "x4": Case(tiny.build_x4, _x4),
    "x2": Case(tiny.build_x2, _x2),
    "sd": Case(_of(tiny.build_sd, StableDiffusionImg2ImgPipeline), _image_to_image),
    "sd-control": Case(_with_control(tiny.build_sd, StableDiffusionControlNetImg2ImgPipeline), _controlled),
    "sdxl": Case(_of(tiny.build_sdxl, StableDiffusionXLImg2ImgPipeline), _image_to_image),
    "sdxl-control": Case(_with_control(tiny.build_sdxl, StableDiffusionXLControlNetImg2ImgPipeline), _controlled),
    "sd3": Case(
        _of(tiny.build_sd3, StableDiffusion3Img2ImgPipeline), lambda *size: _image_to_image(*size) | _sized(*size)
    ),
    "flux": Case(_of(tiny.build_flux, FluxImg2ImgPipeline), lambda *size: _image_to_image(*size) | _sized(*size)),
    "flux2": Case(
        tiny.build_flux2, lambda *size: _sized(*size) | {"prompt_embeds": _embedded(), "guidance_scale": 1.0}
    ),
    "pixart": Case(
        tiny.build_pixart,
        lambda *size: _sized(*size) | {"prompt": "a", "use_resolution_binning": False, "clean_caption": False},
    ),
    "sana": Case(tiny.build_sana, _sana),
    "z-image": Case(_of(tiny.build_z_image, ZImageImg2ImgPipeline), _z_image),
}
