"""Networks that are divided into trunk and tail give what they give at once, in less memory."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.RCAN import RCAN
from spandrel.architectures.SwinIR import SwinIR
from torch import nn

from upscaler.engines import trunk
from upscaler.engines.trial import Trial, _Watch, measure_divided
from upscaler.engines.trunk import Tail, divide

CPU = torch.device("cpu")

KINDS: list[tuple[type[nn.Module], dict[str, Any], int]] = [
    (ESRGAN, {"scale": 1}, 2),
    (ESRGAN, {"scale": 2}, 2),
    (ESRGAN, {"scale": 3}, 1),
    (ESRGAN, {"scale": 4}, 2),
    (ESRGAN, {"scale": 8}, 2),
    (ESRGAN, {"scale": 4, "plus": True}, 2),
    (ESRGAN, {"scale": 4, "upsampler": "pixel_shuffle"}, 2),
    (ESRGAN, {"scale": 4, "in_nc": 12, "shuffle_factor": 2}, 2),
    (ESRGAN, {"scale": 4, "in_nc": 48, "shuffle_factor": 4}, 2),
    (RCAN, {"scale": 4}, 2),
    (RCAN, {"scale": 3}, 2),
    (RCAN, {"scale": 2, "norm": False, "unshuffle_mod": True}, 2),
]


def network(kind: type[nn.Module], options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"n_resgroups": 1, "n_resblocks": 2, "n_feats": 8, "reduction": 4}
    return kind(**(sizes if kind is RCAN else {"num_filters": 8, "num_blocks": 2}), **options).eval()


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk, "CPU_PART", 16)


@pytest.mark.parametrize(("kind", "options", "reach"), KINDS, ids=str)
@pytest.mark.parametrize("size", [(2, 50, 70), (1, 16, 16), (5, 8, 8), (1, 33, 17), (1, 4, 200)], ids=str)
@torch.inference_mode()
def test_a_divided_network_gives_what_it_gives_at_once(
    kind: type[nn.Module], options: dict[str, Any], reach: int, size: tuple[int, int, int]
) -> None:
    whole = network(kind, options)
    divided = copy.deepcopy(whole)
    tail = divide(divided, CPU)
    assert tail is not None
    assert tail.reach == reach
    tiles = torch.rand(size[0], 3, *size[1:])
    for layout in (torch.channels_last, torch.contiguous_format):
        right = whole(tiles.to(memory_format=layout, copy=True))
        result = divided(tiles.to(memory_format=layout, copy=True))
        assert result.stride() == right.stride()
        torch.testing.assert_close(result, right, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_parts_that_do_not_see_far_enough_would_be_noticed() -> None:
    whole = network(ESRGAN, {"scale": 4})
    divided = copy.deepcopy(whole)
    tail = divide(divided, CPU)
    assert tail is not None
    tail.reach = 1
    tile = torch.rand(1, 3, 50, 70)
    assert (divided(tile) - whole(tile)).abs().max() > 1e-5


@pytest.mark.parametrize(("kind", "options", "reach"), KINDS, ids=str)
@torch.inference_mode()
def test_what_a_divided_network_needs_is_known_without_computing_it(
    kind: type[nn.Module], options: dict[str, Any], reach: int
) -> None:
    divided = network(kind, options)
    tail = divide(divided, CPU)
    assert tail is not None
    scale = options["scale"] // options.get("shuffle_factor", 2 if options.get("unshuffle_mod") else 1)
    if kind is RCAN:
        scale = options["scale"]
    nothing = Trial(torch.empty(0), torch.empty(0), 0.0, 0.0, False, False)
    needs = measure_divided(nothing, divided, 3, scale)
    side = 8 * 16 * tail.scale // scale
    tile = torch.rand(1, 3, side, side).to(memory_format=torch.channels_last)
    with _Watch() as watch:
        divided(tile)
    assert watch.peak <= (needs.bytes_per_pixel * side**2 + needs.fixed_bytes) * 1.01
    assert needs.bytes_per_pixel * side**2 + needs.fixed_bytes < 1.3 * watch.peak
    assert watch.largest <= needs.elements_per_pixel * side**2


@torch.inference_mode()
def test_memory_for_a_pixel_falls_to_a_quarter_for_the_usual_features() -> None:
    def peak(model: nn.Module) -> int:
        with _Watch() as watch:
            model(torch.rand(1, 3, 128, 128).to(memory_format=torch.channels_last))
        return watch.peak

    whole = ESRGAN(num_blocks=2, scale=4).eval()
    divided = copy.deepcopy(whole)
    assert divide(divided, CPU) is not None
    assert peak(divided) < peak(whole) / 4


def test_other_networks_are_left_as_they_are() -> None:
    for model in (Compact(num_feat=8, num_conv=1), SwinIR(embed_dim=12, depths=[2], num_heads=[2], window_size=8)):
        before = str(model)
        assert divide(model, CPU) is None
        assert str(model) == before


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(3, 3, 3),
        nn.Conv2d(3, 3, 3, padding=1, stride=2),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(3, 3, (1, 3), padding=(0, 1)),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Upsample(scale_factor=1.5),
        nn.InstanceNorm2d(3),
        nn.AdaptiveAvgPool2d(1),
    ],
    ids=str,
)
def test_tails_with_layers_that_see_more_are_refused(layer: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"\("):
        Tail(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Sequential(layer)), 16)
