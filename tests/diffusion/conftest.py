"""What all tests of diffusion share: one thread, because more of them only wait for each other over tiny tensors."""

from collections.abc import Iterator

import pytest
import torch

from tests.text2image.conftest import saved as saved  # noqa: PLC0414


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
