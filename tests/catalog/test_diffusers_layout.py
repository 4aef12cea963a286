"""Which files of a diffusion model are needed, told from their names."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from upscaler import catalog
from upscaler.catalog.diffusers_layout import CONFIG, INDEX, Layout, index_of, kind_of_file, read
from upscaler.errors import ModelError

NETWORK = Layout("ControlNetModel", ("",), ("diffusers",))


def two_parts(*more: str) -> list[str]:
    return [INDEX, "unet/config.json", "scheduler/scheduler_config.json", *more]


PIPELINE = Layout("StableDiffusionPipeline", ("scheduler", "unet"), ("diffusers",))

PLAIN = "unet/diffusion_pytorch_model.safetensors"
FP16 = "unet/diffusion_pytorch_model.fp16.safetensors"
BF16 = "unet/diffusion_pytorch_model.bf16.safetensors"
PICKLE = "unet/diffusion_pytorch_model.bin"


@pytest.mark.parametrize(
    ("there", "variant", "chosen"),
    [
        ([PLAIN, FP16, PICKLE], "fp16", FP16),
        ([PLAIN, FP16, PICKLE], "", PLAIN),
        ([PLAIN, PICKLE], "fp16", PLAIN),
        ([BF16, PLAIN], "fp16", PLAIN),
        ([FP16], "", FP16),
        ([FP16, PICKLE], "", FP16),
        (["unet/model.safetensors", "unet/model.onnx", "unet/flax_model.msgpack"], "fp16", "unet/model.safetensors"),
    ],
)
def test_weights_are_of_the_variant_or_plain_and_no_pickles(there: list[str], variant: str, chosen: str) -> None:
    choice = PIPELINE.choose("x", two_parts(*there), variant, allow_pickle=True)
    assert choice.weights == (chosen,)
    assert choice.variant == next((name for name in ("fp16", "bf16") if name in chosen), None)
    assert not choice.pickled


def test_small_files_come_without_pictures_programs_and_other_folders() -> None:
    others = ["README.md", "unet/run.py", "unet/sample.png", "model.safetensors", "vae/config.json", "unet/old/x.json"]
    choice = PIPELINE.choose("x", two_parts(PLAIN, "unet/vocab.txt", *others), "fp16")
    assert choice.small == (INDEX, "scheduler/scheduler_config.json", "unet/config.json", "unet/vocab.txt")


def test_shards_are_taken_with_the_index_of_their_precision() -> None:
    shards = [f"unet/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    halves = [f"unet/diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "unet/diffusion_pytorch_model.safetensors.index.json"
    half = "unet/diffusion_pytorch_model.safetensors.index.fp16.json"
    names = two_parts(*shards, *halves, index, half)
    assert PIPELINE.choose("x", names, "fp16").weights == (half, *halves)
    assert PIPELINE.choose("x", names, "").weights == (index, *shards)
    assert PIPELINE.choose("x", [name for name in names if name != halves[1]], "fp16").weights == (index, *shards)


def test_missing_shard_is_said() -> None:
    with pytest.raises(ModelError, match=r"^x: the weights of unet are missing, or not all there\."):
        PIPELINE.choose("x", two_parts("unet/model-00001-of-00002.safetensors"), "fp16")


def test_missing_part_is_said() -> None:
    with pytest.raises(ModelError, match=r"^x: its part scheduler is missing\."):
        PIPELINE.choose("x", [INDEX, "unet/config.json", PLAIN], "fp16")


def test_pickles_are_taken_only_where_they_are_allowed() -> None:
    with pytest.raises(
        ModelError, match=r"^x: its weights are not safetensors but pickles \(unet/diffusion_pytorch_model.bin\)"
    ):
        PIPELINE.choose("x", two_parts(PICKLE), "fp16")
    assert PIPELINE.choose("x", two_parts(PICKLE), "fp16", allow_pickle=True).pickled == (PICKLE,)


def test_single_network_lies_beside_its_configuration() -> None:
    names = ["config.json", "diffusion_pytorch_model.safetensors", "images/a.json"]
    choice = NETWORK.choose("x", names, "fp16")
    assert (choice.small, choice.weights) == (("config.json",), ("diffusion_pytorch_model.safetensors",))
    assert NETWORK.kind == "control"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not the index"),
        ("[]", "is not the index"),
        ("{}", "it names no class"),
        ("[" * 100_000, "it is nested too deeply"),
        ('{"_class_name": "A", "x": ' + '{"a":' * 100_000, "it is nested too deeply"),
        ('{"_class_name": "../A"}', "its _class_name '../A' is not a name"),
        ('{"_class_name": 3}', "its _class_name 3 is not a name"),
        ('{"_class_name": "A", "../../x": ["diffusers", "B"]}', "is not a name"),
        ('{"_class_name": "A", "unet": ["os.path; x", "B"]}', "is not a name"),
        ('{"_class_name": "A", "unet": []}' + " " * 2**24, "it has more than 16 MiB"),
        ("\x00\xff", "is not the index"),
        ('{"_class_name": ["pipeline", "Mine"]}', "its class is a program of its own"),
    ],
)
def test_index_that_is_none_is_one_sentence(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ModelError, match=reason) as caught:
        read(tmp_path / INDEX)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00binary", b"[" * 100_000, b"3", b"null", b'"text"', b"{}", b""])
def test_folder_with_another_configuration_holds_no_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    assert index_of(tmp_path) is None
    with pytest.raises(ModelError, match="this is a folder without a diffusion model in it"):
        catalog.find(str(tmp_path))


def test_a_weight_of_one_dimension_where_a_denoiser_has_four_is_a_network(tmp_path: Path) -> None:
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(3)}, tmp_path / "a.safetensors")
    assert kind_of_file(tmp_path / "a.safetensors") == "network"


def test_index_names_parts_but_not_settings_and_what_is_left_out(tmp_path: Path) -> None:
    about = {
        "_class_name": "StableDiffusionUpscalePipeline",
        "max_noise_level": 350,
        "layers": [1, 2],
        "watermarker": [None, None],
    }
    (tmp_path / INDEX).write_text(json.dumps(about | {"unet": ["diffusers", "UNet2DConditionModel"]}))
    layout = read(tmp_path / INDEX)
    assert (layout.parts, layout.libraries, layout.kind) == (("unet",), ("diffusers",), "diffusion")


@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        ({"conv.weight": (2, 3)}, "network"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, "generator"),
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 7, 3, 3)}, "diffusion"),
        ({"model.diffusion_model.double_blocks.0.img_mod.lin.weight": (2, 3)}, "generator"),
    ],
)
def test_file_with_a_denoiser_is_no_network(tmp_path: Path, weights: dict[str, tuple[int, ...]], kind: str) -> None:
    save_file({name: torch.zeros(shape) for name, shape in weights.items()}, tmp_path / "x.safetensors")
    assert kind_of_file(tmp_path / "x.safetensors") == kind


def test_file_that_is_broken_is_left_to_the_loader_of_networks(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    assert kind_of_file(tmp_path / "x.safetensors") == "network"
