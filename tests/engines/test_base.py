"""The contracts of engines."""

import pickle
import threading
from dataclasses import replace

from upscaler.engines import EngineInfo, is_image_engine
from upscaler.engines.base import CPU_MEMORY, MemoryLimit
from upscaler.engines.resample import ResampleEngine
from upscaler.tiling import TileRequirements


def info(device: str, memory: int) -> EngineInfo:
    return EngineInfo("any", TileRequirements(4, reach=1), device=device, free_memory=memory)


def test_tiles_take_no_more_of_a_processors_memory_than_makes_them_faster() -> None:
    assert info("cpu", 2**40).tile_memory == CPU_MEMORY
    assert info("cpu", 2**20).tile_memory == 2**20
    assert info("cuda:0", 2**40).tile_memory == 2**40


def test_an_engine_of_tiles_is_not_one_of_whole_pictures() -> None:
    assert not is_image_engine(ResampleEngine())


def test_a_memory_limit_is_only_lowered_and_shared_by_engines_made_of_others() -> None:
    first = info("cuda:0", 2**30)
    second = replace(first, channels=1)
    threads = [threading.Thread(target=second.limit.lower, args=(pixels,)) for pixels in (900, 100, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.limit.pixels == 100
    assert info("cuda:0", 2**30).limit.pixels == MemoryLimit().pixels == float("inf")
    assert first == info("cuda:0", 2**30), "it is no fact about the engine"
    assert pickle.loads(pickle.dumps(first)).limit.pixels == 100
