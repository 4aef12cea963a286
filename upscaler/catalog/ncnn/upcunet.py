"""UpCunet, of Real-CUGAN: the networks of realcugan-ncnn-vulkan whose features are weighed by their mean.

A graph has neither the margin around the picture nor, for a scale of 4, the enlarged picture that is added at the end:
the program that runs it does both, as the PyTorch network does.
"""

from __future__ import annotations

from .walk import MULTIPLY, Blob, Walk

_SLOPE = 0.1
_AXES = (-2.0, -1.0)


def upcunet(walk: Walk) -> Blob:
    """Two U-shaped networks, of which the second corrects what the first enlarges."""
    thrice = walk.count("Deconvolution", kernel=5) > 0
    rough = _first(walk, walk.input, "unet1", thrice)
    x = walk.add(_second(walk, rough, "unet2"), _crop(walk, rough, 20))
    if not walk.count("PixelShuffle"):
        return x
    x = walk.convolution(x, "conv_final", padding=0)
    return walk.shuffle(_crop(walk, x, 1))


def _first(walk: Walk, x: Blob, name: str, thrice: bool) -> Blob:
    wide = _pair(walk, x, f"{name}.conv1")
    x = _down(walk, wide, f"{name}.conv1_down")
    x = _weigh(walk, _pair(walk, x, f"{name}.conv2"), f"{name}.conv2")
    x = walk.add(_crop(walk, wide, 4), _up(walk, x, f"{name}.conv2_up"))
    x = walk.leaky(walk.convolution(x, f"{name}.conv3", padding=0), _SLOPE)
    if thrice:
        return walk.deconvolution(x, f"{name}.conv_bottom", kernel=5, stride=3, padding=2)
    return walk.deconvolution(x, f"{name}.conv_bottom", kernel=4, stride=2, padding=3)


def _second(walk: Walk, x: Blob, name: str) -> Blob:
    wide = _pair(walk, x, f"{name}.conv1")
    x = _down(walk, wide, f"{name}.conv1_down")
    half = _weigh(walk, _pair(walk, x, f"{name}.conv2"), f"{name}.conv2")
    x = _down(walk, half, f"{name}.conv2_down")
    x = _weigh(walk, _pair(walk, x, f"{name}.conv3"), f"{name}.conv3")
    x = walk.add(_crop(walk, half, 4), _up(walk, x, f"{name}.conv3_up"))
    x = _weigh(walk, _pair(walk, x, f"{name}.conv4"), f"{name}.conv4")
    x = walk.add(_crop(walk, wide, 16), _up(walk, x, f"{name}.conv4_up"))
    x = walk.leaky(walk.convolution(x, f"{name}.conv5", padding=0), _SLOPE)
    return walk.convolution(x, f"{name}.conv_bottom", padding=0)


def _pair(walk: Walk, x: Blob, name: str) -> Blob:
    x = walk.leaky(walk.convolution(x, f"{name}.conv.0", padding=0), _SLOPE)
    return walk.leaky(walk.convolution(x, f"{name}.conv.2", padding=0), _SLOPE)


def _down(walk: Walk, x: Blob, name: str) -> Blob:
    return walk.leaky(walk.convolution(x, name, kernel=2, stride=2, padding=0), _SLOPE)


def _up(walk: Walk, x: Blob, name: str) -> Blob:
    return walk.leaky(walk.deconvolution(x, name, kernel=2, stride=2), _SLOPE)


def _weigh(walk: Walk, x: Blob, name: str) -> Blob:
    """Each channel times a weight that follows from the means of all."""
    mean = walk.step("Pooling", x, method=1, whole=1)
    weight = walk.step("ReLU", walk.dense(mean, f"{name}.seblock.conv1"))
    weight = walk.step("Sigmoid", walk.dense(weight, f"{name}.seblock.conv2"))
    return walk.step("BinaryOp", x, weight, operation=MULTIPLY)


def _crop(walk: Walk, x: Blob, margin: float) -> Blob:
    return walk.step("Crop", x, starts=(margin, margin), ends=(-margin, -margin), axes=_AXES)
