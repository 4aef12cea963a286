"""Pictures from text by pipelines of many families, all through the same code; and what cannot be made."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler

from tests.diffusion import tiny as base
from tests.diffusion.hub import Hub
from tests.diffusion.single_file import save_single_file
from tests.text2image.conftest import Saved
from upscaler import EngineError, ModelError, OutOfMemory, Picture, PlanError, Size, Upscaler, catalog
from upscaler.text2image.parameters import GenerationParameters
from upscaler.text2image.text_to_image import TextToImage, generate

FAMILIES = ("sd", "sdxl", "sd3", "flux", "schnell", "klein", "z-image", "sana-sprint", "qwen-image")

Models = Callable[[str], TextToImage]

BEGINNING = tuple(name for name in FAMILIES if name != "klein")
"""Those that can begin with a picture."""

SMALL = Size(96, 64)


def generator(folder: Path | str, **options: Any) -> TextToImage:
    return TextToImage(str(folder), **{"device": "cpu", "precision": "fp32", **options})


def photo(width: int = 96, height: int = 64) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    return Picture(np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], 2).astype(np.uint8), name="photo")


def difference(one: Picture, other: Picture) -> float:
    """Mean, in levels."""
    return float(np.abs(one.pixels.astype(int) - other.pixels).mean())


@pytest.mark.parametrize("name", FAMILIES)
def test_picture_is_what_the_pipeline_itself_makes(saved: Saved, models: Models, name: str) -> None:
    made = models(name)(GenerationParameters("a cat", size=SMALL, steps=3, guidance=2.0, seed=7))
    pipeline = DiffusionPipeline.from_pretrained(saved(name), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"guidance_scale": 2.0}
    if name in ("schnell", "qwen-image"):
        options = {"true_cfg_scale": 2.0, "negative_prompt": " "}
    if name == "sana-sprint":
        options |= {"use_resolution_binning": False, "intermediate_timesteps": None}
    own = pipeline(
        prompt="a cat",
        width=96,
        height=64,
        num_inference_steps=3,
        generator=torch.Generator().manual_seed(7),
        output_type="np",
        **options,
    ).images[0]
    assert made.size == SMALL
    assert np.abs(made.pixels - own * 255).max() < 1
    assert made.pixels.std() > 5


@pytest.mark.parametrize("name", FAMILIES)
def test_prompt_and_seed_make_the_picture_in_its_exact_size(models: Models, name: str) -> None:
    model, parameters = models(name), GenerationParameters("a cat", size=Size(101, 75), steps=2, guidance=2.0)
    steps: list[tuple[int, int]] = []
    picture = model(parameters, progress=lambda *step: steps.append(step))
    assert (picture.size, picture.pixels.dtype, picture.pixels.shape[2]) == (Size(101, 75), np.uint8, 3)
    assert steps == [(1, 2), (2, 2)]
    assert difference(picture, model(parameters)) == 0
    assert difference(picture, model(parameters, seed=1)) > 1
    assert difference(picture, model(parameters, prompt="a lighthouse at dusk")) > 0


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3", "schnell", "z-image", "qwen-image"])
def test_guidance_and_negative_prompts_change_pictures(models: Models, name: str) -> None:
    model, parameters = models(name), GenerationParameters("a cat", size=Size(64, 64), steps=1, guidance=3.0)
    guided = model(parameters)
    assert difference(guided, model(parameters, guidance=9.0)) > 0
    assert difference(guided, model(parameters, negative="people")) > 0
    assert difference(guided, model(parameters, style="ink drawing")) > 0


@pytest.mark.parametrize("name", BEGINNING)
def test_picture_to_begin_with_is_what_a_picture_is_made_of(models: Models, name: str) -> None:
    model, parameters = (
        models(name),
        GenerationParameters("a cat", image=photo(), size=Size(101, 75), steps=4, strength=0.5),
    )
    steps: list[tuple[int, int]] = []
    picture = model(parameters, progress=lambda *step: steps.append(step))
    assert picture.size == Size(101, 75)
    assert steps[-1] in ((2, 2), (4, 4))  # of SANA-Sprint all
    assert difference(picture, model(parameters)) == 0
    assert difference(picture, model(parameters, image=Picture(photo().pixels[::-1]))) > 0


def test_less_change_depends_less_on_the_seed(models: Models) -> None:
    model, parameters = models("sd"), GenerationParameters("a cat", image=photo(), size=SMALL, steps=6)
    apart = [
        difference(*(model(parameters, strength=strength, seed=seed) for seed in (0, 1)))
        for strength in (0.2, 0.6, 1.0)
    ]
    assert apart == sorted(apart)
    assert apart[0] < 0.9 * apart[-1]


def test_a_picture_does_not_depend_on_those_before_it(tmp_path: Path) -> None:
    """With a scheduler that remembers steps."""
    pipeline = base.build_sd()
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.save_pretrained(tmp_path / "sd")
    model, parameters = generator(tmp_path / "sd"), GenerationParameters("a cat", size=SMALL, steps=4)
    first = model(parameters)
    other = model("a dog", size=Size(64, 64), steps=3, seed=3)
    assert difference(first, model(parameters)) == 0
    model.close()
    assert difference(other, model("a dog", size=Size(64, 64), steps=3, seed=3)) == 0


def test_complete_parameters_make_the_same_picture(models: Models) -> None:
    model = models("sd3")
    parameters = GenerationParameters("a cat", aspect="2:1", steps=2)
    whole = model.complete(parameters)
    assert (whole.size, whole.aspect, whole.guidance) == (Size(362, 181), None, 7.0)
    assert model.complete(whole) == whole
    assert difference(model(parameters), model(GenerationParameters.from_dict(whole.asdict()))) == 0


def test_catalog_says_how_a_model_is_used(saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSCALER_HOME", str(tmp_path))
    shutil.copytree(saved("sd"), tmp_path / "tiny")
    (tmp_path / "catalog.toml").write_text(
        '[[model]]\nname = "quick"\nkind = "generator"\nembedded = "tiny"\n'
        "[model.sampling]\nsteps = 2\nguidance = 0.0\nside = 128\n"
    )
    whole = generator("quick").complete(GenerationParameters("a cat"))
    assert (whole.size, whole.steps, whole.guidance) == (Size(128, 128), 2, 0.0)
    assert generator(saved("sd")).complete(GenerationParameters("a cat")) == GenerationParameters(
        "a cat", size=Size(512, 512), steps=30, guidance=7.5
    )
    assert generator("quick").complete(GenerationParameters("a cat", image=photo(), strength=0.1)).steps == 10


@pytest.mark.parametrize(
    ("name", "guidance", "words"),
    [
        ("sd", 1.0, "sd: `negative` has no effect: a `guidance` of 1 leaves it out."),
        ("z-image", 0.0, "z-image: `negative` has no effect: a `guidance` of 0 leaves it out."),
        ("flux", 3.0, "flux: `negative` has no effect: this model takes none"),
        ("klein", 3.0, "klein: `negative` has no effect: this model takes none"),
        ("sana-sprint", 4.5, "sana-sprint: `negative` has no effect: this model takes none"),
    ],
)
def test_negative_prompt_in_vain_is_said(
    models: Models, caplog: pytest.LogCaptureFixture, name: str, guidance: float, words: str
) -> None:
    model, parameters = models(name), GenerationParameters("a cat", size=Size(64, 64), steps=1, guidance=guidance)
    plain = model(parameters, style="comic")
    assert "`negative`" not in caplog.text
    plain = model(parameters)
    assert difference(plain, model(parameters, negative="people")) == 0
    assert words in caplog.text


def test_weights_and_long_prompts_change_pictures(models: Models) -> None:
    for name in ("sd", "sdxl"):
        model, parameters = models(name), GenerationParameters("a red cat", size=Size(64, 64), steps=2)
        assert difference(model(parameters), model(parameters, prompt="a (red:1.8) cat")) > 0
        long = "a lighthouse at dusk, " * 20
        assert (
            difference(model(parameters, prompt=long + "in summer"), model(parameters, prompt=long + "in winter")) > 0
        )


def test_profile_of_the_picture_that_is_begun_with_is_kept(models: Models) -> None:
    begun = Picture(photo().pixels, profile=b"a profile")
    assert models("sd")("", image=begun, size=SMALL, steps=2).profile == b"a profile"


def test_picture_to_begin_with_may_be_a_file_and_gives_the_proportions(models: Models, tmp_path: Path) -> None:
    photo(120, 60).save(tmp_path / "photo.png")
    parameters = GenerationParameters("a cat", image=tmp_path / "photo.png", steps=2)
    assert models("sd3").complete(parameters).size == Size(362, 181)


class TestSafetyChecker:
    PARAMETERS = GenerationParameters("a cat", size=Size(64, 64), steps=1)

    def test_picture_it_objects_to_is_an_error_and_no_black_picture(self, saved: Saved) -> None:
        with pytest.raises(EngineError) as caught:
            generator(saved("objecting"))(self.PARAMETERS)
        assert str(caught.value).endswith(
            "objecting: the safety checker objects to this picture. "
            "Try another seed or prompt, or do without it (`safety_checker`)."
        )

    def test_it_sees_what_is_made_of_a_picture_too(self, saved: Saved) -> None:
        with pytest.raises(EngineError, match=r"the safety checker objects to this picture"):
            generator(saved("objecting"))(self.PARAMETERS, image=photo(), steps=2)

    def test_picture_it_tolerates_is_as_without_it(self, saved: Saved) -> None:
        model = generator(saved("tolerant"))
        assert model.settings["safety_checker"] is True
        assert difference(model(self.PARAMETERS), generator(saved("sd"))(self.PARAMETERS)) == 0

    def test_it_can_be_turned_off(self, saved: Saved) -> None:
        model = generator(saved("objecting"), safety_checker=False)
        assert difference(model(self.PARAMETERS), generator(saved("sd"))(self.PARAMETERS)) == 0
        assert model.settings["safety_checker"] is False


def test_single_file_makes_the_picture_of_its_folder(saved: Saved, models: Models, tmp_path: Path) -> None:
    family = catalog.find("sd15").repository
    assert family is not None
    assert family.revision is not None
    save_single_file(base.build_sd(), tmp_path / "mine.safetensors")
    parameters = GenerationParameters("a cat", size=SMALL, steps=2)
    with Hub() as hub:
        hub.publish(family.id, saved("sd"), revision=family.revision)
        single = generator(tmp_path / "mine.safetensors")(parameters)
    assert difference(single, models("sd")(parameters)) == 0


def test_repository_makes_the_picture_of_its_folder_and_then_needs_no_hub(saved: Saved, models: Models) -> None:
    parameters = GenerationParameters("a cat", size=SMALL, steps=2)
    with Hub() as hub:
        hub.publish("tiny/z-image", saved("z-image"))
        first = generator("tiny/z-image")(parameters)
    assert difference(first, generator("tiny/z-image", offline=True)(parameters)) == 0
    assert difference(first, models("z-image")(parameters)) == 0


def test_closing_lets_go_of_the_networks(saved: Saved) -> None:
    with generator(saved("sd")) as model:
        model("a cat", size=Size(64, 64), steps=1)
        assert model._runner.pipeline is not None
        unet = weakref.ref(model._runner.pipeline.unet)
    gc.collect()
    assert unet() is None
    assert model("a cat", size=Size(64, 64), steps=1).size == Size(64, 64)


def test_settings_tell_weights_and_scheduler(saved: Saved) -> None:
    settings = generator(saved("sd"), precision="bf16").settings
    assert (settings["model"], settings["scheduler"], settings["precision"]) == (
        str(saved("sd")),
        "DDIMScheduler",
        "bf16",
    )
    assert settings["weights"] == [catalog.fingerprint(catalog.find(str(saved("sd"))))]


def test_what_was_asked_is_known_without_loading(saved: Saved, tmp_path: Path) -> None:
    shutil.copytree(saved("sd"), tmp_path / "sd")
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(b"damaged")
    model = generator(tmp_path / "sd", precision="bf16")
    assert (model.requested_settings["precision"], model.requested_settings["safety_checker"]) == ("bf16", True)
    assert model.requested_settings["weights"] != generator(saved("sd")).requested_settings["weights"]


def test_what_half_precision_cannot_hold_is_computed_in_float32(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = base.build_sd()
    with torch.no_grad():
        pipeline.unet.conv_out.weight.mul_(3e6)
    pipeline.save_pretrained(tmp_path / "wild")
    parameters = GenerationParameters("a cat", size=Size(64, 64), steps=2)
    model = generator(tmp_path / "wild", precision="fp16")
    picture = model(parameters)
    assert "wild: the result is NaN or infinity in fp16. Going on in fp32." in caplog.text
    assert difference(picture, generator(tmp_path / "wild")(parameters)) == 0
    assert model.settings["precision"] == "fp32"


def test_weights_that_give_no_numbers_are_one_sentence(tmp_path: Path) -> None:
    pipeline = base.build_sd()
    with torch.no_grad():
        pipeline.unet.conv_out.weight.fill_(float("nan"))
    pipeline.save_pretrained(tmp_path / "broken")
    with pytest.raises(EngineError, match=r"broken: the result is NaN or infinity in fp32. Its file is damaged"):
        generator(tmp_path / "broken")("a cat", size=Size(64, 64), steps=1)


def test_out_of_memory_on_a_processor_is_one_sentence(models: Models) -> None:
    model, parameters = models("sd"), GenerationParameters("a cat", size=Size(64, 64), steps=1)
    before = model(parameters)

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    assert model._runner.pipeline is not None
    hook = model._runner.pipeline.unet.register_forward_pre_hook(refuse)
    with pytest.raises(OutOfMemory, match=r"out of memory on cpu: sd has no room for 64x64. Make it smaller"):
        model(parameters)
    hook.remove()
    assert difference(before, model(parameters)) == 0


@pytest.mark.gpu
def test_out_of_memory_on_a_gpu_leaves_parts_of_the_model_on_the_processor(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    model, parameters = generator(saved("sd"), device="cuda"), GenerationParameters("a cat", size=Size(64, 64), steps=1)
    before = model(parameters)

    def refuse(*_: object) -> None:
        raise torch.OutOfMemoryError

    for offload in ("model", "group"):
        assert model._runner.pipeline is not None
        model._runner.pipeline.unet.register_forward_pre_hook(refuse)
        assert difference(before, model(parameters)) < 1
        assert model._runner.placement.offload == offload
        assert "going on with less of sd there" in caplog.text


def test_interruption_leaves_the_model_as_it_was(models: Models) -> None:
    model, parameters = models("sd"), GenerationParameters("a cat", size=Size(64, 64), steps=3)
    before = model(parameters)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model(parameters, progress=interrupt)
    assert difference(before, model(parameters)) == 0


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("sd", {"size": Size(32, 512)}, "size=32x512: sd makes no pictures with a side under 64 pixels"),
        ("sd3", {"size": Size(1024, 512)}, "size=1024x512: sd3 makes no pictures with a side over 768 pixels"),
        (
            "sd",
            {"size": Size(200_000, 200_000)},
            r"size=200000x200000: about \d+ GB are needed on cpu, .* Make it 512x512",
        ),
        ("z-image", {"prompt": "a " * 2000}, "the prompt has .* tokens, z-image sees .* would be lost: "),
    ],
)
def test_what_a_model_cannot_make_is_refused(models: Models, name: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        models(name)(GenerationParameters(**{"prompt": "a cat", "steps": 1, **parameters}))


def test_picture_far_larger_than_the_model_knows_is_warned_of(models: Models, caplog: pytest.LogCaptureFixture) -> None:
    parameters = models("sd3").complete(GenerationParameters("a cat", size=Size(400, 400), steps=1))
    models("sd3")(parameters)
    assert caplog.text.count("`size` 400x400: sd3 was trained on 256x256, and beyond it draws things twice") == 1


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("photo", "photo: this model makes no pictures from text. Choose a generator, such as sdxl"),
        ("lanczos", "lanczos: this model makes no pictures from text"),
        ("refine", "refine: this model makes no pictures from text"),
        ("sdx", "sdx: no model has this name, .* Did you mean sdxl?"),
    ],
)
def test_models_that_make_no_pictures_are_refused_at_once(model: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        TextToImage(model)


def test_upscaler_of_diffusion_makes_no_pictures(saved: Saved) -> None:
    with pytest.raises(ModelError, match="is a StableDiffusionUpscalePipeline, which makes no pictures from text"):
        generator(saved("x4"))("a cat")


def test_pipeline_of_another_kind_is_refused_by_its_name_alone(saved: Saved, tmp_path: Path) -> None:
    """Of films, whose patches have three sides."""
    films = shutil.copytree(saved("sd3"), tmp_path / "films")
    (films / "model_index.json").write_text(
        (films / "model_index.json").read_text().replace("StableDiffusion3Pipeline", "WanPipeline")
    )
    (films / "transformer/config.json").write_text('{"patch_size": [1, 2, 2]}')
    with pytest.raises(ModelError, match="is a WanPipeline, which makes no pictures from text"):
        generator(films)("a cat")
    with pytest.raises(ModelError, match="is a WanPipeline, which cannot begin with a picture"):
        Upscaler(str(films), device="cpu")(photo())


def test_damaged_weights_are_a_sentence(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("sd"), tmp_path / "sd")
    (folder / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"cut short")
    with pytest.raises(ModelError, match=r"unet.*: the file cannot be read as safetensors .* Get it again"):
        generator(folder)("a cat")


def test_model_that_cannot_begin_with_a_picture_says_so(models: Models) -> None:
    with pytest.raises(ModelError, match="is a Flux2KleinPipeline, which cannot begin with a picture"):
        models("klein")("a cat", image=photo())


def test_generator_tells_why_it_was_chosen_if_it_was(saved: Saved) -> None:
    chosen = TextToImage(device="cpu", memory=1)
    assert chosen.model.kind == "generator"
    assert "none fits into 0.0 GB on cpu" in chosen.reason
    assert generator(saved("sd")).reason == ""


def test_one_call_makes_a_picture(saved: Saved) -> None:
    picture = generate("a cat", model=str(saved("sd")), device="cpu", size=Size(64, 64), steps=1)
    assert (picture.size, picture.name) == (Size(64, 64), "a cat")


def test_a_task_that_a_model_cannot_do_leaves_its_settings_known(saved: Saved) -> None:
    model = generator(saved("klein"))
    with pytest.raises(ModelError, match="cannot begin with a picture"):
        model("a cat", image=photo())
    assert model.settings["scheduler"] == "FlowMatchEulerDiscreteScheduler"
