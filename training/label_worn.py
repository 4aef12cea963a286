"""Writes worn pieces with a teacher's answers: `python -m training.label_worn --photos FOLDER --pieces 3000`.

It can be stopped at any time and goes on where it was. What is taught of clean sources is the truth, of which there is
no end without a teacher, so they are left to `chain`.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel import ModelLoader

from upscaler import catalog

from .data import photo_folder, photographs
from .descent import CORES, has_bfloat16
from .label import held, is_drawn
from .sitting import endless
from .worn_data import WornPieces

SIDE = 48
"""Source pixels of a piece, as many as `chain` learns from at once: the teacher takes longer than all else."""
AT_ONCE = 32
"""Pieces in a file: 7.5 MB."""


def main() -> None:
    """Labels until the folder holds as many pieces as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=photo_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--out", type=Path, default=Path("build/training/worn"))
    parser.add_argument("--teacher", default="realesrgan-x4plus", help="a 4x network, by name or file")
    parser.add_argument("--pieces", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1, help="processes that make pieces; 12 or more for a GPU")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    teacher = ModelLoader("cpu").load_from_file(catalog.fetch_model(catalog.find(arguments.teacher))).model.eval()
    teacher.to(memory_format=torch.channels_last)
    done = len(list(arguments.out.glob("*.safetensors")))
    pieces = WornPieces(photographs(arguments.photos, held_out=False), SIDE, enlarged=True, is_clean=False)
    found = endless(pieces, AT_ONCE, arguments.workers, seed=1000 + done)
    is_quick = has_bfloat16("cpu")

    @torch.inference_mode()
    def answer(source: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """uint8, (3, height, width), both and the result."""
        if is_drawn(truth[None]):
            return truth
        with torch.autocast("cpu", torch.bfloat16, enabled=is_quick):
            result: torch.Tensor = teacher((source[None].float() / 255).contiguous(memory_format=torch.channels_last))
        return held((255 * result.float().clamp(0, 1)).round().byte(), truth[None])[0]

    threads = ThreadPoolExecutor(CORES, initializer=torch.set_num_threads, initargs=(1,))
    for number in range(done, -(-arguments.pieces // AT_ONCE)):
        source, clean, truth = next(found)
        taught = torch.stack(list(threads.map(answer, source, truth)))
        file = arguments.out / f"{number:05d}.safetensors"
        whole = {"source": source, "clean": clean, "truth": truth, "taught": taught.contiguous()}
        save_file(whole, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)
        print(f"{(number + 1) * AT_ONCE} pieces", flush=True)


if __name__ == "__main__":
    main()
