"""What is observed of a network at its first try: memory, randomness, the largest tensor."""

import torch

from tests.networks import blur
from upscaler.engines import probe
from upscaler.engines.trial import try_out


def sample() -> torch.Tensor:
    return torch.from_numpy(probe.sample(3, 1))


def test_a_trial_sees_memory_and_random_numbers() -> None:
    tile = sample()
    quiet, noisy = (try_out(function, tile) for function in (blur(1), lambda tiles: tiles + torch.rand_like(tiles)))
    assert (quiet.is_stochastic, noisy.is_stochastic) == (False, True)
    assert quiet.bytes_per_pixel >= 3 * 4
    assert not quiet.uses_grid_sample


def test_a_trial_sees_the_largest_tensor() -> None:
    def widened(tiles: torch.Tensor) -> torch.Tensor:
        return tiles.repeat(1, 7, 2, 2)[:, :3, ::2, ::2]

    assert try_out(widened, sample()).elements_per_pixel == 3 * 7 * 4
