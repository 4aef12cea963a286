"""Another `forward` for a while: hooks stay around it, and nothing is left of it."""

import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module
from torch import nn

from upscaler.diffusion.patch import Inner, replace_forward


def double(values: torch.Tensor) -> torch.Tensor:
    return 2 * values


@pytest.mark.parametrize("hooked", [False, True])
def test_forward_is_replaced_while_open_and_then_as_before(hooked: bool) -> None:
    module = nn.Linear(2, 2)
    if hooked:
        add_hook_to_module(module, ModelHook())
    values, before = torch.ones(1, 2), dict(vars(module))
    expected = module(values)
    with replace_forward(module, double):
        assert torch.equal(module(values), 2 * values)
    assert torch.equal(module(values), expected)
    assert vars(module) == before


def test_inner_names_arguments_and_is_not_replaced() -> None:
    module, values = nn.Linear(2, 2), torch.ones(1, 2)
    inner, expected = Inner(module), module(values)
    assert inner.arguments((values,), {}) == {"input": values}
    with replace_forward(module, double):
        assert torch.equal(inner.forward(values), expected)
