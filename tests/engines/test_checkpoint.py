"""Files of weights: of every suffix, mixed in pairs, and those that hold something else."""

import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

from tests.networks import tiny_compact
from upscaler.engines.checkpoint import Checkpoint, read_weights, save
from upscaler.errors import ModelError


class Bomb:
    """What a malicious checkpoint does when an ordinary unpickler reads it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self._file,)


class Program(torch.nn.Module):
    """A TorchScript archive runs this when `torch.jit.load` reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight


def output(checkpoint: Checkpoint) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.inference_mode():
        return checkpoint.load()(torch.rand(1, 3, 12, 12))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".PTH"])
@pytest.mark.parametrize("key", [None, "params_ema", "params", "state_dict", "g_ema", "net_g", "generator", "weights"])
def test_every_suffix_and_wrapping_gives_the_same_network(tmp_path: Path, suffix: str, key: str | None) -> None:
    file = tiny_compact(tmp_path)
    state = load_file(file)
    wrapped = tmp_path / f"wrapped{suffix}"
    torch.save(state if key is None else {key: state, "epoch": 3}, wrapped)
    assert torch.equal(output(Checkpoint(wrapped)), output(Checkpoint(file)))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "net_g.", "model.", "module._orig_mod.", "model.net."])
@pytest.mark.parametrize("extra", [{}, {"loss.weight": torch.zeros(3)}])
def test_what_trainers_put_before_names_is_taken_off(
    tmp_path: Path, prefix: str, extra: dict[str, torch.Tensor]
) -> None:
    file = tiny_compact(tmp_path)
    state = {f"{prefix}{name}": value for name, value in load_file(file).items()} | extra
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "lightning.ckpt")
    save_file(state, tmp_path / "plain.sft")
    for name in ("lightning.ckpt", "plain.sft"):
        assert torch.equal(output(Checkpoint(tmp_path / name)), output(Checkpoint(file)))


@pytest.mark.parametrize("wrapping", ["keys", "prefixes"])
def test_averaged_weights_are_taken_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrapping: str
) -> None:
    plain, averaged = load_file(tiny_compact(tmp_path, seed=1)), load_file(tiny_compact(tmp_path, seed=2))
    both: dict[str, Any] = {"params": plain, "params_ema": averaged}
    if wrapping == "prefixes":
        names = {f"net_g.{name}": value for name, value in plain.items()}
        both = {"state_dict": names | {f"net_g_ema.{name}": value for name, value in averaged.items()}, "epoch": 3}
    torch.save(both, tmp_path / "both.pth")
    with caplog.at_level("INFO", "upscaler"):
        found = read_weights(tmp_path / "both.pth")
    assert all(torch.equal(found[name], value) for name, value in averaged.items())
    taken, other = ("params_ema", "params") if wrapping == "keys" else ("state_dict net_g_ema.", "state_dict net_g.")
    assert f"both.pth: the weights under {taken} are taken, not those under {other}." in caplog.text


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_mixed_weights_are_the_weighted_mean(tmp_path: Path, share: float) -> None:
    one, other = tiny_compact(tmp_path, seed=1), tiny_compact(tmp_path, seed=2)
    mixed = Checkpoint(one, other, share).load().model.state_dict()
    first, second = read_weights(one), read_weights(other)
    for name, value in mixed.items():
        np.testing.assert_allclose(value, share * first[name] + (1 - share) * second[name], rtol=0, atol=1e-6)


def test_mixtures_have_keys_of_their_own(tmp_path: Path) -> None:
    one, other = tiny_compact(tmp_path, seed=1), tiny_compact(tmp_path, seed=2)
    checkpoints = [Checkpoint(one), Checkpoint(other), Checkpoint(one, other, 0.5), Checkpoint(one, other, 0.25)]
    assert len({checkpoint.key for checkpoint in checkpoints}) == 4


def test_networks_of_different_shapes_are_not_mixed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be mixed"):
        Checkpoint(tiny_compact(tmp_path, seed=1), tiny_compact(tmp_path, convolutions=3, seed=2), 0.5).load()


def test_saved_weights_make_the_same_network(tmp_path: Path) -> None:
    state = load_file(tiny_compact(tmp_path))
    torch.save({"params_ema": state, "params": {}, "note": "hello"}, tmp_path / "a.pth")
    save(Checkpoint(tmp_path / "a.pth"), tmp_path / "b.safetensors", {"source": "a.pth"})
    assert torch.equal(output(Checkpoint(tmp_path / "b.safetensors")), output(Checkpoint(tmp_path / "a.pth")))


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_a_malicious_pickle_runs_nothing(tmp_path: Path, suffix: str) -> None:
    proof = tmp_path / "was-here"
    bare, archive = tmp_path / f"bare{suffix}", tmp_path / f"archive{suffix}"
    bare.write_bytes(pickle.dumps({"params": Bomb(proof)}, protocol=2))
    torch.save({"params": Bomb(proof)}, archive)
    for file in (bare, archive):
        with pytest.raises(ModelError, match=rf"{file.name}: .*nothing was run"):
            Checkpoint(file).load()
    assert not proof.exists()
    pickle.loads(bare.read_bytes())
    assert proof.exists(), "the test must be able to fail"


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"program{suffix}"
    torch.jit.script(Program()).save(str(file))
    with pytest.raises(ModelError, match="a TorchScript program would have to be run"):
        Checkpoint(file).load()


def test_files_that_hold_no_network_are_one_sentence(tmp_path: Path) -> None:
    good = tiny_compact(tmp_path).read_bytes()
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "unknown.safetensors")
    torch.save([1, 2, 3], tmp_path / "list.pth")
    torch.save({"params": {"body.0.weight": torch.zeros(3), "body.1.weight": "text"}}, tmp_path / "mixed.pth")
    (tmp_path / "short.safetensors").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("not a network")
    (tmp_path / "page.safetensors").write_text("<html>404</html>" * 100)
    for file in sorted(tmp_path.glob("*.*")):
        if file.name.startswith("compact"):
            continue
        with pytest.raises(ModelError, match=file.name) as caught:
            Checkpoint(file).load()
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no such file"):
        Checkpoint(tmp_path / "missing.pth").load()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_one_sentence(tmp_path: Path, value: float) -> None:
    state = load_file(tiny_compact(tmp_path))
    first = next(iter(state))
    save_file({**state, first: state[first] * value}, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=r"broken\.safetensors: some of its weights are no numbers"):
        Checkpoint(tmp_path / "broken.safetensors").load()


class Length:
    """A checkpoint's way to ask for memory by a number."""

    def __reduce__(self) -> Any:
        return bytearray, (3_000_000_000,)


def large_files(folder: Path) -> dict[str, str]:
    """Small files that take gigabytes, and what is said of each."""
    state = load_file(tiny_compact(folder))
    first = next(iter(state))
    base = torch.zeros(2**20)

    def saved(name: str, content: object) -> Path:
        torch.save(content, folder / name)
        return folder / name

    saved("strides.pth", {"params": {**state, first: torch.zeros(1).expand(600_000, 600_000)}})
    saved("shared.pth", {"params": {f"body.{index}.weight": base.view(1024, -1) for index in range(500)}})
    saved("length.pth", {"params": state, "x": Length()})
    (folder / "old.pth").write_bytes(pickle.dumps({"params": 1, "x": Length()}, protocol=2))
    zeros = zipfile.ZipFile(saved("zeros.pth", {**state, first: torch.zeros(10**7)}))
    with zeros as stored, zipfile.ZipFile(folder / "deflated.pth", "w", zipfile.ZIP_DEFLATED, True, 1) as packed:
        for entry in stored.infolist():
            packed.writestr(entry.filename, stored.read(entry))
    (folder / "zeros.pth").unlink()
    save_file({**state, "body.2000000.weight": torch.zeros(8)}, folder / "many.safetensors")
    save_file({**state, f"body.{'9' * 5000}.weight": torch.zeros(8)}, folder / "digits.safetensors")
    wide = RRDBNet(num_filters=8, num_blocks=1).state_dict()
    wide["model.0.weight"] = torch.zeros(20_000, 3, 3, 3)
    save_file({name: value.contiguous() for name, value in wide.items()}, folder / "wide.safetensors")
    return {
        "strides.pth": r"its tensors have 1440000\d+ bytes, and the file \d+\.",
        "shared.pth": r"its tensors have 2097152000 bytes, and the file 4\d+\.",
        "length.pth": r"it asks for memory instead of holding weights\.",
        "old.pth": r"it asks for memory instead of holding weights\.",
        "deflated.pth": r"its \d+ bytes would unpack to 40\d+, and weights are not compressed\.",
        "many.safetensors": r"it numbers far more layers than it has\.",
        "digits.safetensors": r"it numbers far more layers than it has\.",
        "wide.safetensors": r"its layers would take 1\d\.\d GiB more than its weights tell\.",
    }


def test_small_files_take_little_memory(tmp_path: Path) -> None:
    for name, sentence in large_files(tmp_path).items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ModelError, match=rf"{name}: the file is not what it seems: {sentence} Get it from"):
            Checkpoint(tmp_path / name).load()
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB
