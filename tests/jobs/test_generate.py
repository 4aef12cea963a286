"""From prompts to enlarged pictures: one model in memory at a time, nothing made twice, failures are rows."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from diffusers import UNet2DConditionModel
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

from tests.diffusion import tiny
from tests.jobs.work import UPSCALER, customized, parts, tree, until, workers_of
from upscaler import DeviceLost, ModelError, OutputError, PlanError, Size, Target, Upscaler, codecs, recipe
from upscaler.diffusion.options import Diffusion, Lora
from upscaler.faces import FaceOptions
from upscaler.inputs.discover import Job
from upscaler.jobs import generate, report
from upscaler.jobs.contact_sheet import GAP
from upscaler.jobs.generate import GenerateJob, recipe_of, run, target_of, upscaler_options
from upscaler.jobs.manifest import FOLDER, Manifest
from upscaler.jobs.outcome import Outcome
from upscaler.jobs.prompts import slug
from upscaler.jobs.workers.messages import WorkerOptions
from upscaler.picture import Picture
from upscaler.pipeline import Pipeline, PipelineOptions
from upscaler.progress import ProgressCallback
from upscaler.target import Paper
from upscaler.text2image.parameters import GenerationParameters
from upscaler.text2image.text_to_image import TextToImage

PARAMETERS = GenerationParameters("a red circle", size=Size(72, 64), steps=1, seed=5)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "tiny-sd"
    tiny.build_sd().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def models(model: str) -> GenerateJob:
    return GenerateJob(TextToImage(model, device="cpu"), Pipeline("lanczos"), Target(scale=2))


def order(path: Path, parameters: GenerationParameters = PARAMETERS, **options: object) -> Job[GenerationParameters]:
    return Job(replace(parameters, **options), path)  # type: ignore[arg-type]


def orders(folder: Path, *wishes: GenerationParameters) -> list[Job[GenerationParameters]]:
    return [order(folder / f"{parameters.prompt}_{parameters.seed}.png", parameters) for parameters in wishes]


def said(outcomes: Iterator[Outcome]) -> list[str]:
    """What became of each picture, in order of their names."""
    by_name = sorted(outcomes, key=lambda outcome: outcome.output)
    return [outcome.error or ("kept" if outcome.was_done else "made") for outcome in by_name]


def alive() -> tuple[int, int]:
    """How many denoisers and enlarging networks are in memory."""
    gc.collect()
    kinds = Counter(type(each) for each in gc.get_objects())
    return kinds[UNet2DConditionModel], kinds[SRVGGNetCompact]


def test_the_two_models_are_never_in_memory_together(
    models: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "WAITING", 2 * 72 * 64 * 3)  # two pictures: the models change places three times
    before = alive()
    seen: list[tuple[int, int]] = []

    def look(_: str) -> ProgressCallback:
        def progress(done: int, _: int | None) -> None:
            if done == 1:
                now = alive()
                seen.append((now[0] - before[0], now[1] - before[1]))

        return progress

    wishes = [replace(PARAMETERS, seed=seed) for seed in range(3)]
    network = replace(models, upscaler=Pipeline("photo", PipelineOptions(device="cpu", backend="torch")))
    assert said(run(network, orders(tmp_path, *wishes), progress=look)) == ["made"] * 3
    assert seen == [(1, 0), (1, 0), (0, 1), (0, 1), (1, 0), (0, 1)]


def test_what_took_long_to_generate_does_not_wait(
    models: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "SWAP_MODELS_AFTER", 0.0)
    begun = run(models, orders(tmp_path, PARAMETERS, replace(PARAMETERS, seed=6)), folder=tmp_path)
    assert next(begun).error is None
    begun.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [FOLDER, "a red circle_5.png"]


def test_a_picture_is_what_generator_and_upscaler_make_and_says_so(
    models: GenerateJob, model: str, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    assert said(run(models, [order(path, style="watercolour")])) == ["made"]
    picture = codecs.decode(path)
    parameters = replace(PARAMETERS, style="watercolour")
    with TextToImage(model, device="cpu") as alone:
        expected = Upscaler("lanczos")(alone(parameters), scale=2)
    assert np.array_equal(picture.pixels, expected.pixels)
    made = recipe.read(picture)
    assert made is not None
    assert (made.generated, made.size) == (Size(72, 64), Size(144, 128))
    assert GenerationParameters.from_dict(made.parameters) == replace(parameters, guidance=7.5)
    assert made.prompt.startswith("a red circle, watercolour painting")
    assert made.generator["model"] == model
    assert upscaler_options(made)["model"] == "lanczos"
    assert target_of(made) == Target(scale=2)
    assert made.versions["torch"] == torch.__version__.partition("+")[0]


def test_a_recipe_gives_the_upscaler_back_but_may_not_allow_pickles(models: GenerateJob) -> None:
    made = recipe_of(models.generator, PARAMETERS, Size(72, 64))
    asked = {"model": "refine", "fidelity": 0.7, "diffusion": asdict(Diffusion(creativity=0.5, allow_pickle=True))}
    options = upscaler_options(replace(made, upscaler=asked))
    assert options == {"model": "refine", "fidelity": 0.7, "diffusion": Diffusion(creativity=0.5)}
    for target in (Target(fit=Size(640, 480)), Target(print=Paper(600, 900)), Target(width=9), Target()):
        assert target_of(replace(made, upscaler={**asked, "target": asdict(target)})) == target
    assert upscaler_options(replace(made, upscaler=asked), "photo") == {"fidelity": 0.7}
    faces = {"faces": asdict(FaceOptions(strength=0.5))}
    for other in (None, "photo"):
        options = upscaler_options(replace(made, upscaler={**asked, **faces}), other)
        assert options["faces"] == FaceOptions(strength=0.5)
    with pytest.raises(PlanError, match="settings of the upscaler cannot be read"):
        upscaler_options(replace(made, upscaler={**asked, "faces": {"magic": 1}}))
    settings = {**Pipeline("lanczos").settings, "tile": 512, "overlap": 64, "memory": 2 * 10**9}
    assert upscaler_options(replace(made, upscaler=settings)).keys() == settings.keys() - {"weights", "diffusion"}
    with pytest.raises(PlanError, match="settings of the upscaler cannot be read"):
        upscaler_options(replace(made, upscaler={**asked, "diffusion": {"magic": 1}}))
    with pytest.raises(PlanError, match="settings of the upscaler cannot be read"):
        target_of(replace(made, upscaler={"target": {"scale": "large"}}))


def test_a_picture_does_not_depend_on_its_place(models: GenerateJob, tmp_path: Path) -> None:
    wishes = [replace(PARAMETERS, prompt="a dog", seed=1), PARAMETERS]
    assert said(run(models, orders(tmp_path, *wishes))) == ["made", "made"]
    assert said(run(models, [order(tmp_path / "alone.png")])) == ["made"]
    together, alone = (codecs.decode(tmp_path / name).pixels for name in ("a red circle_5.png", "alone.png"))
    assert np.array_equal(together, alone)


def test_what_is_done_is_not_done_again(models: GenerateJob, tmp_path: Path) -> None:
    wishes = orders(tmp_path, PARAMETERS, replace(PARAMETERS, seed=6))
    assert said(run(models, wishes[:1], folder=tmp_path)) == ["made"]
    assert said(run(models, wishes, folder=tmp_path)) == ["kept", "made"]
    wishes[0] = order(wishes[0].output, steps=2)
    assert said(run(models, wishes, folder=tmp_path)) == ["made", "kept"]
    larger = replace(models, target=Target(scale=3))
    assert said(run(larger, wishes, folder=tmp_path)) == ["made", "made"]
    wishes[0].output.unlink()
    assert said(run(larger, wishes, folder=tmp_path)) == ["made", "kept"]
    assert said(run(larger, wishes, folder=tmp_path, force=True)) == ["made", "made"]


def test_what_is_done_takes_no_model(model: str, tmp_path: Path) -> None:
    """Whose weights are damaged meanwhile, in a way that only loading would notice."""
    folder = tmp_path / "tiny-sd"
    shutil.copytree(model, folder)
    models = GenerateJob(TextToImage(str(folder), device="cpu"), Pipeline("lanczos"), Target(scale=2))
    wishes = orders(tmp_path / "out", PARAMETERS, replace(PARAMETERS, seed=6))
    assert said(run(models, wishes, folder=tmp_path / "out")) == ["made", "made"]
    for file in folder.rglob("*.safetensors"):
        seen = file.stat()
        file.write_bytes(b"\xff" * seen.st_size)
        os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    again = replace(models, generator=TextToImage(str(folder), device="cpu"))
    assert said(run(again, wishes, folder=tmp_path / "out")) == ["kept", "kept"]


def test_an_output_that_exists_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (tmp_path / "a.png").write_bytes(b"mine")
    models = GenerateJob(TextToImage(str(tmp_path / "broken"), device="cpu"), None, Target())
    (error,) = said(run(models, [order(tmp_path / "a.png")]))
    assert "a.png: exists already." in error
    with pytest.raises(OutputError, match=r"a\.png: exists already"):
        list(run(models, orders(tmp_path, PARAMETERS, replace(PARAMETERS, seed=6)), grid=tmp_path / "a.png"))


def test_a_run_that_is_given_up_is_gone_on_with(models: GenerateJob, tmp_path: Path) -> None:
    wishes = orders(tmp_path, *(replace(PARAMETERS, seed=seed) for seed in range(3)))
    alone = replace(models, upscaler=None)
    begun = run(alone, wishes, folder=tmp_path)
    assert next(begun).error is None
    begun.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:2] == [FOLDER, "a red circle_0.png"]
    assert len(names) < 4, "the last one has not been generated"
    kept = len(names) - 1
    assert said(run(alone, wishes, folder=tmp_path)) == ["kept"] * kept + ["made"] * (3 - kept)


def test_a_picture_begun_with_another_is_made_again_when_that_has_changed(models: GenerateJob, tmp_path: Path) -> None:
    image, wishes = tmp_path / "init.png", [order(tmp_path / "out/a.png", image=str(tmp_path / "init.png"))]
    alone = replace(models, upscaler=None)
    for value, expected in ((20, "made"), (20, "kept"), (200, "made")):
        if expected == "made":
            Picture(np.full((64, 72, 3), value, np.uint8)).save(image, overwrite=True)
        assert said(run(alone, wishes, folder=tmp_path / "out")) == [expected]
    made = recipe.read(codecs.decode(tmp_path / "out/a.png"))
    assert made is not None
    assert list(made.files) == [str(image)]


def test_a_file_of_somebody_else_is_left_alone(models: GenerateJob, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"mine")
    (error,) = said(run(models, [order(path)], folder=tmp_path))
    assert "exists already. Use `overwrite`" in error
    assert path.read_bytes() == b"mine"


def test_one_failure_is_one_outcome(models: GenerateJob, tmp_path: Path) -> None:
    bad = replace(PARAMETERS, prompt="bad", loras=(Lora("missing.safetensors"),))
    wishes = orders(tmp_path, bad, replace(PARAMETERS, prompt="tiny", size=Size(8, 8)), PARAMETERS)
    outcomes = said(run(models, wishes))
    assert outcomes[0] == "made"
    assert outcomes[1].startswith("bad: missing.safetensors: ")
    assert outcomes[2].startswith("tiny: size=8x8: ")


def test_an_image_that_cannot_be_read_fails_its_own_picture(
    models: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("locked.png", "good.png"):
        Picture(np.full((64, 72, 3), 99, np.uint8)).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")
    sha256 = generate.sha256

    def failing(path: Path) -> str:
        if path.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return sha256(path)

    monkeypatch.setattr(generate, "sha256", failing)
    names = ("broken", "good", "locked", "missing")
    for folder, manifest in (("remembered", True), ("forgotten", False)):
        out = tmp_path / folder
        jobs = [order(out / f"{name}.png", prompt=name, image=str(tmp_path / f"{name}.png")) for name in names]
        outcomes = said(run(replace(models, upscaler=None), jobs, folder=out if manifest else None))
        broken, good, locked, missing = outcomes
        assert good == "made"
        assert locked == f"{tmp_path}/locked.png: Permission denied."
        assert broken.startswith(f"broken: {tmp_path}/broken.png: the file ")
        assert missing.startswith(f"missing: {tmp_path}/missing.png: ")


def test_a_prompt_stays_as_it_is_in_outcomes_report_and_manifest(models: GenerateJob, tmp_path: Path) -> None:
    """Which no path does: it would lose a slash."""
    prompt = "black // white, ./here/../there"
    jobs = [Job(replace(PARAMETERS, prompt=prompt), tmp_path / "out/a.png")]
    (outcome,) = run(replace(models, upscaler=None), jobs, folder=tmp_path / "out")
    assert str(outcome.source) == prompt
    report.write(tmp_path / "report.json", [outcome], [])
    assert json.loads((tmp_path / "report.json").read_text())[0]["source"] == prompt
    manifest = Manifest(tmp_path / "out")
    row = manifest.row(tmp_path / "out/a.png")
    manifest.close()
    assert row is not None
    assert row.source == prompt
    assert json.loads(row.settings)["parameters"]["prompt"] == prompt
    (failure,) = run(replace(models, upscaler=None), [Job(jobs[0].source, tmp_path / "out/a.png")])
    assert failure.error is not None
    assert failure.error.startswith(f"{tmp_path}/out/a.png: exists already.")


def test_a_picture_is_written_while_the_next_is_generated(
    models: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_begun = threading.Event()
    encode = codecs.encode

    def waiting(picture: Picture, path: Path, options: codecs.EncodeOptions) -> None:
        if path.name == "first.png":
            assert second_begun.wait(60), "the second is not generated before the first is written"
        encode(picture, path, options)

    def progress(name: str) -> ProgressCallback:
        if name.endswith("second.png"):
            second_begun.set()
        return lambda *_: None

    monkeypatch.setattr(codecs, "encode", waiting)
    jobs = [order(tmp_path / f"{name}.png", prompt=name) for name in ("first", "second")]
    assert said(run(replace(models, upscaler=None), jobs, progress=progress)) == ["made", "made"]


def test_the_only_picture_fails_with_its_error(models: GenerateJob, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="size=8x8"):
        list(run(models, [order(tmp_path / "a.png", size=Size(8, 8))]))
    with pytest.raises(PlanError, match="more than 32 is not supported"):
        list(run(replace(models, target=Target(width=9000)), [order(tmp_path / "a.png")]))
    assert list(tmp_path.iterdir()) == []


def test_a_lost_device_ends_the_run_of_several_pictures(
    models: GenerateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*_: object, **__: object) -> None:
        raise DeviceLost("cuda:0 is lost.")

    monkeypatch.setattr(TextToImage, "__call__", lose)
    with pytest.raises(DeviceLost):
        list(run(models, orders(tmp_path, PARAMETERS, PARAMETERS)))


def test_a_damaged_model_fails_the_run(model: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "X"]}')
    with pytest.raises(ModelError, match="its part unet is missing"):
        list(
            run(
                GenerateJob(TextToImage(str(broken), device="cpu"), None, Target()),
                orders(tmp_path, PARAMETERS, PARAMETERS),
            )
        )


def test_the_original_is_kept_beside(models: GenerateJob, tmp_path: Path) -> None:
    keeping = replace(models, keeps_original=True)
    assert said(run(keeping, [order(tmp_path / "a.png")], folder=tmp_path)) == ["made"]
    original = codecs.decode(tmp_path / "a_original.png")
    made = recipe.read(original)
    assert original.size == Size(72, 64)
    assert made is not None
    assert made.upscaler is None
    assert said(run(keeping, [order(tmp_path / "a.png")], folder=tmp_path)) == ["kept"]
    os.unlink(tmp_path / "a_original.png")
    assert said(run(keeping, [order(tmp_path / "a.png")], folder=tmp_path)) == ["made"]


def test_without_upscaler_nothing_is_enlarged_and_the_grid_shows_all(models: GenerateJob, tmp_path: Path) -> None:
    alone, grid = replace(models, upscaler=None), tmp_path / "grid.png"
    wishes = orders(tmp_path, *(replace(PARAMETERS, seed=seed) for seed in range(3)))
    for expected in ("made", "kept"):
        assert said(run(alone, wishes, folder=tmp_path, grid=grid)) == [expected] * 3
        assert codecs.decode(grid).size == Size(2 * 72 + 3 * GAP, 2 * 64 + 3 * GAP)
    assert codecs.decode(wishes[0].output).size == Size(72, 64)


@pytest.fixture
def eight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job[GenerationParameters]]:
    """Jobs to out/, and prompts.csv, which says the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    wishes = [
        replace(PARAMETERS, prompt=f"a {colour} circle", seed=seed) for colour in ("red", "blue") for seed in range(4)
    ]
    lines = [f"{parameters.prompt},{parameters.seed}" for parameters in wishes]
    Path("prompts.csv").write_text("\n".join(["prompt,seed", *lines]))
    return [Job(each, Path("out", f"{slug(each.prompt)}_{each.seed}.png")) for each in wishes]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_workers_make_the_same_pictures_also_when_one_is_killed(
    models: GenerateJob, eight: list[Job[GenerationParameters]], caplog: pytest.LogCaptureFixture
) -> None:
    keeping, two = replace(models, keeps_original=True), WorkerOptions(("cpu", "cpu"))
    outcomes = []
    for outcome in run(keeping, eight, folder=Path("out"), workers=two):
        outcomes.append(outcome)
        if len(outcomes) == 1:
            os.kill(int(multiprocessing.active_children()[0].pid or 0), signal.SIGKILL)
    assert said(iter(outcomes)) == ["made"] * 8
    assert "a worker was lost (it was ended by SIGKILL" in caplog.text
    assert (multiprocessing.active_children(), parts(Path())) == ([], [])
    made = tree(Path("out"))
    assert len(made) == 16
    shutil.rmtree("out")
    assert said(run(keeping, eight, folder=Path("out"))) == ["made"] * 8
    assert tree(Path("out")) == made
    assert said(run(keeping, eight, folder=Path("out"), workers=two)) == ["kept"] * 8


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
def test_a_job_of_prompts_that_is_killed_is_resumed_like_a_folder(
    models: GenerateJob, model: str, tmp_path: Path, eight: list[Job[GenerationParameters]]
) -> None:
    drawing = ["-g", model, "--size", "72x64", "--steps", "1", "-m", "lanczos", "-s", "2", "--devices", "cpu,cpu"]
    command = [*UPSCALER, "generate", "--prompts", "prompts.csv", "-o", "out/", *drawing, "-q"]
    process = subprocess.Popen(command, env=customized(tmp_path / "site", ""))
    until(lambda: len(tree(Path("out"))) >= 2, 600)  # three processes load torch first
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(workers_of(process.pid)) == 2
    process.kill()
    process.wait()
    psutil.wait_procs(children, 30)
    assert [child for child in children if child.is_running()] == []
    between = tree(Path("out"))
    job = replace(models, generator=TextToImage(model))
    resumed = said(run(job, eight, folder=Path("out")))
    assert resumed.count("kept") == len(between) < 8
    assert resumed.count("made") == 8 - len(between)
    assert parts(Path()) == []
    right = tree(Path("out"))
    assert between.items() <= right.items()
    shutil.rmtree("out")
    assert said(run(job, eight, folder=Path("out"))) == ["made"] * 8
    assert tree(Path("out")) == right
