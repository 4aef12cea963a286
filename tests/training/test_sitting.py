"""A program's way through its schedule."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from training.descent import Descent
from training.sitting import Sitting


def test_sitting_goes_on_where_it_was(tmp_path: Path) -> None:
    def sitting() -> Sitting:
        torch.manual_seed(0)
        return Sitting(Descent(nn.Linear(4, 4), 1e-2, warmup=1), tmp_path)

    def loss(value: torch.Tensor) -> torch.Tensor:
        return (network.descent.module(value) - value).square().mean()

    for minutes in (0.01, 0.02):
        network = sitting()
        steps = network.descent.steps
        network.go(loss, lambda: [torch.ones(8, 4)], minutes, lambda: {"figure": 1.0})
        assert network.descent.steps > steps
        assert network.seconds >= 60 * minutes
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


def test_checkpoint_of_another_network_is_kept_and_said(tmp_path: Path) -> None:
    Sitting(Descent(nn.Linear(4, 4), 1e-2), tmp_path).go(lambda value: value.mean(), lambda: [torch.ones(1)], 0.0, dict)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(SystemExit, match=r"checkpoint\.pt: is of another network\. Name another folder with --out\.$"):
        Sitting(Descent(nn.Linear(4, 8), 1e-2), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
