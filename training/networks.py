"""The network that enlarges: Compact, as spandrel loads it, which can begin with the weights of a smaller one."""

from __future__ import annotations

import torch
from spandrel.architectures.Compact import Compact
from torch import nn


def make_compact(features: int, convolutions: int) -> nn.Module:
    """Returns a Compact network of 4x (SRVGGNetCompact of Real-ESRGAN): convolutions and PReLUs by turns, and a pixel
    shuffle. `convolutions` are those between the first and the last."""
    network: nn.Module = Compact(num_feat=features, num_conv=convolutions, upscale=4)
    _, *middle, last = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    for layer in middle:  # each begins by passing on what it is given: nothing vanishes on the way
        nn.init.normal_(layer.weight, std=0.3 * (9 * features) ** -0.5)
        layer.weight.data[:, :, 1, 1] += torch.eye(features)
    nn.init.normal_(last.weight, std=1e-3)  # the first results are the pixels, enlarged as they are
    for layer in (*middle, last):
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    return network


def export(network: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the weights as spandrel loads them, float16 on the host. Values beyond float16 do not occur."""
    layout = torch.contiguous_format
    return {name: value.to("cpu", torch.float16, memory_format=layout) for name, value in network.state_dict().items()}


def start_from(network: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """Sets the weights of a Compact network to those that `export` gave, of the same network or of a smaller one."""
    own = {name: value.clone() for name, value in export(network).items()}
    if all(found[name].shape == value.shape for name, value in own.items() if name in found):
        own = found
    else:
        _widen(own, found)
    network.load_state_dict({name: value.float() for name, value in own.items()})


def _widen(own: dict[str, torch.Tensor], small: dict[str, torch.Tensor]) -> None:
    """Writes a Compact network's weights into a larger one's, which then computes the same (Net2Net, Chen et al. 2015).

    Its additional features are as they were, but nothing heeds them yet; its additional layers pass on what they get.
    """
    ends = [max(int(name.split(".")[1]) for name in each) for each in (own, small)]
    depth, old_depth = (end // 2 for end in ends)
    places = {round(number * (depth - 1) / (old_depth - 1)): number for number in range(old_depth)}
    places[depth] = old_depth
    for place in range(depth + 1):
        weight, bias = own[f"body.{2 * place}.weight"], own[f"body.{2 * place}.bias"]
        if place in places:
            old = small[f"body.{2 * places[place]}.weight"]
            after, before = old.shape[:2]
            weight[:after] = 0
            weight[:after, :before] = old
            bias[:after] = small[f"body.{2 * places[place]}.bias"]
        else:
            weight[:after] = 0
            weight[:after, :after, 1, 1] = torch.eye(after)
            bias[:after] = 0
        if place < depth:
            slopes = small[f"body.{2 * places[place] + 1}.weight"] if place in places else torch.ones(after)
            own[f"body.{2 * place + 1}.weight"][:after] = slopes
