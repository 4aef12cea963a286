"""LoRA files: small changes to a model's weights, which are added while it makes pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ..device import is_out_of_memory
from ..errors import ModelError, OutOfMemory, first_line
from .messages import quiet
from .options import Lora


def add_loras(pipeline: Any, name: str, loras: tuple[Lora, ...]) -> None:
    """Adds LoRA files to the weights of a pipeline that has none yet.

    Raises ModelError and OutOfMemory, and then adds none of them.
    """
    if importlib.util.find_spec("peft") is None:
        raise ModelError(f"{loras[0].file}: a LoRA needs peft, which is not installed. Run pip install peft.")
    if not hasattr(pipeline, "load_lora_weights"):
        raise ModelError(
            f"{loras[0].file}: {name} is a {type(pipeline).__name__}, which takes no LoRA. Leave it out, or choose "
            "another model."
        )
    files = [Path(lora.file) for lora in loras]
    for file in files:
        if not file.is_file():
            raise ModelError(f"{file}: there is no such file. Name a LoRA that is on this machine.")
        if file.suffix.lower() != ".safetensors":
            raise ModelError(
                f"{file}: the LoRA is not safetensors, and other files can hide programs. Convert it first."
            )
    adapters = [f"lora_{index}" for index in range(len(loras))]
    try:
        for adapter, file in zip(adapters, files, strict=True):
            with quiet():
                pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name=adapter)
            if not any(adapter in loaded for loaded in pipeline.get_list_adapters().values()):
                raise ValueError("none of its weights belong to this model")
    except Exception as error:
        pipeline.unload_lora_weights()
        if is_out_of_memory(error):
            raise OutOfMemory(f"{file}: there is no memory for the LoRA beside {name}. Leave it out.") from error
        raise ModelError(
            f"{file}: the LoRA cannot be used with {name} ({first_line(error)}). Use one made for it."
        ) from error
    pipeline.set_adapters(adapters, [lora.weight for lora in loras])
