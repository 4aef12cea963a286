"""Writes the mean of weights: `python -m training.mean OUT.safetensors A.safetensors=0.6 B.safetensors=0.4`.

Of averages from several times of one training, or of trainings that began with the same weights (model soups, Wortsman
et al. 2022), it is often better than each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main() -> None:
    """Shares need not sum to one: they are counted in terms of their sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the file to write, float16 as the others")
    parser.add_argument("weights", type=_part, nargs="+", help="FILE=SHARE, or FILE for a share of one")
    arguments = parser.parse_args()
    whole = sum(share for _, share in arguments.weights)
    mean: dict[str, torch.Tensor] = {}
    for file, share in arguments.weights:
        weights = load_file(file)
        if mean and {name: value.shape for name, value in weights.items()} != {name: mean[name].shape for name in mean}:
            raise SystemExit(f"{file}: is of another network than the first file.")
        for name, value in weights.items():
            mean[name] = mean.get(name, torch.zeros(())) + share / whole * value.float()
    save_file({name: value.half().contiguous() for name, value in mean.items()}, arguments.out)


def _part(text: str) -> tuple[Path, float]:
    """For argparse, which says what is wrong with it."""
    name, _, share = text.partition("=")
    if not Path(name).is_file():
        raise argparse.ArgumentTypeError(f"{name}: no such file")
    try:
        return Path(name), float(share or 1)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: the share is not a number") from error


if __name__ == "__main__":
    main()
