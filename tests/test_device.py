"""Devices, precisions and memory by name."""

import pytest
import torch

from upscaler.device import PRECISIONS, describe, devices, dtype_name, free_memory, pick_device, pick_precision
from upscaler.errors import PlanError

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "dtype"), PRECISIONS.items())
def test_a_dtype_has_the_name_of_its_precision(name: str, dtype: torch.dtype) -> None:
    assert dtype_name(dtype) == name


def test_the_processor_is_always_there_and_comes_last() -> None:
    assert devices()[-1] == CPU
    assert pick_device("cpu") == CPU
    assert pick_device() == pick_device("auto") == devices()[0]


@pytest.mark.parametrize("name", ["tpu5", "cuda:77", "rocm:77", "nonsense"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(PlanError, match=rf"^device={name}: .*cpu") as caught:
        pick_device(name)
    assert (caught.value.argument, caught.value.value) == ("device", name)


def test_a_precision_is_taken_only_if_the_network_supports_it() -> None:
    assert pick_precision("fp16", CPU, half=True, bfloat16=False) == torch.float16
    assert pick_precision("auto", CPU, half=True, bfloat16=False) == torch.float32
    with pytest.raises(PlanError, match=r"^precision=fp16: this model does not support it"):
        pick_precision("fp16", CPU, half=False, bfloat16=True)
    with pytest.raises(PlanError, match=r"^precision=int8: choose auto, fp32, fp16, bf16"):
        pick_precision("int8", CPU, half=True, bfloat16=True)


def test_a_device_says_what_it_is_and_how_much_memory_tiles_may_use() -> None:
    assert describe(CPU).startswith("processor, ")
    assert free_memory(CPU) > 2**20
