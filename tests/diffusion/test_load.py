"""Pipelines from folders, repositories and single files; and each way in which one cannot be had, as a sentence."""

from __future__ import annotations

import json
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from tests.catalog.server import Cut
from tests.diffusion import tiny
from tests.diffusion.hub import Hub
from tests.diffusion.single_file import save_single_file
from upscaler import catalog
from upscaler.catalog import Model, Repository
from upscaler.diffusion.load import fetch_pipeline, load
from upscaler.diffusion.pipelines import Task
from upscaler.errors import ModelError
from upscaler.files import cache_dir

UNET = "unet/diffusion_pytorch_model"

BUILDERS: dict[str, Callable[[], DiffusionPipeline]] = {
    "x4": tiny.build_x4,
    "x2": tiny.build_x2,
    "sd": tiny.build_sd,
    "sdxl": tiny.build_sdxl,
    "sd3": tiny.build_sd3,
    "flux": tiny.build_flux,
}

Saved = Callable[[str], Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The folder of a tiny pipeline of that name, or of "control"; not to be written to."""
    root = tmp_path_factory.mktemp("pipelines")

    def save(name: str) -> Path:
        if not (root / name).exists():
            thing = tiny.build_controlnet(tiny.build_sd().unet) if name == "control" else BUILDERS[name]()
            thing.save_pretrained(root / name)
        return root / name

    return save


@pytest.fixture
def own(saved: Saved, tmp_path: Path) -> Path:
    """A folder of Stable Diffusion that may be spoilt."""
    return Path(shutil.copytree(saved("sd"), tmp_path / "own"))


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as hub:
        yield hub


def loaded(
    model: Model | Path | str, task: Task = "text-to-image", control: Model | None = None, **options: Any
) -> DiffusionPipeline:
    found = model if isinstance(model, Model) else catalog.find(str(model))
    fetching = {name: options.pop(name) for name in ("allow_pickle", "offline") if name in options}
    source = fetch_pipeline(found, **fetching)
    guide = None if control is None else fetch_pipeline(control)
    return load(source, task, guide=guide, **{"dtype": torch.float32, **options})


def refused(model: Model | Path | str, task: Task = "text-to-image", **options: Any) -> str:
    """The sentence with which it is."""
    with pytest.raises(ModelError) as caught:
        loaded(model, task, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("name", "task", "class_name"),
    [
        ("x4", "upscale", "StableDiffusionUpscalePipeline"),
        ("x2", "upscale", "StableDiffusionLatentUpscalePipeline"),
        ("sd", "text-to-image", "StableDiffusionPipeline"),
        ("sd", "image-to-image", "StableDiffusionImg2ImgPipeline"),
        ("sdxl", "text-to-image", "StableDiffusionXLPipeline"),
        ("sdxl", "image-to-image", "StableDiffusionXLImg2ImgPipeline"),
        ("sd3", "text-to-image", "StableDiffusion3Pipeline"),
        ("sd3", "image-to-image", "StableDiffusion3Img2ImgPipeline"),
        ("flux", "text-to-image", "FluxPipeline"),
        ("flux", "image-to-image", "FluxImg2ImgPipeline"),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_folder_gives_the_class_of_the_task_in_one_precision(
    saved: Saved, name: str, task: Task, class_name: str, dtype: torch.dtype
) -> None:
    pipeline = loaded(saved(name), task, dtype=dtype)
    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    assert type(pipeline).__name__ == class_name
    assert len(networks) >= 3
    assert {network.dtype for network in networks} == {dtype}
    assert not any(network.training for network in networks)


def test_loading_says_nothing_on_the_terminal(saved: Saved, capfd: pytest.CaptureFixture[str], hub: Hub) -> None:
    saved("sdxl")
    hub.publish("tiny/sdxl", saved("sdxl"))
    capfd.readouterr()
    loaded("tiny/sdxl", "image-to-image")
    assert capfd.readouterr() == ("", "")


def test_safety_checker_can_be_left_out(own: Path) -> None:
    index = json.loads((own / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (own / "model_index.json").write_text(json.dumps(index))
    (own / "safety_checker").mkdir()
    (own / "safety_checker" / "config.json").write_text("{}")
    (own / "safety_checker" / "model.safetensors").write_bytes(b"broken")
    tasks: tuple[Task, ...] = ("text-to-image", "image-to-image")
    for task in tasks:
        assert loaded(own, task, safety_checker=False).safety_checker is None
        assert "cannot be loaded" in refused(own, task)


def test_controlnet_holds_image_to_image(saved: Saved) -> None:
    pipeline = loaded(saved("sd"), "image-to-image", control=catalog.find(str(saved("control"))))
    assert type(pipeline).__name__ == "StableDiffusionControlNetImg2ImgPipeline"
    assert pipeline.controlnet.dtype == torch.float32


@pytest.mark.parametrize(
    ("generator", "control", "reason"),
    [
        ("sdxl", "control", r"belongs to another family .* \(its text has 32 numbers a word instead of 64\)"),
        ("flux", "control", "a ControlNetModel cannot control a FluxPipeline"),
        ("sd", "x4", "is a StableDiffusionUpscalePipeline and no ControlNet"),
    ],
)
def test_controlnet_of_another_family_is_refused(saved: Saved, generator: str, control: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        loaded(saved(generator), "image-to-image", control=catalog.find(str(saved(control))))


@pytest.mark.parametrize(
    ("name", "task", "reason"),
    [
        ("sd", "upscale", "is a StableDiffusionPipeline, which does not enlarge by itself"),
        ("x4", "text-to-image", "is a StableDiffusionUpscalePipeline, which makes no pictures from text"),
        ("x2", "image-to-image", "is a StableDiffusionLatentUpscalePipeline, which cannot begin with a picture"),
        ("control", "text-to-image", "cannot load a pipeline of the class ControlNetModel"),
    ],
)
def test_wrong_class_is_one_sentence(saved: Saved, name: str, task: Task, reason: str) -> None:
    assert reason in refused(saved(name), task)


@pytest.mark.parametrize(
    ("class_name", "tasks"),
    [
        ("Flux2KleinPipeline", ["text-to-image"]),
        ("FluxPipeline", ["text-to-image", "image-to-image"]),
        ("SanaSprintPipeline", ["text-to-image", "image-to-image"]),
        ("ZImagePipeline", ["text-to-image", "image-to-image"]),
        ("PixArtSigmaPipeline", ["text-to-image"]),
        ("StableDiffusionXLImg2ImgPipeline", ["text-to-image", "image-to-image"]),
        ("StableDiffusionInpaintPipeline", []),
        ("LTXPipeline", []),
        ("AudioLDM2Pipeline", []),
        ("LDMSuperResolutionPipeline", []),
    ],
)
def test_classes_are_judged_by_what_they_take(tmp_path: Path, class_name: str, tasks: list[Task]) -> None:
    """By an index without any parts, with which no more than that can be done."""
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    everything: list[Task] = ["upscale", "text-to-image", "image-to-image"]
    assert [task for task in everything if "cannot be loaded" in refused(tmp_path, task)] == tasks


def test_class_that_diffusers_does_not_know_is_one_sentence(own: Path) -> None:
    index = (own / "model_index.json").read_text()
    (own / "model_index.json").write_text(index.replace("StableDiffusionPipeline", "FutureDiffusionPipeline"))
    assert "of the class FutureDiffusionPipeline" in refused(own)


def test_program_that_comes_with_a_model_is_never_run(own: Path) -> None:
    ran = own / "ran"
    program = f"open({str(ran)!r}, 'w')\nclass Mine: pass\n"
    for name in ("None.py", "unet/mine.py", "pipeline.py"):
        (own / name).write_text(program)
    index = json.loads((own / "model_index.json").read_text())
    (own / "model_index.json").write_text(json.dumps(index | {"unet": ["mine", "Mine"]}))
    assert "comes with programs of its own (mine)" in refused(own)
    (own / "model_index.json").write_text(json.dumps(index | {"_class_name": ["pipeline", "Mine"]}))
    assert "its class is a program of its own" in refused(Model("own", "generator", file=own))
    (own / "model_index.json").write_text(json.dumps(index))
    assert "cannot be loaded" in refused(own)
    assert not ran.exists()


def test_older_diffusers_than_needed_is_one_sentence(saved: Saved) -> None:
    model = replace(catalog.find(str(saved("sd"))), min_diffusers="99.1")
    assert "diffusers 99.1 or later is needed" in refused(model)


def test_network_is_no_diffusion_model() -> None:
    assert "is not a diffusion model" in refused("faithful")
    assert "is not a diffusion model" in refused("refine")


def test_variant_is_taken_where_there_is_nothing_else(own: Path, saved: Saved) -> None:
    for part in ("unet", "vae"):
        (own / part / "diffusion_pytorch_model.safetensors").rename(
            own / part / "diffusion_pytorch_model.fp16.safetensors"
        )
    assert torch.equal(loaded(own).unet.conv_in.weight, loaded(saved("sd")).unet.conv_in.weight)


@pytest.mark.parametrize("spoilt", ["empty", "cut", "fewer weights", "other shapes"])
def test_damaged_weights_are_one_sentence(own: Path, spoilt: str) -> None:
    file = own / f"{UNET}.safetensors"
    weights = load_file(file)
    if spoilt == "fewer weights":
        del weights["conv_out.weight"]
        save_file(weights, file)
    elif spoilt == "other shapes":
        save_file(weights | {"conv_out.weight": torch.zeros(1)}, file)
    else:
        file.write_bytes(file.read_bytes()[: 0 if spoilt == "empty" else 1000])
    assert str(own) in refused(own)


def test_weights_that_are_made_up_are_said(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = own / "text_encoder" / "model.safetensors"
    weights = load_file(file)
    del weights[next(name for name in weights if "layer_norm1" in name)]
    save_file(weights, file, {"format": "pt"})
    loaded(own)
    assert "some weights of the text encoder are missing" in caplog.text


def test_missing_part_is_one_sentence(own: Path) -> None:
    shutil.rmtree(own / "vae")
    assert "its part vae is missing" in refused(own)


def test_repository_is_fetched_once_and_only_what_is_needed(own: Path, hub: Hub, saved: Saved) -> None:
    for name in ("big.ckpt", f"{UNET}.bin", f"{UNET}.onnx", "unet/flax_model.msgpack", "README.md", "a.png", "a.py"):
        (own / name).write_bytes(b"not needed")
    hub.publish("tiny/sd", own)
    seen: list[tuple[int, int | None]] = []
    assert catalog.find("tiny/sd").kind == "repository"
    catalog.fetch_model(catalog.find("tiny/sd"), lambda done, total: seen.append((done, total)))
    pipeline = loaded("tiny/sd")
    assert torch.equal(pipeline.unet.conv_in.weight, loaded(saved("sd")).unet.conv_in.weight)
    assert sum("storage" in name for name in hub.fetched()) == 3
    assert not [name for name in hub.fetched() if not name.startswith("storage") and not name.endswith(".json")]
    weights = sum(file.stat().st_size for file in own.glob("*/*.safetensors"))
    assert seen == sorted(seen)
    assert seen[-1] == (weights, weights)
    asked = len(hub.server.requests)
    assert catalog.find("tiny/sd").kind == "generator"
    loaded("tiny/sd", "image-to-image")
    assert len(hub.server.requests) == asked


def test_repository_gives_half_precision_where_it_has_it(own: Path, hub: Hub) -> None:
    halves = {name: value.half() for name, value in load_file(own / f"{UNET}.safetensors").items()}
    save_file(halves, own / f"{UNET}.fp16.safetensors")
    commit = hub.publish("tiny/sd", own)
    loaded("tiny/sd", dtype=torch.bfloat16)
    snapshot = cache_dir() / "hub" / "models--tiny--sd" / "snapshots" / commit
    assert [file.name for file in (snapshot / "unet").glob("*.safetensors")] == [
        "diffusion_pytorch_model.fp16.safetensors"
    ]


def test_revision_is_that_of_its_name(own: Path, hub: Hub, saved: Saved) -> None:
    hub.publish("tiny/sd", saved("sd"))
    weights = load_file(own / f"{UNET}.safetensors")
    save_file(weights | {"conv_in.bias": torch.full((8,), 5.0)}, own / f"{UNET}.safetensors")
    commit = hub.publish("tiny/sd", own, revision="v2")
    hub.publish("tiny/sd", saved("sd"))
    assert not loaded("tiny/sd").unet.conv_in.bias.eq(5).any()
    for revision in ("v2", commit):
        assert loaded(f"tiny/sd@{revision}").unet.conv_in.bias.eq(5).all()


def test_licence_and_size_are_said_before_the_first_download(
    saved: Saved, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    hub.publish("tiny/sd", saved("sd"))
    loaded("tiny/sd")
    assert "tiny/sd: 0.0 GB are fetched into " in caplog.text
    assert "Its licence: mit." in caplog.text
    caplog.clear()
    loaded("tiny/sd")
    assert not caplog.text


@pytest.mark.parametrize("way", ["option", "UPSCALER_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_takes_what_is_here_and_else_says_what_to_do(
    saved: Saved, hub: Hub, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    hub.publish("tiny/sd", saved("sd"))
    options = {"offline": True} if way == "option" else {}
    with monkeypatch.context() as patch:
        if way == "UPSCALER_OFFLINE":
            patch.setenv(way, "1")
        elif way == "HF_HUB_OFFLINE":
            patch.setattr(constants, way, True)
        sentence = refused("tiny/sd", **options)
        assert sentence.startswith(
            "tiny/sd: it is not on this machine, and fetching is forbidden. Run upscaler models "
        )
        assert not hub.server.requests
    loaded("tiny/sd")
    asked = len(hub.server.requests)
    loaded("tiny/sd", **options)
    assert len(hub.server.requests) == asked


def test_pickles_are_used_only_when_allowed_and_with_a_warning(
    own: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    for file in own.glob("*/*.safetensors"):
        name = "pytorch_model.bin" if file.name == "model.safetensors" else "diffusion_pytorch_model.bin"
        torch.save(load_file(file), file.with_name(name))
        file.unlink()
    hub.publish("tiny/sd", own)
    for model in (str(own), "tiny/sd"):
        assert "its weights are not safetensors but pickles (" in refused(model)
        assert not caplog.text
        assert loaded(model, allow_pickle=True).unet.dtype == torch.float32
        assert "is a pickle, not safetensors" in caplog.text
        caplog.clear()
    assert "its weights are not safetensors but pickles (" in refused("tiny/sd")


class _Program:
    """What a pickle can hold: runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_program_in_a_pickle_is_not_run_even_if_pickles_are_allowed(own: Path) -> None:
    (own / f"{UNET}.safetensors").unlink()
    torch.save({"conv_in.weight": _Program(own / "ran")}, own / f"{UNET}.bin")
    assert "cannot be loaded" in refused(own, allow_pickle=True)
    assert not (own / "ran").exists()


def test_gated_repository_says_where_to_ask(saved: Saved, hub: Hub) -> None:
    hub.publish("tiny/sd", saved("sd"), gated=True)
    sentence = refused("tiny/sd")
    assert sentence.startswith("tiny/sd: access is gated.")
    assert f"{hub.server.url}/tiny/sd" in sentence
    assert "HF_TOKEN" in sentence


def test_repository_that_is_not_there_is_one_sentence(hub: Hub) -> None:
    hub.refuse("/api/models/tiny/none", 401, "RepoNotFound")
    assert "the hub has no such repository, or a private one" in refused("tiny/none")


def test_revision_that_is_not_there_is_one_sentence(saved: Saved, hub: Hub) -> None:
    hub.publish("tiny/sd", saved("sd"))
    hub.refuse("/api/models/tiny/sd/revision/v9", 404, "RevisionNotFound")
    assert refused("tiny/sd@v9").startswith("tiny/sd: it has no revision v9.")


def test_repository_of_something_else_is_one_sentence(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "model.gguf").write_bytes(b"weights")
    hub.publish("tiny/words", tmp_path)
    assert "there is no model in diffusers' form" in refused("tiny/words")


def test_hub_that_fails_is_one_sentence(hub: Hub) -> None:
    hub.refuse("/api/models/tiny/sd", 500, "")
    assert "tiny/sd: cannot be fetched from http://127.0.0.1" in refused("tiny/sd")


def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    sentence = refused("tiny/sd")
    assert "cannot be fetched from http://127.0.0.1:9" in sentence
    assert "Check the connection and the proxy" in sentence


def test_broken_and_interrupted_downloads_are_gone_on_with(
    saved: Saved, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upscaler.catalog.download.PAUSES", (0.0,))
    hub.publish("tiny/sd", saved("sd"), faults=[Cut(100_000)])

    def interrupt(done: int, total: int | None) -> None:
        assert total is not None
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalog.fetch_model(catalog.find("tiny/sd"), interrupt)
    assert catalog.find_local(catalog.find("tiny/sd")) is None
    loaded("tiny/sd")
    storage = {request.path for request in hub.server.requests if request.path.startswith("/storage")}
    assert len(storage) == 3
    for path in storage:
        wanted = hub.server.ranges(path)
        assert wanted[0] is None
        assert None not in wanted[1:]
    assert "bytes=100000-" in {wanted for path in storage for wanted in hub.server.ranges(path)}


def test_full_disk_is_one_sentence_and_leaves_nothing_broken(saved: Saved, hub: Hub) -> None:
    hub.publish("tiny/sd", saved("sd"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        sentence = refused("tiny/sd")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "cannot be written" in sentence
    assert catalog.find_local(catalog.find("tiny/sd")) is None
    assert "missing" in refused("tiny/sd", offline=True)
    loaded("tiny/sd")


def test_wrong_bytes_are_never_used(saved: Saved, hub: Hub) -> None:
    hub.publish("tiny/sd", saved("sd"))
    hub.spoil(saved("sd"))
    assert "it sends another file" in refused("tiny/sd")
    assert catalog.find_local(catalog.find("tiny/sd")) is None


def test_removing_a_repository_leaves_the_others(saved: Saved, hub: Hub) -> None:
    for id in ("tiny/sd", "tiny/sdxl"):
        hub.publish(id, saved(id.partition("/")[2]))
        catalog.fetch_model(catalog.find(id))
    gone = catalog.remove(catalog.find("tiny/sd"))
    assert not any(path.exists() for path in gone)
    assert catalog.find_local(catalog.find("tiny/sd")) is None
    assert catalog.find_local(catalog.find("tiny/sdxl")) is not None
    with pytest.raises(ModelError, match="nothing can be removed"):
        catalog.remove(catalog.find("tiny/sd"))


def test_cache_of_the_hub_is_shared_with_other_programs(
    saved: Saved, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import snapshot_download

    hub.publish("tiny/sd", saved("sd"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "theirs"))
    snapshot_download("tiny/sd")
    assert loaded("tiny/sd", offline=True).unet.dtype == torch.float32
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    hub.publish("tiny/sdxl", saved("sdxl"))
    loaded("tiny/sdxl")
    assert (tmp_path / "theirs" / "models--tiny--sdxl").is_dir()
    assert snapshot_download("tiny/sdxl", local_files_only=True)


class TestSingleFile:
    FAMILY = catalog.find("sd15").repository

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        save_single_file(tiny.build_sd(), tmp_path / "mine.safetensors")
        return tmp_path / "mine.safetensors"

    @pytest.fixture
    def family(self, hub: Hub, saved: Saved) -> Repository:
        """What its configuration is taken from, with the weights of another."""
        assert self.FAMILY is not None
        assert self.FAMILY.revision is not None
        hub.publish(self.FAMILY.id, saved("sd"), revision=self.FAMILY.revision)
        return self.FAMILY

    @pytest.mark.usefixtures("family")
    def test_single_file_is_the_pipeline_that_it_was_made_of(self, file: Path, hub: Hub) -> None:
        assert catalog.find(str(file)).kind == "generator"
        source, pipeline = tiny.build_sd(), loaded(file)
        for part in ("unet", "vae", "text_encoder"):
            weights = getattr(pipeline, part).state_dict()
            assert all(torch.equal(weights[name], value) for name, value in getattr(source, part).state_dict().items())
        assert not [name for name in hub.fetched() if "storage" in name]
        asked = len(hub.server.requests)
        assert loaded(file, "image-to-image", offline=True).unet.dtype == torch.float32
        assert len(hub.server.requests) == asked

    def test_single_file_without_its_configuration_says_what_to_fetch(self, file: Path, hub: Hub) -> None:
        assert self.FAMILY is not None
        sentence = refused(file, offline=True)
        assert sentence.startswith(f"{file}: the configuration of {self.FAMILY.id} is needed. ")
        assert f"Run upscaler models fetch {self.FAMILY.id}" in sentence
        assert not hub.server.requests

    @pytest.mark.usefixtures("family")
    def test_single_file_that_is_not_whole_is_one_sentence(self, file: Path) -> None:
        model = catalog.find(str(file))
        weights = load_file(file)
        save_file({name: value for name, value in weights.items() if "middle_block" not in name}, file)
        assert "some weights are missing" in refused(model)
        file.write_bytes(file.read_bytes()[:5000])
        assert "cannot be read as safetensors" in refused(model)
