"""The pretended GPU behaves as torch does on real ones, so that what passes with it means something."""

import gc
import threading

import numpy as np
import pytest
import torch
from torch import nn

from tests.fake_gpu import pretend

KINDS = ["cuda", "xpu", "mps"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_is_where_it_was_put_and_so_are_its_results(kind: str) -> None:
    with pretend(kind) as gpu:
        network = nn.Conv2d(3, 3, 3).to(kind)
        values = torch.zeros(1, 3, 5, 5, device=kind)
        result = network(values)[..., :1].half().flatten()
        assert result.device == torch.device(kind, 0) == next(network.parameters()).device
        assert getattr(result, f"is_{kind}")
        assert not result.is_cpu
        assert result.cpu().device == torch.device("cpu") == result.to("cpu", torch.float32).device
        assert torch.zeros(3).to(result).dtype == torch.float16
        assert torch.zeros(3).to(result).device == result.device
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
            result.numpy()
        with pytest.raises(TypeError, match=r"Use Tensor\.cpu"):
            np.asarray(result)
        assert gpu.holds(network.weight)
    assert network.weight.device == torch.device("cpu")


def test_devices_are_mixed_only_where_torch_mixes_them() -> None:
    with pretend():
        there, here = torch.ones(4, 4, device="cuda"), torch.ones(4, 4)
        for mix in (lambda: there + here, lambda: torch.cat([here, there]), lambda: nn.Linear(4, 4)(there)):
            with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
                mix()
        assert (there * torch.tensor(2.0)).device == there.device
        assert there[torch.tensor([1, 2])].device == there.device
        here.copy_(there * 2)
        assert here.device == torch.device("cpu")
        assert here.numpy().sum() == 32
        with pytest.raises(RuntimeError, match="device type for generator"):
            torch.randn(3, generator=torch.Generator("cpu"), device="cuda")


def test_memory_is_counted_while_it_lives_and_kept_until_the_cache_is_emptied() -> None:
    with pretend(memory=1000, others=100) as gpu:
        values = torch.ones(100, device="cuda")
        view = values[:2]
        assert (gpu.live, torch.cuda.memory_allocated(), torch.cuda.mem_get_info()) == (400, 400, (500, 1000))
        with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
            torch.cat([values, values])
        del values
        assert gpu.live == 400
        del view
        gc.collect()
        assert (gpu.live, torch.cuda.memory_reserved(), torch.cuda.mem_get_info()[0]) == (0, 400, 500)
        torch.cuda.empty_cache()
        assert torch.cuda.mem_get_info()[0] == 900
        torch.cuda.set_per_process_memory_fraction(0.1, torch.device("cuda", 0))
        with pytest.raises(torch.OutOfMemoryError):
            torch.ones(50, device="cuda")


@pytest.mark.parametrize(
    ("kind", "words", "text"),
    [
        ("cuda", "allocator", "CUDA out of memory"),
        ("cuda", "cublas", "CUBLAS_STATUS_ALLOC_FAILED"),
        ("cuda", "cudnn", "CUDNN_STATUS_ALLOC_FAILED"),
        ("xpu", "allocator", "XPU out of memory"),
        ("mps", "allocator", "MPS backend out of memory"),
    ],
)
def test_memory_runs_out_in_the_words_of_its_backend(kind: str, words: str, text: str) -> None:
    with pretend(kind, memory=1000) as gpu:
        gpu.words = words
        with pytest.raises(RuntimeError, match=text) as caught:
            torch.ones(1000).to(kind)
        assert isinstance(caught.value, torch.OutOfMemoryError) == (text.startswith(("CUDA", "XPU")))


def test_convolutions_round_to_tf32_where_it_is_allowed() -> None:
    layer, values = nn.Conv2d(4, 4, 3), torch.randn(1, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = layer(values)
        for has_it, is_allowed, differs in ((True, True, True), (True, False, False), (False, True, False)):
            with pretend(tf32=has_it), torch.backends.cudnn.flags(enabled=True, allow_tf32=is_allowed):
                layer.to("cuda")
                error = (layer(values.cuda()).cpu() - exact).abs().max()
                layer.cpu()
            assert (1e-5 < error < 1e-2) if differs else error == 0


def test_float64_is_missing_on_mps() -> None:
    with pretend("mps"):
        values = torch.ones(3, device="mps")
        for convert in (values.double, lambda: values.to(torch.float64), lambda: torch.ones(3).double().to("mps")):
            with pytest.raises(TypeError, match="doesn't support float64"):
                convert()
        assert values.cpu().double().dtype == torch.float64


def test_the_share_of_memory_needs_a_device_with_an_index() -> None:
    with pretend(), pytest.raises(ValueError, match="with a specified index"):
        torch.cuda.set_per_process_memory_fraction(0.5, torch.device("cuda"))


def test_a_lost_device_stays_lost() -> None:
    with pretend() as gpu:
        values = torch.ones(3, device="cuda")
        gpu.lose()
        for use in (lambda: values + 1, lambda: torch.ones(3, device="cuda"), values.cpu, torch.cuda.empty_cache):
            with pytest.raises(RuntimeError, match="CUDA error: unspecified launch failure"):
                use()
        assert (torch.ones(3) + 1).sum() == 6


def test_threads_started_inside_have_the_device_too() -> None:
    with pretend() as gpu:
        found: list[torch.device] = []
        thread = threading.Thread(target=lambda: found.append(torch.ones(3, device="cuda").device))
        thread.start()
        thread.join()
        assert found == [gpu.device]


def test_operations_may_be_refused_and_crossings_are_listed() -> None:
    with pretend() as gpu:
        values = torch.ones(6, dtype=torch.uint8).to("cuda")
        (values * 2).half().cpu()
        result = torch.zeros(2, 6)
        result[1] = values.half()
        assert values.sum().item() == result.sum() == 6
        crossings = [("up", torch.uint8, 6), ("down", torch.float16, 12), ("down", torch.float16, 12)]
        assert gpu.crossings == [*crossings, ("down", torch.int64, 8)]
        seen = []

        def refuse(name: str, tensors: list[torch.Tensor]) -> None:
            seen.append((name, len(tensors)))
            if name == "mul":
                raise gpu.out_of_memory()

        gpu.before = refuse
        values.add(values)
        with pytest.raises(torch.OutOfMemoryError):
            values.mul(2)
        assert seen == [("add", 2), ("mul", 1)]
