"""Networks as engines: scales, channels, sizes, devices, precisions; files that hold none."""

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.networks import tiny_compact, tiny_swinir
from tests.pictures import ALL, sample
from upscaler import catalog
from upscaler.device import cpu_has_bfloat16
from upscaler.engines import engine_for
from upscaler.engines.checkpoint import Checkpoint
from upscaler.engines.network import Computation, NetworkEngine, _same_noise
from upscaler.errors import PlanError


def loaded(file: Path, **options: Any) -> NetworkEngine:
    return NetworkEngine.load(Checkpoint(file), name=file.stem, **options)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_network_gives_tiles_at_its_scale(tmp_path: Path, scale: int, channels: int) -> None:
    engine = loaded(tiny_compact(tmp_path, scale, channels), device="cpu")
    tiles = np.random.default_rng(0).random((2, 20, 28, channels), np.float32)
    result = engine.run(tiles)
    assert result.shape == (2, 20 * scale, 28 * scale, channels)
    assert result.dtype == np.float32
    assert (engine.info.needs.scale, engine.info.channels) == (scale, channels)


def test_network_result_is_that_of_the_bare_network(tmp_path: Path) -> None:
    import spandrel

    file = tiny_compact(tmp_path)
    bare = spandrel.ModelLoader().load_from_file(file)
    tile = sample("astronaut.jpg")[:40, :56]
    with torch.inference_mode():
        right = bare(torch.from_numpy(tile).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    result = loaded(file, device="cpu", precision="fp32").run(tile[None])[0]
    assert np.abs(result - right).max() < 1e-5


def test_reach_of_plain_convolutions_is_at_most_their_number(tmp_path: Path) -> None:
    engine = loaded(tiny_compact(tmp_path, convolutions=4), device="cpu")
    assert 1 <= engine.info.needs.reach <= 6


def test_reach_is_measured_once_and_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tiny_compact(tmp_path)
    with caplog.at_level("INFO", "upscaler"):
        first = loaded(file, device="cpu").info.needs.reach
        assert "measuring" in caplog.text
        caplog.clear()
        assert loaded(file, device="cpu").info.needs.reach == first
        assert "measuring" not in caplog.text


def test_recorded_reach_of_the_embedded_network_covers_the_measured_one() -> None:
    model = catalog.find("faithful")
    assert model.file is not None
    measured = loaded(model.file, device="cpu", precision="fp32").info.needs.reach
    assert model.reach is not None
    assert measured <= model.reach


def test_window_networks_get_tiles_that_keep_their_windows(tmp_path: Path) -> None:
    needs = loaded(tiny_swinir(tmp_path), device="cpu").info.needs
    assert needs.multiple == 16
    assert needs.minimum == 16
    assert needs.ramp > 4, "its makers advise against tiles"


@pytest.mark.parametrize("name", ALL)
@pytest.mark.skipif(not cpu_has_bfloat16(), reason="needs a processor with bfloat16")
def test_bfloat16_stays_above_50_db_of_float32(name: str) -> None:
    model = catalog.find("faithful")
    tile = sample(name)[None]
    exact, fast = (engine_for(model, "cpu", precision).run(tile) for precision in ("fp32", "bf16"))
    assert 10 * np.log10(1 / np.mean((np.clip(exact, 0, 1) - np.clip(fast, 0, 1)) ** 2)) > 50


def test_safer_engines_end_with_plain_kernels_on_the_cpu_and_the_same_result() -> None:
    model = catalog.find("faithful")
    engine = engine_for(model, "cpu", "bf16")
    tile = sample("astronaut.jpg")[None, :64, :64]
    results, precisions = [], []
    while engine is not None:
        results.append(engine.run(tile))
        precisions.append(engine.info.precision)
        engine = engine.fallback()
    assert precisions == ["bf16", "fp32", "fp32"]
    assert np.abs(results[1] - results[2]).max() < 1e-4
    assert not np.array_equal(results[0], results[1])


def test_unknown_device_and_precision_are_refused_with_what_there_is(tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    with pytest.raises(PlanError, match=r"device=tpu5: no such kind of device. This machine has .*cpu"):
        loaded(file, device="tpu5")
    with pytest.raises(PlanError, match=r"device=cuda:77: this machine has no such device. It has .*cpu"):
        loaded(file, device="cuda:77")
    with pytest.raises(PlanError, match=r"precision=int8: choose auto, fp32, fp16, bf16"):
        loaded(file, device="cpu", precision="int8")
    with pytest.raises(PlanError, match=r"precision=fp16: this model does not support it"):
        loaded(tiny_swinir(tmp_path), device="cpu", precision="fp16")


def test_a_network_that_draws_disturbs_neither_itself_nor_the_program(tmp_path: Path) -> None:
    """In several threads at once: all draw the same, and the program's own random numbers are as without them."""

    class Noisy(torch.nn.Module):
        def forward(self, tiles: torch.Tensor) -> torch.Tensor:
            noise = torch.rand(tiles.shape)
            time.sleep(0.001)
            return noise + torch.rand(tiles.shape)

    computation = Computation(Noisy(), torch.contiguous_format, torch.device("cpu"))  # type: ignore[arg-type]
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    results: list[torch.Tensor] = []
    tile = torch.zeros(1, 3, 8, 8)
    threads = [threading.Thread(target=lambda: results.extend(computation(tile) for _ in range(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 40
    assert all(torch.equal(result, results[0]) for result in results)
    assert torch.equal(torch.rand(4), expected)


def test_drawing_seeds_the_generators_of_its_own_device_only(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [torch.Generator().manual_seed(number) for number in (11, 12, 13)]
    monkeypatch.setattr(torch.cuda, "default_generators", tuple(cards))
    monkeypatch.setattr(torch, "manual_seed", None)  # it seeds every card
    before = [card.get_state() for card in cards]
    with _same_noise(torch.device("cuda", 1)):
        assert [torch.equal(card.get_state(), state) for card, state in zip(cards, before, strict=True)] == [
            True,
            False,
            True,
        ]
    assert all(torch.equal(card.get_state(), state) for card, state in zip(cards, before, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16", "bf16"])
def test_a_gpu_gives_what_the_cpu_gives(precision: str) -> None:
    model = catalog.find("faithful")
    tile = sample("astronaut.jpg")[None]
    right, result = engine_for(model, "cpu", "fp32").run(tile), engine_for(model, None, precision).run(tile)
    assert 10 * np.log10(1 / np.mean((np.clip(right, 0, 1) - np.clip(result, 0, 1)) ** 2)) > 50
