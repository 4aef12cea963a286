"""The catalog as data: each block complete, well-formed and unmistakable. Read without `upscaler.catalog`."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MODELS = Path(__file__).parents[2] / "models"

Block = dict[str, Any]

REQUIRED: dict[str, type] = {
    "name": str,
    "kind": str,
    "architecture": str,
    "purpose": str,
    "licence": str,
    "author": str,
}

SCALED: dict[str, type] = {"scale": int, "commercial": bool}
"""Needed as well by what enlarges."""

FETCHED: dict[str, type] = {"home": str, "size": int, "sha256": str}
"""Needed as well by what is neither a filter nor embedded."""

REFINE: dict[str, type] = {"enlarge_with": str, "generator": str}

DIFFUSION: dict[str, type] = {"home": str, "repository": dict, "memory": int}
"""Needed as well by what diffusers loads."""

KINDS: dict[str, dict[str, type]] = {
    "network": SCALED,
    "resample": SCALED,
    "refine": SCALED | REFINE,
    "diffusion": SCALED | DIFFUSION | {"sampling": dict},
    "generator": DIFFUSION | {"sampling": dict},
    "control": DIFFUSION,
    "face": {},
    "detector": {},
}
"""What each kind needs beyond the rest."""

OPTIONAL: dict[str, Any] = {
    **FETCHED,
    "commercial": bool,
    "diffusers": str,
    "aliases": list,
    "notes": str,
    "knows": str,
    "reach": int,
    "embedded": str,
    "url": str,
    "urls": list,
    "filename": str,
    "denoise": float | str,
    "keeps_tone": bool,
    "denoise_with": str,
    "package": dict,
}

REPOSITORY: dict[str, type] = {"id": str, "revision": str, "variant": str, "gated": bool, "size": int}

SAMPLING: dict[str, type] = {"steps": int, "guidance": float, "side": int}

PACKAGE = {"module", "param", "param_sha256", "bin", "bin_sha256"}

LICENCES = {
    "Apache-2.0": True,
    "Apache-2.0 with exceptions": None,
    "BSD-3-Clause": True,
    "CC-BY-4.0": True,
    "CC-BY-SA-4.0": True,
    "CC-BY-NC-4.0": False,
    "CC-BY-NC-SA-4.0": False,
    "CC0-1.0": True,
    "CreativeML Open RAIL-M": True,
    "CreativeML Open RAIL++-M": True,
    "MIT": True,
    "S-Lab License 1.0": False,
    "Stability AI Community": None,
    "those of its network and its generator": True,
}
"""By SPDX identifier or name, whether commercial use is allowed; None: on conditions."""

ARCHITECTURES = {
    "ATD",
    "DAT",
    "DRCT",
    "DRUNet",
    "FBCNN",
    "HAT",
    "MoSR",
    "RCAN",
    "RRDBNet",
    "RealPLKSR",
    "SCUNet",
    "SPAN",
    "SRVGGNetCompact",
    "SwinIR",
    "UpCunet2x",
    "UpCunet3x",
    "UpCunet4x",
}

PIPELINES = {
    "diffusion": {"StableDiffusionUpscalePipeline", "StableDiffusionLatentUpscalePipeline"},
    "generator": {
        "Flux2KleinPipeline",
        "FluxPipeline",
        "SanaSprintPipeline",
        "StableDiffusionPipeline",
        "StableDiffusionXLPipeline",
        "ZImagePipeline",
    },
    "control": {"ControlNetModel"},
    "refine": {"a network, then image-to-image"},
    "resample": {"Lanczos"},
    "network": ARCHITECTURES,
    "face": {"CodeFormer", "GFPGAN"},
    "detector": {"CenterFace", "YuNet"},
}
"""What may be an architecture, by kind."""

MEASURED = {
    "photo",
    "photo-fast",
    "faithful",
    "art",
    "clean",
    "lanczos",
    "realesrgan-x4plus",
    "realesrgan-x4plus-anime-6b",
    "realesr-animevideov3",
}
"""The models that have a recorded reach; no other has had its own measured."""

REAL_ESRGAN = {
    "RealESRGAN_x4plus.pth",
    "RealESRGAN_x2plus.pth",
    "RealESRNet_x4plus.pth",
    "RealESRGAN_x4plus_anime_6B.pth",
    "realesr-animevideov3.pth",
    "realesr-general-x4v3.pth",
    "realesr-general-wdn-x4v3.pth",
}


def _blocks() -> list[Block]:
    with (MODELS / "catalog.toml").open("rb") as file:
        blocks: list[Block] = tomllib.load(file)["model"]
    return blocks


BLOCKS = _blocks()


def _for(blocks: list[Block]) -> pytest.MarkDecorator:
    """A test for each of the blocks, called after the model."""
    return pytest.mark.parametrize("block", blocks, ids=[str(block.get("name")) for block in blocks])


def _is_fetched(block: Block) -> bool:
    return block.get("kind") in ("network", "face", "detector") and "embedded" not in block and not _is_carried(block)


def _is_carried(block: Block) -> bool:
    """Whether a Python package is the only way to have it."""
    return "package" in block and not block.keys() & {"url", "urls"}


each = _for(BLOCKS)

each_of_diffusers = _for([block for block in BLOCKS if "repository" in block])

each_fetched = _for([block for block in BLOCKS if _is_fetched(block)])


def _with(key: str) -> pytest.MarkDecorator:
    return _for([block for block in BLOCKS if key in block])


def _urls(block: Block) -> list[str]:
    return block.get("urls") or ([block["url"]] if "url" in block else [])


def _filename(block: Block) -> str:
    """What it is called in the cache, which has no folders for models."""
    return block["filename"] if "filename" in block else unquote(urlsplit(_urls(block)[0]).path).rpartition("/")[2]


def _plain(word: str) -> str:
    """As names are compared."""
    return word.lower().replace("_", "-").replace(" ", "-")


def _words(block: Block) -> list[str]:
    return [_plain(word) for word in (block["name"], *block.get("aliases", ()))]


def _types(kind: Any) -> tuple[type, ...]:
    return get_args(kind) or (kind,)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@each
def test_block_has_the_keys_of_its_kind_and_no_others(block: Block) -> None:
    needed = REQUIRED | KINDS[block["kind"]] | (FETCHED if _is_fetched(block) else {})
    if block["kind"] == "generator" and "embedded" in block:
        needed = {key: kind for key, kind in needed.items() if key not in ("home", "repository")}
    assert needed.keys() <= block.keys() <= needed.keys() | OPTIONAL.keys()
    assert all(type(value) in _types((needed | OPTIONAL)[key]) for key, value in block.items())
    assert all(value not in ("", []) for value in block.values())


@each
def test_block_says_one_way_to_have_its_file(block: Block) -> None:
    ways = block.keys() & {"embedded", "url", "urls", "filename", "repository"}
    assert len(ways) == (block["kind"] not in ("resample", "refine") and not _is_carried(block))


@each
def test_name_is_regular_and_aliases_can_be_typed(block: Block) -> None:
    assert re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", block["name"])
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 .+_-]*", alias) for alias in block.get("aliases", ()))


def test_names_and_aliases_each_mean_one_model() -> None:
    words = Counter(word for block in BLOCKS for word in _words(block))
    assert [word for word, count in words.items() if count > 1] == []


@each_fetched
def test_file_name_is_a_name_of_the_model(block: Block) -> None:
    assert _plain(Path(_filename(block)).stem) in _words(block)


@each
def test_purpose_and_notes_are_one_line_of_a_table(block: Block) -> None:
    assert len(block["purpose"]) <= 100
    assert not any("\n" in block.get(key, "") for key in ("purpose", "notes", "author"))


@each
def test_architecture_is_one_that_the_authors_named(block: Block) -> None:
    assert block["architecture"] in PIPELINES[block["kind"]]


@each
def test_licence_is_known_and_commercial_agrees_with_it(block: Block) -> None:
    assert block.get("commercial") is LICENCES[block["licence"]]
    assert (block.get("commercial") is False) == ("-NC" in block["licence"] or "S-Lab" in block["licence"])
    assert "commercial" in block or "ommercial use" in block["notes"]


@_for([block for block in BLOCKS if block.get("licence", "").startswith("CC-BY")])
def test_author_is_named_as_the_licence_asks(block: Block) -> None:
    is_of_phips = any("/Phhofm/" in url or "/Phips/" in url for url in (*_urls(block), block["home"]))
    assert re.search(r"\w", block["author"])
    assert is_of_phips == (block["author"] == "Philip Hofmann (Phips)")


@each_fetched
def test_addresses_are_https_and_lead_straight_to_a_file(block: Block) -> None:
    for url in (*_urls(block), block["home"]):
        parts = urlsplit(url)
        assert parts.scheme == "https"
        assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc)
        assert not parts.query
        assert not parts.fragment
        assert not re.search(r"\s", url)
    for url in _urls(block):
        assert url.endswith(".onnx" if block["kind"] == "detector" else (".pth", ".safetensors"))
        assert "/blob/" not in url


@_with("urls")
def test_several_addresses_differ_and_lead_to_one_format(block: Block) -> None:
    assert len(set(block["urls"])) == len(block["urls"]) > 1
    assert len({url.rpartition(".")[2] for url in block["urls"]}) == 1


@_for([block for block in BLOCKS if block.get("kind") == "network" and not _is_carried(block)])
def test_size_and_hash_are_plausible(block: Block) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", block["sha256"])
    assert 1000 < block["size"] < 10**9


def test_hashes_and_file_names_are_each_of_one_model() -> None:
    hashes = Counter(block["sha256"] for block in BLOCKS if "sha256" in block)
    names = Counter(_filename(block).lower() for block in BLOCKS if _is_fetched(block))
    assert [value for value, count in (hashes + names).items() if count > 1] == []


@each_fetched
def test_file_name_is_fit_for_every_file_system(block: Block) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*\.(onnx|pth|safetensors)", _filename(block))


@_with("scale")
def test_scale_is_that_of_the_names(block: Block) -> None:
    assert block["scale"] in (1, 2, 3, 4, 8)
    words = [*_words(block), *([_plain(_filename(block))] if _is_fetched(block) else [])]
    said = {int(found[1]) for word in words if (found := re.match(r"([1-8])x", word))}
    said |= {int(found[1]) for word in words if (found := re.search(r"-(?:sr)?x([1-8])\b", word))}
    assert said <= {block["scale"]}


@each
def test_reach_is_given_only_where_it_was_measured(block: Block) -> None:
    assert ("reach" in block) == (block["name"] in MEASURED)


@_with("denoise_with")
def test_denoise_with_names_another_model_of_the_same_make(block: Block) -> None:
    other = next(other for other in BLOCKS if other["name"] == block["denoise_with"])
    assert other is not block
    assert all(other[key] == block[key] for key in ("architecture", "scale", "size", "licence"))


@_with("embedded")
def test_embedded_file_is_there_with_its_size_its_hash_and_a_card(block: Block) -> None:
    path = MODELS / block["embedded"]
    if block["kind"] == "network":
        assert (path.stat().st_size, _sha256(path)) == (block["size"], block["sha256"])
    assert (path if path.is_dir() else path.parent).joinpath("CARD.md").is_file()


@_with("package")
def test_package_carries_the_files_with_these_hashes(block: Block) -> None:
    package = block["package"]
    assert package.keys() == PACKAGE
    assert all(re.fullmatch(r"[0-9a-f]{64}", package[key]) for key in ("param_sha256", "bin_sha256"))
    found = importlib.util.find_spec(package["module"])
    if found is None or found.origin is None:
        pytest.skip(f"{package['module']} is not installed")
    folder = Path(found.origin).parent
    assert _sha256(folder / package["param"]) == package["param_sha256"]
    assert _sha256(folder / package["bin"]) == package["bin_sha256"]


def test_catalog_has_the_seven_weights_of_real_esrgan() -> None:
    releases = "https://github.com/xinntao/Real-ESRGAN/releases/download/"
    files = {_filename(block) for block in BLOCKS if any(url.startswith(releases) for url in _urls(block))}
    assert files == REAL_ESRGAN
    assert {block["licence"] for block in BLOCKS if "xinntao" in block.get("home", "")} == {"BSD-3-Clause"}


def test_embedded_networks_come_first_the_embedded_generator_after_the_others_and_last_the_not_commercial() -> None:
    embedded = [block for block in BLOCKS if "embedded" in block or block["kind"] == "resample"]
    *embedded, scenes = embedded
    assert [block for block in BLOCKS if block["kind"] == "generator"][-1] == scenes
    closed = [block for block in BLOCKS if block.get("commercial") is False]
    assert BLOCKS[: len(embedded)] == embedded
    assert BLOCKS[-len(closed) :] == closed


@each_of_diffusers
def test_repository_is_one_of_the_hub_at_a_commit(block: Block) -> None:
    repository = block["repository"]
    assert {"id", "size"} <= repository.keys()
    assert all(type(value) is REPOSITORY[key] for key, value in repository.items())
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", repository["id"])
    assert re.fullmatch("[0-9a-f]{40}", repository.get("revision", "0" * 40))
    assert block["home"] == f"https://huggingface.co/{repository['id']}"
    assert 10**9 < repository["size"] < 10**11


@each_of_diffusers
def test_memory_holds_at_least_a_third_of_the_weights(block: Block) -> None:
    """Parts that are moved in one at a time, and weights that are stored in single precision, take no less."""
    assert block["repository"]["size"] / 3 < block["memory"] < 64 * 10**9


@_with("sampling")
def test_sampling_is_within_what_the_pipelines_take(block: Block) -> None:
    sampling = block["sampling"]
    assert sampling
    assert all(type(value) is SAMPLING[key] for key, value in sampling.items())
    assert 1 <= sampling.get("steps", 1) <= 75
    assert 0 <= sampling.get("guidance", 0) <= 10
    assert sampling.get("side", 512) in (256, 512, 1024)


def test_generators_are_those_that_were_promised() -> None:
    names = {block["name"] for block in BLOCKS if block["kind"] == "generator"}
    assert {"flux2-klein-4b", "z-image-turbo", "sana-sprint", "sdxl", "sd15", "sdxl-turbo", "sd-turbo"} <= names


@_with("generator")
def test_refine_names_a_network_and_a_generator(block: Block) -> None:
    kinds = {word: other["kind"] for other in BLOCKS for word in _words(other)}
    assert (kinds[block["enlarge_with"]], kinds[block["generator"]]) == ("network", "generator")


@_with("diffusers")
def test_version_of_diffusers_is_one(block: Block) -> None:
    assert re.fullmatch(r"0\.\d+", block["diffusers"])


def test_default_model_is_embedded() -> None:
    (default,) = (block for block in BLOCKS if "photo" in _words(block))
    assert "embedded" in default
