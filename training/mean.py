"""Writes the mean of weights: `python -m training.mean OUT.safetensors A.safetensors=0.6 B.safetensors=0.4`.

Of averages from several times of one training, or of trainings that began with the same weights (model soups, Wortsman
et al. 2022), it is often better than each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file


class Part(NamedTuple):
    """One of the files, and how much of it goes into the mean."""

    file: str
    weights: dict[str, torch.Tensor]
    share: float


def main() -> None:
    """Writes the mean. Shares need not sum to one: they are counted in terms of their sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the file to write, float16 as the others")
    parser.add_argument("parts", type=_parse_part, nargs="+", metavar="FILE=SHARE", help="or FILE, for a share of one")
    arguments = parser.parse_args()
    parts: list[Part] = arguments.parts
    shapes, *others = ({name: value.shape for name, value in part.weights.items()} for part in parts)
    for part, other in zip(parts[1:], others, strict=True):
        if other != shapes:
            parser.error(f"{part.file}: is of another network than {parts[0].file}")
    whole = sum(part.share for part in parts)
    mean = {name: sum(part.share / whole * part.weights[name].float() for part in parts) for name in shapes}
    save_file({name: torch.as_tensor(value).half().contiguous() for name, value in mean.items()}, arguments.out)


def _parse_part(text: str) -> Part:
    """Reads a file and its share. Raises ArgumentTypeError, which argparse prints."""
    file, _, share = text.partition("=")
    try:
        part = Part(file, load_file(file), float(share or 1))
    except (OSError, SafetensorError) as error:
        raise argparse.ArgumentTypeError(f"{file}: cannot be read as .safetensors") from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: the share is not a number") from error
    if not 0 < part.share < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: the share is not above zero")
    return part


if __name__ == "__main__":
    main()
