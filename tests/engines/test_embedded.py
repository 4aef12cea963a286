"""The embedded networks, on what networks get wrong on sight."""

from __future__ import annotations

import pytest

from training.charts import bicubic, figures, network, sources
from upscaler import catalog
from upscaler.arrays import PixelArray

EMBEDDED = [model for model in catalog.models() if model.kind == "network" and model.file is not None]

NETWORKS = [model.name for model in EMBEDDED if model.scale != 1]
"""Those that enlarge; tests/engines/test_denoise.py is about the one that only cleans."""


@pytest.fixture(scope="module", params=NETWORKS)
def model(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def measured(model: str) -> dict[str, float]:
    enlarge = network(model)
    return figures({name: enlarge(source) for name, source in sources().items()})


@pytest.fixture(scope="module")
def baseline() -> dict[str, float]:
    return figures({name: bicubic(source) for name, source in sources().items()})


def test_letters_are_read_and_become_more_like_themselves(
    measured: dict[str, float], baseline: dict[str, float]
) -> None:
    assert measured["letters read, %"] == 100 > baseline["letters read, %"]
    assert measured["likeness of letters"] > baseline["likeness of letters"] + 0.05


def test_flat_skies_stay_flat(model: str, measured: dict[str, float]) -> None:
    """Those of photographs: `art` is for drawings. Real-ESRGAN x4plus-anime has 5 there."""
    assert measured["unevenness of sky"] <= (4 if model == "art" else 2)


def test_edges_have_hardly_more_halo_than_from_bicubic(measured: dict[str, float], baseline: dict[str, float]) -> None:
    assert measured["halo"] < baseline["halo"] + 12


def test_grey_has_no_tint(measured: dict[str, float]) -> None:
    assert measured["tint"] <= 1


def test_faces_stay_those_of_the_source(model: str, measured: dict[str, float]) -> None:
    """Real-ESRGAN x4plus departs by 7.3, x4plus-anime by 8.6."""
    assert 0 < measured["lr_rmse of face"] < {"faithful": 4, "art": 8.5}.get(model, 6)


def test_figures_tell_other_letters_waves_halos_tints_and_other_faces() -> None:
    """What they are for: each gets worse when that is done."""
    results: dict[str, PixelArray] = {name: bicubic(source) for name, source in sources().items()}
    good = figures(results)
    mirrored = figures({name: result[:, ::-1] for name, result in results.items()})
    assert mirrored["letters read, %"] < 0.3 * good["letters read, %"]
    assert mirrored["lr_rmse of face"] > 5 * good["lr_rmse of face"]
    wavy, rung, tinted = (results[name].copy() for name in ("sky", "edges", "grey"))
    wavy[100, 100] += 9
    rung[100:102, 240] = 255
    tinted[50, 50] = (90, 95, 90)
    worse = figures({**results, "sky": wavy, "edges": rung, "grey": tinted})
    assert worse["unevenness of sky"] >= 9
    assert worse["halo"] == 40
    assert worse["tint"] >= 5
