"""Every architecture that spandrel knows, from the file to the picture: precisions, sizes, tiles, batches, channels."""

from __future__ import annotations

import logging
import pkgutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import spandrel
import spandrel.architectures
import torch
from spandrel.architectures.Compact import Compact

from tests.architectures import REFUSED, ROWS, Row, checkpoint, picture, weights
from upscaler import Upscaler, catalog
from upscaler.engines import EngineInfo, engine_for
from upscaler.errors import ModelError, PlanError

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")

AGREE = {"fp16": 1, "bf16": 4}
"""8-bit levels by which a result may differ from that in float32: fp16 has 11 binary digits, bf16 has 8."""

WIDE = 32
"""Source pixels over which tiles are blended that may differ as wholes; otherwise 4."""

BY_NAME = {row.name: row for row in ROWS}


def rows(*, heavy: bool) -> pytest.MarkDecorator:
    """All rows; of the quick tests those that are slow, and unless `heavy` those that are heavy, are left out."""
    marks = {row.name: [pytest.mark.slow] if row.slow or (row.heavy and not heavy) else [] for row in ROWS}
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name, marks=marks[row.name]) for row in ROWS])


class Files:
    """The file of each network, made when it is first asked for, and it loaded in float32."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: dict[str, Upscaler] = {}

    def __getitem__(self, row: Row) -> str:
        file = self.folder / f"{row.name}.safetensors"
        return str(file if file.is_file() else checkpoint(row, self.folder))

    def loaded(self, row: Row) -> Upscaler:
        if row.name not in self._loaded:
            self._loaded[row.name] = Upscaler(self[row], device="cpu", precision="fp32")
        return self._loaded[row.name]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("networks"))


@pytest.fixture(autouse=True)
def _one_cache(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of a network is remembered from test to test."""
    monkeypatch.setenv("UPSCALER_HOME", str(files.folder / "home"))


def source(width: int, height: int) -> np.ndarray:
    return np.rint(picture(width, height) * 255).astype(np.uint8)


def info(upscaler: Upscaler) -> EngineInfo:
    return upscaler.estimate(source(8, 8)).engine


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other).max())


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Warnings of tiles that could not be computed. That random weights now and then make odd ones is their right."""
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [warning for warning in warnings if "widely blended" not in warning and "resemble" not in warning]


def test_every_architecture_of_spandrel_is_in_the_tables() -> None:
    known = {support.architecture.id for support in spandrel.MAIN_REGISTRY}
    folders = {module.name for module in pkgutil.iter_modules(spandrel.architectures.__path__)}
    assert {row.architecture for row in ROWS} | set(REFUSED) == known
    assert known == {name for name in folders if not name.startswith("_")}


@rows(heavy=True)
def test_a_file_is_loaded_as_its_architecture_and_enlarges_sources_of_any_size(
    files: Files, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    assert spandrel.ModelLoader().load_from_file(files[row]).architecture.id == row.architecture
    upscaler = files.loaded(row)
    about = info(upscaler)
    assert (about.needs.scale, about.channels, about.precision) == (row.scale, row.channels, "fp32")
    for width, height in (37, 29), (5, 3), (1, 1):
        result = upscaler(source(width, height)).pixels
        assert result.shape == (height * row.scale, width * row.scale, 3)
        assert result.std() > 0 or (width, height) == (1, 1)
    assert failures(caplog) == []


@rows(heavy=False)
def test_results_are_those_of_the_bare_network(files: Files, row: Row) -> None:
    """Its source is left as it was, too: some networks write into what they are given."""
    tile = np.ascontiguousarray(picture(96, 64)[None, :, :, : row.channels])
    given = tile.copy()
    bare = spandrel.ModelLoader().load_from_file(files[row]).eval()
    torch.manual_seed(0)
    right = bare(torch.from_numpy(tile).permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1).numpy()
    result = engine_for(catalog.find(files[row]), "cpu", "fp32").run(tile)
    assert np.abs(result - right).max() < 1e-3
    assert np.array_equal(tile, given)


@pytest.mark.parametrize("precision", AGREE)
@rows(heavy=False)
def test_half_precision_agrees_with_float32_or_is_refused(
    files: Files, row: Row, precision: str, caplog: pytest.LogCaptureFixture
) -> None:
    network = spandrel.ModelLoader().load_from_file(files[row])
    allowed = {"fp16": network.supports_half, "bf16": network.supports_bfloat16}[precision] and not row.uses_grid_sample
    upscaler = Upscaler(files[row], device="cpu", precision=precision)
    if not allowed:
        with pytest.raises(PlanError, match=f"precision={precision}: this model does not support it. Use auto or fp32"):
            upscaler(source(37, 29))
        return
    assert info(upscaler).precision == precision
    assert difference(upscaler(source(37, 29)).pixels, files.loaded(row)(source(37, 29)).pixels) <= AGREE[precision]
    assert failures(caplog) == []


def test_no_hue_turns_black_in_half_precision(files: Files) -> None:
    """HVI-CIDNet sorts hues into six; in bfloat16 those a little below a full turn round up into none."""
    hues = np.stack(
        np.broadcast_arrays(np.linspace(0, 179, 96)[None, :], np.linspace(20, 120, 48)[:, None], 140), axis=2
    )
    colours = cv2.cvtColor(np.rint(hues).astype(np.uint8), cv2.COLOR_HSV2RGB)
    results = [
        Upscaler(files[BY_NAME["HVICIDNet"]], device="cpu", precision=precision)(colours).pixels
        for precision in ("fp32", "bf16")
    ]
    assert difference(*results) < 64


@rows(heavy=False)
def test_tiles_equal_the_whole(files: Files, row: Row, caplog: pytest.LogCaptureFixture) -> None:
    """Several at once, too. To one level, or to what its row says if it looks at all of a tile."""
    side = smallest_tile(files.loaded(row))
    wide = source(side + side // 4 + 5, 24)
    pictures = []
    for tile in 4096, side:
        upscaler = Upscaler(files[row], device="cpu", precision="fp32", tile=tile, batch=2)
        assert (upscaler.estimate(wide).plans[0].count == 1) == (tile == 4096)
        pictures.append(upscaler(wide).pixels)
    assert difference(*pictures) <= row.apart
    assert failures(caplog) == []


def smallest_tile(upscaler: Upscaler) -> int:
    needs = info(upscaler).needs
    overlap = up(2 * needs.reach + needs.ramp, needs.multiple)
    return up(max(overlap + 2 * max(needs.ramp, needs.multiple), needs.minimum), needs.multiple)


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@rows(heavy=False)
def test_networks_that_look_at_all_of_a_tile_are_blended_widely_and_say_so(
    files: Files, row: Row, caplog: pytest.LogCaptureFixture
) -> None:
    discouraged = spandrel.ModelLoader().load_from_file(files[row]).tiling == spandrel.ModelTiling.DISCOURAGED
    needs = info(Upscaler(files[row], device="cpu", precision="fp32")).needs
    reasons = ("its makers advise against tiles", "it looks at the whole of a tile")
    said = [reason for reason in reasons if reason in caplog.text]
    assert said == ([reasons[0]] if discouraged else [reasons[1]] if row.apart > 1 else [])
    assert needs.ramp == (WIDE if said else 4)


def test_networks_whose_makers_advise_against_tiles_get_larger_ones(files: Files) -> None:
    large = np.zeros((1200, 1200, 3), np.uint8)
    discouraged, other = (files.loaded(BY_NAME[name]).estimate(large).plans[0] for name in ("SwinIR", "Swin2SR"))
    assert discouraged.tile.pixels > 2 * other.tile.pixels


class Whole(spandrel.Architecture[Compact]):
    """As it may come with a later spandrel: a network that must see the whole picture."""

    def __init__(self) -> None:
        super().__init__(id="Whole", detect=lambda state: "whole.body.0.weight" in state)

    def load(self, state_dict: spandrel.StateDict) -> spandrel.ImageModelDescriptor[Compact]:
        return spandrel.ImageModelDescriptor(
            Compact(num_feat=8, num_conv=2, upscale=2),
            {name.removeprefix("whole."): value for name, value in state_dict.items()},
            self,
            "SR",
            [],
            supports_half=True,
            supports_bfloat16=True,
            scale=2,
            input_channels=3,
            output_channels=3,
            tiling=spandrel.ModelTiling.INTERNAL,
        )


@pytest.fixture
def _whole(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = spandrel.MAIN_REGISTRY
    for name in ("_architectures", "_ordered", "_by_id"):  # to be put back: spandrel can add, but not take away
        monkeypatch.setattr(registry, name, getattr(registry, name))
    registry.add(spandrel.ArchSupport.from_architecture(Whole()))


@pytest.mark.usefixtures("_whole")
def test_a_network_that_must_see_the_whole_picture_gets_one_tile(files: Files, tmp_path: Path) -> None:
    compact = files.loaded(BY_NAME["Compact"])
    file = tmp_path / "whole.pth"
    torch.save({f"whole.{name}": value for name, value in weights(BY_NAME["Compact"]).items()}, file)
    whole = Upscaler(str(file), device="cpu", precision="fp32")
    large = np.zeros((3000, 3000, 3), np.uint8)
    assert whole.estimate(large).plans[0].count == 1
    assert compact.estimate(large).plans[0].count > 1
    assert np.array_equal(whole(source(37, 29)).pixels, compact(source(37, 29)).pixels)
    with pytest.raises(PlanError, match="tile=64: this model must see the whole picture"):
        Upscaler(str(file), device="cpu", tile=64)(source(100, 100))


@rows(heavy=False)
def test_grey_gets_no_tint_and_colour_stays_colour(files: Files, row: Row) -> None:
    upscaler, colour = files.loaded(row), source(61, 43)
    grey = colour[:, :, 1:2]
    result = upscaler(grey).pixels
    assert result.shape == (43 * row.scale, 61 * row.scale, 1)
    assert np.array_equal(upscaler(np.repeat(grey, 3, axis=2)).pixels, np.repeat(result, 3, axis=2))
    assert np.ptp(upscaler(colour).pixels, axis=2).max() > 0


def test_a_grey_network_takes_the_channels_of_a_colour_picture_one_by_one(files: Files) -> None:
    upscaler, colour = files.loaded(BY_NAME["Compact-grey"]), source(37, 29)
    result = upscaler(colour).pixels
    for channel in range(3):
        alone = upscaler(colour[:, :, channel : channel + 1]).pixels
        assert np.array_equal(result[:, :, channel], alone[:, :, 0])


@pytest.mark.parametrize("name", ["params_ema.pth", "plain.pt", "lightning.ckpt"])
@pytest.mark.parametrize("architecture", ["Compact", "MoSR", "SwinIR"])
def test_files_of_other_kinds_give_the_same_picture(files: Files, architecture: str, name: str, tmp_path: Path) -> None:
    row = BY_NAME[architecture]
    state = weights(row)
    wrapped = {
        "params_ema.pth": {"params": {}, "params_ema": state},
        "plain.pt": state,
        "lightning.ckpt": {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}},
    }
    file = tmp_path / name
    torch.save(wrapped[name], file)
    result = Upscaler(str(file), device="cpu", precision="fp32")(source(37, 29)).pixels
    assert np.array_equal(result, files.loaded(row)(source(37, 29)).pixels)


@pytest.mark.parametrize("architecture", REFUSED)
def test_networks_that_enlarge_no_pictures_are_refused_with_a_sentence(architecture: str, tmp_path: Path) -> None:
    build, what = REFUSED[architecture]
    with torch.device("meta"):
        state = build().state_dict()
    file = tmp_path / f"{architecture}.pth"
    torch.save({name: torch.zeros(value.shape, dtype=value.dtype) for name, value in state.items()}, file)
    with pytest.raises(ModelError, match=f"{architecture}.pth: the network is for .*{what}, not for"):
        Upscaler(str(file), device="cpu")(source(8, 8))
    file.unlink()  # it has some hundred megabytes
