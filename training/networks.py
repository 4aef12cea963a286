"""The networks, all of architectures that spandrel loads, and the judge that `photo` is trained against."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.PLKSR import RealPLKSR
from spandrel.architectures.SPAN import SPAN
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm


class Folded(nn.Module):
    """A 3x3 convolution that is learned as a sum: itself, the picture as it is, and a chain of a 1x1, a 3x3 and a 1x1
    that is wider inside (as ECBSR, Zhang et al. 2021, and SPAN do).

    The sum is folded into one kernel before the picture is convolved rather than after: a convolution of the picture
    costs what the plain one does. Folding is done anew for each part of a batch, and a step took 1.4 times as long.
    """

    EXPANSION = 2
    """Of the chain's width: that of SPAN."""
    whole: torch.Tensor

    def __init__(self, plain: nn.Conv2d) -> None:
        """Computes at first what `plain` computes."""
        super().__init__()
        assert plain.bias is not None
        after, before = plain.weight.shape[:2]
        wide = self.EXPANSION * after
        self.register_buffer("whole", torch.zeros(after, before, 3, 3))
        if after == before:
            self.whole[:, :, 1, 1] = torch.eye(after)
        self.weight = nn.Parameter(plain.weight.detach() - self.whole)
        self.bias = nn.Parameter(plain.bias.detach().clone())
        # So small that a step of the chain's weights changes the kernel as much as a step of its own: AdamW's steps
        # have the size of the rate, whatever the gradient.
        self.first = nn.Parameter(torch.randn(wide, before) / before)
        self.middle = nn.Parameter(torch.zeros(wide, wide, 3, 3))
        self.last = nn.Parameter(torch.randn(after, wide) / wide)

    def kernel(self) -> torch.Tensor:
        """(after, before, 3, 3)."""
        chain = torch.einsum("am,mnyx,nb->abyx", self.last, self.middle, self.first)
        return self.weight + self.whole + chain

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(picture, self.kernel(), self.bias, padding=1)


def plain(features: int, convolutions: int) -> nn.Module:
    """Compact: SRVGGNetCompact of Real-ESRGAN. Convolutions and PReLUs by turns, and a pixel shuffle."""
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


def folded(features: int, convolutions: int) -> nn.Module:
    """Compact, its convolutions learned as sums."""
    network = plain(features, convolutions)
    refold(network)
    return network


def refold(network: nn.Module) -> None:
    """Replaces the convolutions of a Compact network with sums."""
    body = network.get_submodule("body")
    assert isinstance(body, nn.ModuleList)
    for number, layer in enumerate(body):
        if isinstance(layer, nn.Conv2d):
            body[number] = Folded(layer)


def span(features: int, convolutions: int) -> nn.Module:
    """SPAN (Wan et al. 2023), always 6 blocks of 3 convolutions; learned as published, unfolded."""
    network: nn.Module = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=features, upscale=4)
    for name, value in network.named_parameters():
        value.requires_grad_("eval_conv" not in name)  # these are folded from the others
    return network


def plksr(features: int, convolutions: int) -> nn.Module:
    """RealPLKSR (after Lee et al. 2024): in each block two convolutions and a large one over a quarter of the
    features."""
    network: nn.Module = RealPLKSR(
        dim=features, n_blocks=convolutions // 2, upscaling_factor=4, layer_norm=True, dysample=False
    )
    return network


ARCHITECTURES: dict[str, Callable[[int, int], nn.Module]] = {
    "plain": plain,
    "folded": folded,
    "span": span,
    "plksr": plksr,
}


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """As spandrel loads them, float16; what was a sum is one kernel. Values beyond float16 do not occur."""
    found = dict(network.state_dict())
    for name, layer in network.named_modules():
        if isinstance(layer, Folded):
            for part in ("whole", "first", "middle", "last"):
                del found[f"{name}.{part}"]
            found[f"{name}.weight"] = layer.kernel().detach()
    return {name: value.to(torch.float16, memory_format=torch.contiguous_format) for name, value in found.items()}


def start_from(network: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """Continues from weights that `weights` gave, of the same network or of a Compact one that is smaller."""
    own = {name: value.clone() for name, value in weights(network).items()}
    if all(found[name].shape == value.shape for name, value in own.items() if name in found):
        own = found
    else:
        _widen(own, found)
    values = network.state_dict()
    for name, value in own.items():
        values[name] = value.float()
    for name, layer in network.named_modules():
        if isinstance(layer, Folded):
            values[f"{name}.weight"] -= layer.whole
            values[f"{name}.middle"].zero_()
    network.load_state_dict(values)


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


def averaged(network: nn.Module, average: dict[str, torch.Tensor]) -> nn.Module:
    """The network with these weights, ready to be used."""
    twin = copy.deepcopy(network).eval()
    twin.load_state_dict(average)
    return twin


class Judge(nn.Module):
    """Says how real it looks at each square of two by two pixels: the U-Net discriminator of Real-ESRGAN (Wang et al.
    2021), with spectral normalisation (Miyato et al. 2018) so that it cannot outrun the network.

    It begins by putting four pixels into one, losing nothing: on a CPU most of its time went into few features of many
    pixels, and with twice the features it now takes half as long.
    """

    def __init__(self, features: int) -> None:
        super().__init__()

        def convolution(before: int, after: int, side: int, stride: int = 1) -> nn.Module:
            return spectral_norm(nn.Conv2d(before, after, side, stride, 1, bias=False))

        self.first = nn.Conv2d(12, features, 3, 1, 1)
        self.down = nn.ModuleList(convolution(features << step, features << step + 1, 4, 2) for step in range(2))
        self.up = nn.ModuleList(convolution(features << step + 1, features << step, 3) for step in (1, 0))
        self.last = nn.Sequential(
            convolution(features, features, 3), nn.LeakyReLU(0.2), nn.Conv2d(features, 1, 3, 1, 1)
        )

    @torch.no_grad()
    def settle(self) -> None:
        """Brings the norms up to date with the weights, once a step: threads that then use it change nothing."""
        self.train()
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                _ = layer.weight
        self.eval()

    def features(self, picture: torch.Tensor) -> list[torch.Tensor]:
        """Of the picture, 0..1: at half, quarter and eighth size."""
        found = [functional.leaky_relu(self.first(functional.pixel_unshuffle(picture, 2)), 0.2)]
        for layer in self.down:
            found.append(functional.leaky_relu(layer(found[-1]), 0.2))
        return found

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Logits, (count, 1, height / 2, width / 2)."""
        *upper, value = self.features(picture)
        for layer in self.up:
            value = functional.leaky_relu(layer(functional.interpolate(value, scale_factor=2)), 0.2) + upper.pop()
        found: torch.Tensor = self.last(value)
        return found
