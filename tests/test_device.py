"""Devices, precisions and memory by name."""

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from tests.fake_gpu import GIB, pretend
from upscaler.device import (
    PRECISIONS,
    borrows_memory,
    describe,
    devices,
    dtype_name,
    free_memory,
    is_lost,
    is_out_of_memory,
    memory_for_tiles,
    pick_device,
    pick_precision,
    release,
)
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
    assert memory_for_tiles(CPU) > 2**20


@pytest.mark.parametrize(
    ("kind", "names"), [("cuda", ["cuda", "cuda:0", "rocm", "rocm:0", "auto", None]), ("xpu", ["xpu", "xpu:0", None])]
)
def test_a_device_of_which_there_may_be_several_has_an_index(kind: str, names: list[str | None]) -> None:
    with pretend(kind):
        assert {pick_device(name) for name in names} == {torch.device(kind, 0)}
    with pretend("mps"):
        assert pick_device() == torch.device("mps")


@pytest.mark.parametrize(
    ("kind", "words"), [("cuda", "allocator"), ("cuda", "cublas"), ("cuda", "cudnn"), ("xpu", "allocator"), ("mps", "")]
)
def test_every_backend_s_words_for_memory_that_ran_out_are_known(kind: str, words: str) -> None:
    with pretend(kind) as gpu:
        gpu.words = words or gpu.words
        assert is_out_of_memory(gpu.out_of_memory(2**20))
        assert not is_lost(gpu.out_of_memory(2**20))


def test_memory_that_ran_out_on_the_host_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_a_lost_device_is_known_and_nothing_is_released_there(kind: str) -> None:
    with pretend(kind) as gpu:
        gpu.lose()
        with pytest.raises(RuntimeError) as caught:
            torch.ones(3, device=kind)
        assert is_lost(caught.value)
        assert not is_out_of_memory(caught.value)
        release()
    assert is_lost(RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"))
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_memory_that_torch_keeps_is_free_and_shared_among_processes(kind: str) -> None:
    with pretend(kind, memory=10 * GIB, others=2 * GIB):
        device = pick_device()
        before = memory_for_tiles(device)
        values = torch.empty(GIB, dtype=torch.uint8, device=device)
        assert memory_for_tiles(device) == pytest.approx(before * 7 / 8)
        del values
        assert getattr(torch, kind).mem_get_info()[0] == 7 * GIB
        assert memory_for_tiles(device) == before == int(8 * GIB * 0.6)
        assert memory_for_tiles(device, sharers=3) == int(8 * GIB * 0.6 / 3)


def test_workers_of_a_job_divide_the_memory_that_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a card among those on it, that of the host among all."""
    with pretend("cuda", memory=10 * GIB):
        alone, host = free_memory(pick_device()), free_memory(CPU)
        for workers, on_card in (("cuda:0,cuda:0", 2), ("cuda:1,cuda:0,cuda:0,cpu", 2), ("cuda:1", 1)):
            monkeypatch.setenv("UPSCALER_WORKERS", workers)
            assert free_memory(pick_device()) == pytest.approx(alone / on_card)
            assert free_memory(CPU) == pytest.approx(host / len(workers.split(",")), rel=0.2)
            assert free_memory(pick_device(), sharers=1) == alone


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_release_gives_back_what_nothing_refers_to(kind: str) -> None:
    with pretend(kind) as gpu:
        circle: list[object] = [torch.ones(100, device=kind)]
        circle.append(circle)
        del circle
        assert gpu.reserved == 400
        release()
        assert (gpu.live, gpu.reserved) == (0, 0)


def test_a_driver_that_does_not_tell_its_memory_gets_a_share_of_the_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: object = None) -> tuple[int, int]:
        raise RuntimeError("The device (Intel(R) Iris(R) Xe Graphics) doesn't support querying the available memory")

    with pretend("xpu"):
        monkeypatch.setattr("torch.xpu.mem_get_info", refuse)
        assert 2**20 < memory_for_tiles(pick_device()) < memory_for_tiles(CPU)
        assert borrows_memory(pick_device())


@pytest.mark.parametrize(
    ("kind", "share", "borrows"), [("cuda", 0.6, False), ("xpu", 0.6, False), ("mps", 0.4, True), (None, 0.6, False)]
)
def test_tiles_may_use_a_share_of_what_is_free(kind: Any, share: float, borrows: bool) -> None:
    with pretend(kind) if kind else nullcontext():
        device = CPU if kind is None else pick_device(kind)
        assert memory_for_tiles(device) == pytest.approx(free_memory(device) * share, rel=0.05)
        assert borrows_memory(device) is borrows
