"""Writes pieces with a teacher's results beside them, to learn from: `python -m training.label photo --photos FOLDER`.

Real-ESRGAN takes far longer than a step of training, so each piece is labelled once. It can be stopped at any time and
goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from spandrel import ModelLoader
from torch.nn import functional

from upscaler import catalog

from .configs import CONFIGS
from .data import Pieces, batches, photo_folder, photographs
from .descent import quick

AT_ONCE = 32
"""Pieces in a file: 13 MB, and half a minute's work of two cores for Real-ESRGAN."""
HELD = 8
"""Pixels over which the mean colours of the teacher's results are those of the truth, so that its tints and
contrasts are not learned. Over four pixels, strokes that the teacher invents got hazy borders."""


def main() -> None:
    """Labels until the folder holds as many pieces as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[name for name, config in CONFIGS.items() if config.lesson])
    parser.add_argument("--photos", type=photo_folder, required=True, help="a folder of .jpg and .png")
    parser.add_argument("--out", type=Path, default=Path("build/training/labelled"))
    parser.add_argument("--teacher", help="a 4x network, by name or file (default: the configuration's)")
    parser.add_argument("--pieces", type=int, default=8192, help="3.3 GB")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    config = CONFIGS[arguments.name]
    assert config.lesson is not None
    found = catalog.find(arguments.teacher or config.lesson.teacher)
    arguments.out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher = ModelLoader(device).load_from_file(catalog.fetch_model(found)).eval()
    done = len(list(arguments.out.glob("*.safetensors")))
    pieces = Pieces(photographs(arguments.photos, held_out=False), config.mixture, config.piece)
    pairs = batches(pieces, AT_ONCE, arguments.workers, seed=done)
    for number in range(done, -(-arguments.pieces // AT_ONCE)):
        source, truth = next(pairs)
        taught = torch.cat(
            [
                true if is_drawn(true) else held(_taught(teacher.model, own.to(device)), true)
                for own, true in zip(source[:, None], truth[:, None], strict=True)
            ]
        )
        file = arguments.out / f"{number:05d}.safetensors"
        save_file({"source": source, "truth": truth, "taught": taught}, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)
        print(f"{(number + 1) * AT_ONCE} pieces", flush=True)


def is_drawn(truth: torch.Tensor) -> bool:
    """Whether most of its pixels equal their neighbours: letters, line art, screens. There the teacher draws an o for
    an e, and what is true can be learned instead. Of photographs it is a third of the pixels at most, but for drawings
    among them."""
    return bool((truth[..., 1:] == truth[..., :-1]).all(-3).float().mean() > 0.6)


def held(taught: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """The teacher's details on the truth's tones: uint8, (1, 3, height, width), as both are."""
    off = functional.avg_pool2d(truth.float() - taught.float(), HELD)
    levels = taught + functional.interpolate(off, scale_factor=HELD, mode="bicubic")
    return levels.round().clamp(0, 255).byte()


@torch.inference_mode()
def _taught(teacher: torch.nn.Module, source: torch.Tensor) -> torch.Tensor:
    """uint8 on the CPU, (1, 3, height, width), of a source that is a quarter of it."""
    with quick(source.device.type):
        result: torch.Tensor = teacher((source.float() / 255).to(memory_format=torch.channels_last))
    return (255 * result.float().clamp(0, 1)).round().byte().cpu().contiguous()


if __name__ == "__main__":
    main()
