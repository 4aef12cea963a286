"""The mean of weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from training import mean
from training.networks import export, make_compact


def test_mean_of_weights_counts_shares_and_refuses_other_networks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for file, features in zip(files, (4, 4, 8), strict=True):
        save_file(export(make_compact(features, 2)), file)
    out = tmp_path / "mean.safetensors"
    monkeypatch.setattr(sys, "argv", ["program", str(out), f"{files[0]}=3", str(files[1])])
    mean.main()
    first, second, found = (load_file(file) for file in (*files[:2], out))
    for name, value in found.items():
        assert value.dtype == torch.float16
        assert torch.allclose(value.float(), first[name].float().lerp(second[name].float(), 0.25), atol=1e-3)
    for wrong, said in (
        (files[2], "2.safetensors: is of another network than"),
        (tmp_path / "missing.safetensors", "missing.safetensors: cannot be read as .safetensors"),
        (f"{files[1]}=much", "the share is not a number"),
        (f"{files[1]}=0", "the share is not above zero"),
    ):
        monkeypatch.setattr(sys, "argv", ["program", str(out), str(files[0]), str(wrong)])
        with pytest.raises(SystemExit):
            mean.main()
        assert said in capsys.readouterr().err
