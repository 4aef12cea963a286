"""Diffusion models as any other model: every kind of pipeline and of picture, exact sizes, the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.diffusion import tiny
from upscaler import Diffusion, Picture, PlanError, Size, Target, Upscaler
from upscaler.engines import ImagePlan
from upscaler.engines.diffusion import DiffusionEngine

BUILDERS = {
    "x4": tiny.build_x4,
    "x2": tiny.build_x2,
    "sd": tiny.build_sd,
    "sdxl": tiny.build_sdxl,
    "sd3": tiny.build_sd3,
    "flux": tiny.build_flux,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny pipelines of every class, as folders."""
    base = tmp_path_factory.mktemp("pipelines")
    for name, build in BUILDERS.items():
        build().save_pretrained(base / name)
    sd = tiny.build_sd()
    tiny.build_controlnet(sd.unet).save_pretrained(base / "tile")
    return {path.name: str(path) for path in base.iterdir()}


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def upscaler(model: str, precision: str = "fp32", tile: int | None = None, **options: Any) -> Upscaler:
    batch, fidelity = options.pop("batch", None), options.pop("fidelity", None)
    parameters = Diffusion(**{"steps": 2, **options})
    return Upscaler(
        model, device="cpu", precision=precision, tile=tile, batch=batch, fidelity=fidelity, diffusion=parameters
    )


def picture(width: int, height: int, channels: int = 3, depth: int = 8) -> Picture:
    """Smooth, with an edge."""
    y, x = np.mgrid[0:height, 0:width]
    base = 0.5 + 0.3 * np.sin(x / 7) + 0.15 * np.cos(y / 5) - 0.2 * (x > width / 2)
    planes = np.stack([base * (1 - 0.1 * index) for index in range(channels)], axis=2).clip(0, 1)
    full, dtype = (65535, np.uint16) if depth == 16 else (255, np.uint8)
    return Picture.from_array(np.round(planes * full).astype(dtype))


@pytest.mark.parametrize("model", BUILDERS)
@pytest.mark.parametrize("size", [Size(61, 37), Size(1, 1), Size(5, 90)], ids=str)
def test_every_size_becomes_exactly_so_many_times_as_large_and_the_same_each_time(
    folders: dict[str, str], model: str, size: Size
) -> None:
    source, model_upscaler = picture(size.width, size.height), upscaler(folders[model])
    reports: list[tuple[int, int]] = []
    first = model_upscaler(source, 4, progress=lambda done, total: reports.append((done, total)))
    assert first.size == size.scaled(4)
    assert np.array_equal(first.pixels, model_upscaler(source, 4).pixels)
    assert reports[0][0] == 0
    assert reports[-1][0] == reports[-1][1]
    assert [done for done, _ in reports] == sorted(done for done, _ in reports)


@pytest.mark.parametrize(("model", "tile"), [("x4", 64), ("x2", 96), ("sd", 192), ("flux", 64)])
def test_windows_computed_one_or_several_together_make_the_same_picture(
    folders: dict[str, str], model: str, tile: int
) -> None:
    source = picture(97, 70)
    results = [upscaler(folders[model], tile=tile, batch=batch, prompt="a cat")(source, 2) for batch in (1, 5)]
    plan = upscaler(folders[model], tile=tile).estimate(source, 2).plans[-1]
    assert isinstance(plan, ImagePlan)
    assert plan.windows > 1
    assert np.abs(results[0].pixels.astype(int) - results[1].pixels).max() <= 1


def test_another_seed_makes_another_picture(folders: dict[str, str]) -> None:
    source = picture(40, 40)
    pictures = [upscaler(folders["x4"], seed=seed, fidelity=0.0)(source).pixels for seed in (0, 1)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() > 5


@pytest.mark.parametrize("model", ["x4", "sd"])
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (2, 8), (4, 8), (3, 16), (4, 16)])
def test_grey_alpha_and_16_bits_come_back_as_they_were(
    folders: dict[str, str], model: str, channels: int, depth: int
) -> None:
    source = picture(33, 21, channels, depth)
    result = upscaler(folders[model])(source, 2)
    assert (result.size, result.pixels.shape[2], result.depth) == (Size(66, 42), channels, depth)
    if channels in (2, 4) and model == "x4":
        alpha = np.asarray(Image.fromarray(source.pixels[:, :, -1].astype(np.float32)).resize((66, 42), Image.LANCZOS))
        assert np.abs(result.pixels[:, :, -1] - alpha).max() <= (1 if depth == 8 else 257)


def test_exact_targets_are_met(folders: dict[str, str]) -> None:
    result = upscaler(folders["x4"])(picture(40, 30), target=Target(fit=Size(101, 99)))
    assert result.size == Size(101, 76)


def test_text_costs_twice_the_work_and_none_costs_nothing(folders: dict[str, str]) -> None:
    rows = []
    for prompt in ("", "a cat"):
        model = upscaler(folders["x4"], prompt=prompt)
        engine = model._pipeline._engines.enlarger(8)
        assert isinstance(engine, DiffusionEngine)
        engine.runner.pipeline.unet.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
        model(picture(24, 24))
    assert rows == [1, 1, 2, 2]


CLIP = ("x4", "x2", "sd", "sdxl")
"""Models whose text encoders are CLIP's, and no others."""


@pytest.mark.parametrize("model", CLIP)
def test_weights_of_words_change_what_is_drawn(folders: dict[str, str], model: str) -> None:
    plain, weighted, same = (
        upscaler(folders[model], prompt=prompt, guidance=30.0, steps=4, fidelity=0.0)(picture(40, 40)).pixels
        for prompt in ("a red cat", "a (red:1.8) cat", "a (red:1) cat")
    )
    assert np.abs(plain.astype(int) - weighted).max() > 0
    assert np.array_equal(plain, same)


@pytest.mark.parametrize("model", CLIP)
def test_prompts_of_more_than_77_tokens_are_heeded_to_their_end(folders: dict[str, str], model: str) -> None:
    long = "a lighthouse at dusk, " * 10  # 190 tokens of one byte each
    summer, winter = (
        upscaler(folders[model], prompt=long + last, guidance=30.0, steps=4, fidelity=0.0)(picture(40, 40)).pixels
        for last in ("in summer", "in winter")
    )
    assert np.abs(summer.astype(int) - winter).max() > 0


@pytest.mark.parametrize("model", ["sd3", "flux"])
def test_prompts_that_other_models_would_cut_are_refused(folders: dict[str, str], model: str) -> None:
    with pytest.raises(PlanError, match=r"the prompt has \d+ tokens, \w+ sees \d+, and this would be lost"):
        upscaler(folders[model], prompt="a lighthouse at dusk, " * 200)(picture(40, 40))


@pytest.mark.parametrize("negative", ["", "people"])
@pytest.mark.parametrize("prompt", ["", "a red cat"])
@pytest.mark.parametrize("model", BUILDERS)
def test_prompts_without_weights_make_the_picture_that_the_pipeline_makes_of_the_text(
    folders: dict[str, str], model: str, prompt: str, negative: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def as_text(_: object, __: str, prompt: str, negative: str) -> dict[str, str]:
        return {"prompt": prompt} | ({"negative_prompt": negative} if negative else {})

    model_upscaler = upscaler(folders[model], prompt=prompt, negative=negative, steps=1, fidelity=0.0)
    ours = model_upscaler(picture(24, 24)).pixels
    monkeypatch.setattr("upscaler.diffusion.runner.text_arguments", as_text)
    assert np.array_equal(ours, model_upscaler(picture(24, 24)).pixels)


def test_no_guidance_leaves_the_prompt_of_the_x2_upscaler_out(folders: dict[str, str]) -> None:
    cat, dog = (
        upscaler(folders["x2"], prompt=prompt, guidance=0.0, fidelity=0.0)(picture(24, 24)).pixels
        for prompt in ("a cat", "a dog")
    )
    assert np.array_equal(cat, dog)


def test_a_negative_prompt_in_vain_is_said(folders: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    upscaler(folders["flux"], negative="people")(picture(24, 24))
    assert "flux: `negative` has no effect: this model takes none." in caplog.text
    upscaler(folders["sd"], prompt="a cat", negative="people", guidance=1.0)(picture(24, 24))
    assert "sd: `negative` has no effect: a `guidance` of 1 leaves it out." in caplog.text


def test_more_creativity_begins_with_more_noise_and_takes_more_steps(folders: dict[str, str]) -> None:
    sent_back = []
    for creativity in (0.0, 0.25, 1.0):
        plan = upscaler(folders["sd"], creativity=creativity, steps=10).estimate(picture(48, 48)).plans[-1]
        assert isinstance(plan, ImagePlan)
        sent_back.append(plan.steps)
    assert sent_back == [1, 2, 8]
    assert [Diffusion(creativity=creativity).noise(350) for creativity in (0.0, 0.25, 1.0)] == [0, 20, 320]


def test_fidelity_holds_what_is_drawn_to_the_source(folders: dict[str, str]) -> None:
    source = picture(64, 64)
    free, held = (upscaler(folders["x4"], fidelity=fidelity)(source) for fidelity in (0.0, 1.0))
    assert held.lr_rmse is not None
    assert free.lr_rmse is not None
    assert held.lr_rmse < 0.3 * free.lr_rmse


def test_control_changes_what_is_drawn(folders: dict[str, str]) -> None:
    source = picture(48, 48)
    without, held = (
        upscaler(folders["sd"], control=control, fidelity=0.0)(source, 1).pixels for control in (None, folders["tile"])
    )
    assert np.abs(without.astype(int) - held).mean() > 0.1


def test_what_half_precision_cannot_hold_is_computed_in_float32(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = tiny.build_x4()
    with torch.no_grad():
        pipeline.unet.conv_out.weight.mul_(3e6)
    pipeline.save_pretrained(tmp_path / "wild")
    source = picture(24, 24)
    result = upscaler(str(tmp_path / "wild"), precision="fp16", fidelity=0.0)(source)
    assert "Going on in fp32" in caplog.text
    expected = upscaler(str(tmp_path / "wild"), fidelity=0.0)(source)
    assert np.array_equal(result.pixels, expected.pixels)


def test_a_run_that_is_interrupted_leaves_the_model_as_it_was(folders: dict[str, str]) -> None:
    source, model = picture(97, 70), upscaler(folders["x4"], tile=48)

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(source, progress=interrupt)
    engine = model._pipeline._engines.enlarger(8)
    assert isinstance(engine, DiffusionEngine)
    assert "forward" not in vars(engine.runner.pipeline.unet)
    assert np.array_equal(model(source).pixels, upscaler(folders["x4"], tile=48)(source).pixels)


def test_what_is_for_networks_is_refused(folders: dict[str, str]) -> None:
    with pytest.raises(PlanError, match=r"blend=0.5: .* is a diffusion model, .* Use `creativity`"):
        Upscaler(folders["x4"], blend=0.5)


def test_a_picture_is_cleaned_before_a_diffusion_model_enlarges_it(folders: dict[str, str]) -> None:
    noisy = np.uint8(np.random.default_rng(0).integers(0, 256, (32, 32, 3)))
    options = {"device": "cpu", "precision": "fp32"}
    model = Upscaler(folders["x4"], denoise=1, **options)  # type: ignore[arg-type]
    assert [plan.scale for plan in model.estimate(noisy).plans] == [1, 4]
    plain = Upscaler(folders["x4"], **options)(noisy)  # type: ignore[arg-type]
    assert (model(noisy).pixels != plain.pixels).mean() > 0.1


def test_what_is_for_diffusion_models_is_refused_by_networks() -> None:
    with pytest.raises(PlanError, match="takes no prompt, steps or seed"):
        Upscaler("photo", diffusion=Diffusion(prompt="a cat"))


def test_a_model_that_enlarges_by_itself_takes_no_control(folders: dict[str, str]) -> None:
    with pytest.raises(PlanError, match=r"^control=.*: .* enlarges by itself and takes no ControlNet"):
        upscaler(folders["x4"], control=folders["tile"])


def test_windows_too_small_for_the_model_are_refused(folders: dict[str, str]) -> None:
    with pytest.raises(PlanError, match=r"tile=4: the window is too small for this model .* Use 22 or more"):
        upscaler(folders["x4"], tile=4).estimate(picture(90, 90))


def test_a_budget_too_small_for_the_model_is_refused(folders: dict[str, str]) -> None:
    with pytest.raises(PlanError, match="GB are needed on cpu"):
        Upscaler(folders["x4"], device="cpu", memory=10**6)(picture(8, 8))
