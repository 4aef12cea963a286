"""A program that reads mutated files: `python -m tests.fuzz TARGET SECONDS SEED`, in a folder of its own.

Whole files are changed at random: bits, numbers, pieces of others, their ends. Each is read in this process, whose
memory is bounded, and so is the time for one file. It must be read, or refused with one of our own errors. When
anything else happens the file is kept as `TARGET-SEED-NUMBER`, and a line says what it was; `input` is the last file,
for when the process itself has ended. Names are those of TARGETS.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import random
import re
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from upscaler.errors import UpscalerError

MEMORY = 2 * 2**30
"""Bytes of addresses beyond those that are taken before the first file is read."""

PATIENCE = 20.0
"""Seconds for one file; a busy machine takes ten times what a free one does."""

NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)

Seeds = dict[str, bytes]
"""Whole files by their names."""

Target = tuple[Callable[[], Seeds], Callable[[Path], object]]
"""Makes whole files, and reads one at a path."""


def mutate(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Changes a file in one to four ways."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = _change(content, others, chance)
    return content


def _change(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    if not content:
        return chance.choice(others)
    # heads are where sizes and counts are
    at = chance.randrange(len(content) if chance.random() < 0.5 else min(len(content), 128))
    size = chance.choice((1, 2, 4, 8))
    kind = chance.randrange(8)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + chance.randbytes(size) + content[at + size :]
    if kind == 2:
        number = chance.choice(NUMBERS) % 2 ** (8 * size)
        return content[:at] + number.to_bytes(size, chance.choice(("little", "big"))) + content[at + size :]
    if kind == 3:
        return content[:at]
    if kind == 4:
        return content[:at] + content[at + chance.randrange(1, 200) :]
    if kind == 5:
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        return content[:at] + other[start : start + chance.randrange(1, 400)] + content[at + chance.randrange(400) :]
    if kind == 6:
        return content[:at] + content[at : at + size] * chance.choice((2, 100, 5000)) + content[at + size :]
    found = [*re.finditer(rb"\d+", content[:20000])]
    if not found:
        return content[:at]
    number = chance.choice(found)
    return content[: number.start()] + str(chance.choice((*NUMBERS, -1, 10**30))).encode() + content[number.end() :]


def pictures() -> Seeds:
    from tests.bad_files import READABLE, file_of
    from tests.corpus import make_corpus

    return {**make_corpus(), **{f"plain.{suffix}": file_of(suffix) for suffix in READABLE}}


def read_picture(path: Path) -> None:
    from upscaler.codecs import decode

    for accept_damaged in (False, True):
        decode(path, accept_damaged=accept_damaged, max_pixels=4_000_000)


def checkpoints() -> Seeds:
    import torch
    from safetensors.torch import load_file

    from tests.networks import tiny_compact

    file = tiny_compact(Path())
    state = load_file(file)
    for name, content in (("plain.pth", state), ("wrapped.pth", {"params_ema": state, "epoch": 3})):
        torch.save(content, name)
    torch.save(state, "old.pth", _use_new_zipfile_serialization=False)
    return {each.name: each.read_bytes() for each in (file, *Path().glob("*.pth"))}


def read_checkpoint(path: Path) -> None:
    from upscaler import catalog
    from upscaler.engines.checkpoint import Checkpoint

    Checkpoint(catalog.find(path).file or path).load()


def pairs() -> Seeds:
    """Graphs with their weights behind them, in one file each."""
    from tests.catalog.test_ncnn import TINY

    found = {}
    for name, make in TINY.items():
        param = make().save(Path(), name)
        found[f"{name}.pair"] = param.read_bytes() + SEPARATOR + param.with_suffix(".bin").read_bytes()
    return found


SEPARATOR = b"\n\0weights\0"


def read_pair(path: Path) -> None:
    from upscaler.catalog import ncnn

    ncnn.read(*_split(path))


def run_pair(path: Path) -> None:
    from upscaler.engines.ncnn_network import find_network

    find_network(_split(path)[0])


def _split(path: Path) -> tuple[Path, Path]:
    graph, _, weights = path.read_bytes().partition(SEPARATOR)
    param, bin = path.with_suffix(".param"), path.with_suffix(".bin")
    param.write_bytes(graph)
    bin.write_bytes(weights)
    return param, bin


def manifests() -> Seeds:
    from upscaler.jobs.database import Row
    from upscaler.jobs.manifest import Manifest

    with closing(Manifest(Path("job"))) as manifest:
        for number in range(20):
            manifest.note_failure(Path("job", f"{number}.png"), Row(source=f"in/{number}.png", error="It is damaged."))
    return {"manifest.sqlite": Path("job/.upscaler/manifest.sqlite").read_bytes()}


def read_manifest(path: Path) -> None:
    from upscaler.jobs.manifest import Manifest

    folder = Path("job")
    shutil.rmtree(folder)
    (folder / ".upscaler").mkdir(parents=True)
    shutil.copy(path, folder / ".upscaler/manifest.sqlite")
    with closing(Manifest(folder)) as manifest:
        for number in range(20):
            output = folder / f"{number}.png"
            row = manifest.row(output)
            if row is not None:
                manifest.check_done(row, output)
                manifest.check_same(row, path)
                manifest.note_failure(output, row)


def catalogs() -> Seeds:
    from tests.faults import ROOT

    blocks = (ROOT / "models/catalog.toml").read_bytes().split(b"\n[[model]]")
    return {f"{number}.toml": b"[[model]]" + block for number, block in enumerate(blocks[1:])}


def read_catalog(path: Path) -> None:
    from upscaler.catalog.registry import _read

    _read(path)


def prompts() -> Seeds:
    cat = {"prompt": "a cat", "seed": 3, "size": "64x48", "lora": "x.safetensors:0.5"}
    lines = [cat, {"prompt": "a dog", "steps": 4}]
    return {
        "prompts.csv": b'prompt,seed,size,guidance,strength\r\na cat,3,64x48,7.5,\r\n"a, b",4,,,0.5\r\n',
        "prompts.jsonl": "\n".join(map(json.dumps, lines)).encode(),
        "prompts.txt": "a cat\na (dog:1.3)\n\nein Bär\n".encode(),
    }


def read_prompts(path: Path) -> None:
    from upscaler.codecs import EncodeOptions
    from upscaler.jobs import prompts

    prompts.expand_prompts(prompts.read(path), {}, 2, "out/", EncodeOptions())


def recipes() -> Seeds:
    from tests.bad_files import png_chunk, png_with

    recipe = {
        "form": 1,
        "parameters": {"prompt": "a cat", "seed": 3, "steps": 4, "size": [64, 64]},
        "prompt": "a cat",
        "negative": "",
        "generator": {"model": "scenes", "weights": ["0" * 64], "scheduler": "Euler"},
        "files": {},
        "generated": {"width": 64, "height": 64},
        "upscaler": {"model": "lanczos", "target": {"scale": 2}},
        "size": {"width": 128, "height": 128},
        "versions": {"upscaler": "0.1.0"},
    }
    text = json.dumps(recipe).encode()
    return {"recipe.json": text, "recipe.png": png_with(png_chunk(b"tEXt", b"upscaler\0" + text))}


def read_recipe(path: Path) -> None:
    from upscaler import recipe
    from upscaler.codecs import decode
    from upscaler.picture import Metadata, Picture

    if path.suffix == ".png":
        recipe.read(decode(path))
        return
    import numpy as np

    text = path.read_bytes().decode("utf-8", "replace")
    found = recipe.read(Picture(np.zeros((2, 2, 3), np.uint8), metadata=Metadata(comments={"upscaler": text})))
    if found is not None:
        found.infotext()


TARGETS: dict[str, Target] = {
    "pictures": (pictures, read_picture),
    "checkpoints": (checkpoints, read_checkpoint),
    "pairs": (pairs, read_pair),
    "networks": (pairs, run_pair),
    "manifests": (manifests, read_manifest),
    "catalogs": (catalogs, read_catalog),
    "prompts": (prompts, read_prompts),
    "recipes": (recipes, read_recipe),
}


def main() -> None:
    target, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    logging.getLogger("upscaler").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")
    make, read = TARGETS[target]
    seeds = make()
    whole = Path("whole")
    whole.mkdir(exist_ok=True)
    for name, content in seeds.items():  # what is imported then, and taken, does not count
        path = whole / name
        path.write_bytes(content)
        with suppress(UpscalerError):  # as graphs that cannot be run without knowing them
            read(path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    chance = random.Random(seed)
    contents = list(seeds.values())
    end, number, found = time.monotonic() + seconds, 0, set[str]()
    while time.monotonic() < end:
        number += 1
        name = chance.choice(list(seeds))
        path = Path(f"input{Path(name).suffix}")
        path.write_bytes(mutate(seeds[name], contents, chance))
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            read(path)
        except UpscalerError:
            pass
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/upscaler/" in frame.filename]
            where = ours[-1] if ours else place
            what = f"{type(error).__name__} {where.filename.rpartition('/')[2]}:{where.lineno} {where.name}"
            if what not in found:
                found.add(what)
                kept = f"{target}-{seed}-{number}{path.suffix}"
                shutil.copy(path, kept)
                sys.stdout.write(f"{kept}: {what}: {str(error)[:150]!r}\n")
                sys.stdout.flush()
        finally:
            faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{number} files\n")


if __name__ == "__main__":
    main()
