"""Writes worn pieces with a teacher's answers: `python -m training.label --photos FOLDER --pieces 3000`. See README.md.

The teacher takes far longer than a step of training, so each piece is labelled once. It can be stopped at any time; the
same command goes on. What is taught of clean sources is the truth, of which there is no end without a teacher, so they
are left to `chain`.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel import ModelLoader
from torch.nn import functional

from upscaler import catalog

from .data import find_photographs, parse_folder
from .descent import CORES, pick_device, quick
from .worn_data import WornPieces

SIDE = 48
"""Source pixels of a piece, as many as `chain` learns from at once: the teacher takes longer than all else."""
AT_ONCE = 32
"""Pieces in a file: 7.5 MB."""
HELD = 8
"""Pixels over which the mean colours of the teacher's results are those of the truth, so that its tints and
contrasts are not learned. Over four pixels, strokes that the teacher invents got hazy borders."""


def main() -> None:
    """Labels until the folder holds as many pieces as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=parse_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--out", type=Path, default=Path("build/training/labelled"))
    parser.add_argument("--teacher", default="realesrgan-x4plus", help="a 4x network, by name or file")
    parser.add_argument("--pieces", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pieces; 12 or more for a GPU")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = pick_device()
    teacher = ModelLoader(device).load_from_file(catalog.fetch_model(catalog.find(arguments.teacher))).model.eval()
    teacher.to(memory_format=torch.channels_last)
    done = len(list(arguments.out.glob("*.safetensors")))
    pieces = WornPieces(find_photographs(arguments.photos, held_out=False), SIDE, enlarged=True, is_clean=False)
    found = pieces.stream(AT_ONCE, arguments.workers, seed=1000 + done)

    def answer(source: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        return truth if is_drawn(truth) else hold_tones(ask(teacher, source, device), truth)

    # On a CPU each core asks about a piece of its own, as in `Descent`.
    threads = ThreadPoolExecutor(CORES if device.type == "cpu" else 1, initializer=torch.set_num_threads, initargs=(1,))
    for number in range(done, -(-arguments.pieces // AT_ONCE)):
        source, clean, truth = next(found)
        taught = torch.stack(list(threads.map(answer, source, truth)))
        file = arguments.out / f"{number:05d}.safetensors"
        whole = {"source": source, "clean": clean, "truth": truth, "taught": taught.contiguous()}
        save_file(whole, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)
        print(f"{(number + 1) * AT_ONCE} pieces", flush=True)


@torch.inference_mode()
def ask(teacher: torch.nn.Module, source: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Returns the teacher's result of one source; both are uint8, (3, height, width), on the host."""
    picture = (source[None].to(device).float() / 255).contiguous(memory_format=torch.channels_last)
    with quick(device.type):
        result: torch.Tensor = teacher(picture)
    return (255 * result[0].float().clamp(0, 1)).round().byte().cpu()


def is_drawn(truth: torch.Tensor) -> bool:
    """Returns whether most pixels equal their neighbours: letters, line art, screens. There the teacher draws an o for
    an e, and what is true can be learned instead. Of photographs it is a third of the pixels at most, but for drawings
    among them."""
    return bool((truth[..., 1:] == truth[..., :-1]).all(-3).float().mean() > 0.6)


def hold_tones(taught: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Returns the teacher's details on the truth's tones: uint8, (3, height, width), as both are."""
    off = functional.avg_pool2d(truth[None].float() - taught[None].float(), HELD)
    levels = taught + functional.interpolate(off, scale_factor=HELD, mode="bicubic")[0]
    return levels.round().clamp(0, 255).byte()


if __name__ == "__main__":
    main()
