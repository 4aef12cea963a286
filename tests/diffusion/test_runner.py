"""One pipeline at a time: loaded for a task, run, loaded again more carefully after a failure, let go."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch

from tests.text2image.conftest import Saved
from upscaler import EngineError, OutOfMemory, PlanError, Size, catalog
from upscaler.diffusion.denoiser import NotFinite
from upscaler.diffusion.pipelines import Task
from upscaler.diffusion.runner import PipelineRunner, RunnerOptions

SIZE = Size(64, 64)


def runner(saved: Saved, name: str = "sd", task: Task = "text-to-image", **options: Any) -> PipelineRunner:
    made = PipelineRunner(
        catalog.find(str(saved(name))),
        RunnerOptions(torch.device("cpu"), "Buy more.", **{"precision": "fp32", **options}),
    )
    made.load(task)
    return made


def draw(made: PipelineRunner, prompt: str = "a cat", **options: Any) -> torch.Tensor:
    def arguments() -> dict[str, Any]:
        return made.arguments(prompt, "", 3.0, 2) | {"width": 64, "height": 64}

    return made.run(arguments, SIZE, seed=0, **options)


def test_a_loaded_pipeline_is_kept_for_its_task_and_let_go_for_another(saved: Saved) -> None:
    made = runner(saved)
    first = made.pipeline
    made.load("text-to-image")
    assert made.pipeline is first
    unet = weakref.ref(first.unet)
    del first
    made.load("image-to-image")
    gc.collect()
    assert unet() is None
    assert type(made.pipeline).__name__ == "StableDiffusionImg2ImgPipeline"


@pytest.mark.parametrize(("name", "pixels"), [("sd", 8), ("flux", 8), ("sana-sprint", 32)])
def test_results_are_latents_and_decoded_to_the_size(saved: Saved, name: str, pixels: int) -> None:
    made = runner(saved, name)
    latents = draw(made)
    assert made.pixels_per_latent == pixels
    assert latents.shape[2:] == (64 // pixels, 64 // pixels)
    assert sum(len(band.pixels) for band in made.decode(latents)) == 64


def test_results_of_other_vaes_are_pixels_already(saved: Saved) -> None:
    made = runner(saved, "qwen-image")
    pixels = draw(made)
    (band,) = made.decode(pixels)
    assert pixels.shape == (1, 3, 64, 64)
    assert band.pixels.shape == (64, 64, 3)
    assert 0 <= band.pixels.min() < band.pixels.max() <= 1


def test_steps_are_reported(saved: Saved) -> None:
    steps: list[tuple[int, int | None]] = []
    draw(runner(saved), progress=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]


def test_nan_in_half_precision_is_computed_again_in_float32_and_kept(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    made = runner(saved, precision="bf16")
    precisions = []

    def work() -> str:
        precisions.append(made.precision)
        if made.precision == "bf16":
            raise NotFinite("sd: the result is NaN.")
        return "done"

    assert made.attempt(work) == "done"
    assert precisions == ["bf16", "fp32"]
    assert "sd: the result is NaN. Going on in fp32." in caplog.text
    made.close()
    made.load("text-to-image")
    assert made.precision == "fp32"


def test_nan_in_float32_is_an_error(saved: Saved) -> None:
    made = runner(saved)

    def work() -> None:
        raise NotFinite("sd: the result is NaN.")

    with pytest.raises(EngineError, match=r"sd: the result is NaN\. Its file is damaged"):
        made.attempt(work)


def test_out_of_memory_on_a_processor_gives_the_advice(saved: Saved) -> None:
    made = runner(saved)

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    made.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.raises(OutOfMemory, match=r"out of memory on cpu: sd has no room for 64x64\. Buy more\."):
        made.attempt(lambda: draw(made))


def test_a_failure_of_the_pipeline_is_a_sentence(saved: Saved) -> None:
    made = runner(saved)
    with pytest.raises(EngineError, match=r"sd: a picture of 64x64 cannot be made \(Provide either"):
        made.run(dict, SIZE, seed=0)


def test_a_denoiser_that_cannot_be_compiled_is_the_fault_of_the_argument(saved: Saved) -> None:
    made = runner(saved, compile=True)

    def refuse(*_: object) -> None:
        raise RuntimeError("no compiler")

    made.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.raises(PlanError, match=r"compile: the denoiser cannot be compiled here \(no compiler\)"):
        draw(made)


@pytest.mark.parametrize(
    ("name", "argument", "guided"), [("sd", "guidance_scale", 7.5), ("flux", "guidance_scale", 3.5),
                                     ("schnell", "true_cfg_scale", 1.0), ("qwen-image", "true_cfg_scale", 4.0)],
)  # fmt: skip
def test_guidance_goes_to_the_argument_that_counts(saved: Saved, name: str, argument: str, guided: float) -> None:
    made = runner(saved, name)
    assert made.guidance == guided
    call = made.arguments("a cat", "", 2.5, 3)
    assert (call[argument], call["num_inference_steps"]) == (2.5, 3)
    assert not {"guidance_scale", "true_cfg_scale"} - {argument} & call.keys()
