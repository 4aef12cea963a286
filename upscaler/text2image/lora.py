"""LoRA files: small changes to a model's weights, mixed in while it makes a picture."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ..diffusion.load import quiet
from ..errors import ModelError
from .parameters import Lora


def mix(pipeline: Any, name: str, loras: tuple[Lora, ...]) -> None:
    """Mixes files into the weights of a pipeline that has none mixed in. Raises ModelError, and none are then."""
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"--lora {loras[0].file}: needs peft, which is not installed. Run pip install peft.")
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelError(f"--lora {loras[0].file}: {name} is a {type(pipeline).__name__}, which takes none.")
    names = [f"lora_{index}" for index in range(len(loras))]
    try:
        for adapter, lora in zip(names, loras, strict=True):
            _load(pipeline, name, Path(lora.file), adapter)
    except ModelError:
        pipeline.unload_lora_weights()
        raise
    pipeline.set_adapters(names, [lora.weight for lora in loras])


def _load(pipeline: Any, name: str, file: Path, adapter: str) -> None:
    if not file.is_file():
        raise ModelError(f"--lora {file}: no such file.")
    if file.suffix.lower() != ".safetensors":
        raise ModelError(f"--lora {file}: is not safetensors, and other files can hide programs. Convert it first.")
    try:
        with quiet():
            pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=adapter)
        found = {one for those in pipeline.get_list_adapters().values() for one in those}
        reason = "" if adapter in found else "none of its weights belong to this model"
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if reason:
        raise ModelError(f"--lora {file}: cannot be used with {name} ({reason}). Use one made for it.")
