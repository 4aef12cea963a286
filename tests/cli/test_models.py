"""`upscaler models`, and `-m` with everything it takes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.catalog.server import Cut, Server, Status
from tests.cli.conftest import Run, sizes
from tests.diffusion.hub import Hub
from tests.diffusion.tiny import build_sd
from tests.networks import tiny_compact
from upscaler import catalog
from upscaler.files import cache_dir


@pytest.fixture
def checkpoint(tmp_path: Path) -> bytes:
    """A tiny network in the layout of Real-ESRGAN's own files."""
    file = tmp_path / "layout.pth"
    torch.save({"params_ema": load_file(tiny_compact(tmp_path))}, file)
    return file.read_bytes()


def write_catalog(url: str, content: bytes, more: str = "") -> None:
    """Makes the file at that address a model of the user's catalog, "mine"."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "catalog.toml").write_text(
        f'[[model]]\nname = "mine"\nscale = 2\nlicence = "MIT"\nauthor = "me"\nurl = "{url}"\n'
        f'size = {len(content)}\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n{more}'
    )


def test_list_shows_every_model_on_a_line(run: Run) -> None:
    done = run("models", "list")
    lines = done.out.decode().splitlines()
    assert (done.code, done.err) == (0, "")
    assert len(lines) == 1 + len(catalog.models())
    assert [line.split()[0] for line in lines[1:]] == [model.name for model in catalog.models()]
    assert "CC-BY-NC-SA-4.0, no commercial use" in next(line for line in lines if line.startswith("ultrasharp "))


def test_list_of_what_is_here_holds_what_needs_no_fetching(run: Run) -> None:
    names = [line.split()[0] for line in run("models", "list", "--here").out.decode().splitlines()[1:]]
    assert {"faithful", "lanczos"} <= set(names)
    assert "ultrasharp" not in names


def test_search_lists_models_of_the_catalog_and_of_openmodeldb(run: Run) -> None:
    done = run("models", "search", "anime", "compact", "--scale", "2")
    lines = done.out.decode().splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].split() == ["model", "scale", "size", "here", "licence", "link", "for"]
    names = [line.split()[0] for line in lines[1:]]
    assert {"animejanai-hd-v3-compact", "2x-Ani4K"} <= set(names)
    assert "  yes   " in next(line for line in lines if line.startswith("2x-Ani4K "))
    free = run("models", "search", "anime", "compact", "--scale", "2", "--commercial").out.decode()
    assert 1 < len(free.splitlines()) < len(lines)
    assert "no commercial use" not in free


def test_search_that_finds_nothing_fails_with_a_sentence(run: Run) -> None:
    done = run("models", "search", "nomos", "--scale", "3", "--commercial")
    assert (done.code, done.out) == (1, b"")
    assert (
        done.err == "error: no model has all of this: nomos, 3x, commercial use. Search with fewer words or options.\n"
    )


def test_models_alone_asks_for_a_command(run: Run) -> None:
    done = run("models")
    assert (done.code, done.err) == (2, "error: Missing command. See upscaler models --help.\n")


def test_show_says_licence_address_hash_and_reach(run: Run) -> None:
    done = run("models", "show", "RealESRGAN_x2plus")
    text = done.out.decode()
    assert done.code == 0
    for word in (
        "BSD-3-Clause",
        "https://github.com/xinntao/Real-ESRGAN/releases",
        "49fafd45f8fd7aa8",
        "64.0 MiB",
        "no",
    ):
        assert word in text
    assert "7 pixels" in run("models", "show", "photo").out.decode()


def test_show_of_a_file_says_what_it_holds_and_its_reach_once_measured(run: Run, tmp_path: Path, here: Path) -> None:
    file = tiny_compact(tmp_path)
    text = run("models", "show", file).out.decode()
    assert "RealESRGAN Compact, 2x, 3 channels" in text
    assert "fp32, fp16, bf16" in text
    assert "measured when it is first used" in text
    assert run("a.jpg", "-m", file).code == 0
    assert " pixels" in run("models", "show", file).out.decode().splitlines()[-1]


def test_a_misspelt_name_is_wrong_usage_and_suggests_the_nearest(run: Run, here: Path) -> None:
    for arguments in (("models", "show"), ("models", "fetch"), ("models", "where"), ("a.jpg", "-m")):
        done = run(*arguments, "realesrgan-x4pluss")
        assert done.code == 2
        assert "Did you mean realesrgan-x4plus?" in done.err


def test_a_model_of_the_users_catalog_is_fetched_and_used(run: Run, here: Path, checkpoint: bytes) -> None:
    with Server() as server:
        write_catalog(server.put("/v1/mine.pth", checkpoint), checkpoint)
        assert run("a.jpg", "-m", "mine").code == 0
        assert run("b.png", "-m", "Mine", "--offline").code == 0
        assert len(server.requests) == 1
    made = sizes(here)
    assert (made["a_2x.jpg"], made["b_2x.png"]) == ((120, 80), (120, 80))


def test_fetch_works_over_a_connection_that_breaks(
    run: Run, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upscaler.catalog.download.PAUSES", (0.0,) * 4)
    with Server() as server:
        write_catalog(server.put("/v1/mine.pth", checkpoint, [Cut(1000), Cut(500)]), checkpoint)
        done = run("models", "fetch", "mine")
        assert done.code == 0
        assert done.out.decode() == f"mine  {catalog.models_dir() / 'mine.pth'}  MIT, by me\n"
        assert server.sent("/v1/mine.pth") == len(checkpoint)


def test_a_redirect_to_another_host_is_followed(run: Run, here: Path, checkpoint: bytes) -> None:
    """As the releases of a repository are served."""
    with Server() as server:
        there = server.put("/storage/8f3a", checkpoint)
        url = server.put("/owner/name/releases/download/v1/mine.pth", b"", [Status(302, {"Location": there})])
        write_catalog(url, checkpoint)
        assert run("a.jpg", "-m", "mine").code == 0


def test_a_mirror_takes_the_place_of_the_address(
    run: Run, here: Path, checkpoint: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server() as server:
        server.put("/weights/mine.pth", checkpoint)
        monkeypatch.setenv("UPSCALER_MIRROR", f"{server.url}/weights/")
        write_catalog("http://127.0.0.1:9/mine.pth", checkpoint)
        assert run("a.jpg", "-m", "mine").code == 0


def test_a_url_is_a_model_too(run: Run, here: Path, checkpoint: bytes) -> None:
    with Server() as server:
        url = server.put("/nets/tiny.pth", checkpoint)
        done = run("a.jpg", "-m", f"{url}#sha256={hashlib.sha256(checkpoint).hexdigest()}", "-o", "x.png")
        assert (done.code, "warning" in done.err) == (0, False)
        done = run("a.jpg", "-m", url, "-o", "y.png")
        assert done.code == 0
        assert "not checked, since its address has no hash" in done.err
    made = sizes(here)
    assert made["x.png"] == made["y.png"] == (120, 80)


def test_denoise_fetches_the_other_model_and_mixes(run: Run, here: Path, tmp_path: Path) -> None:
    files = [tiny_compact(tmp_path, seed=seed).read_bytes() for seed in (1, 2)]
    with Server() as server:
        blocks = [
            f'[[model]]\nname = "{name}"\nurl = "{server.put(f"/{name}.safetensors", content)}"\n'
            f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
            for name, content in zip(("quiet", "noisy"), files, strict=True)
        ]
        cache_dir().mkdir(parents=True)
        (cache_dir() / "catalog.toml").write_text(f'{blocks[0]}denoise_with = "noisy"\n{blocks[1]}')
        for share in ("1", "0", "0.25"):
            done = run("a.jpg", "-m", "quiet", "--denoise", share, "-o", f"{share}.png", "--fidelity", "0")
            assert (done.code, "error" in done.err) == (0, False)
        assert [request.path for request in server.requests] == ["/quiet.safetensors", "/noisy.safetensors"]
        assert run("a.jpg", "-m", "noisy", "-o", "noisy.png", "--fidelity", "0").code == 0
    made = {name: (here / f"{name}.png").read_bytes() for name in ("1", "0", "0.25", "noisy")}
    assert made["0"] == made["noisy"]
    assert len(set(made.values())) == 3


def test_without_a_connection_it_says_which_file_to_put_where(run: Run, here: Path, checkpoint: bytes) -> None:
    write_catalog("http://127.0.0.1:9/mine.pth", checkpoint)
    done = run("a.jpg", "-m", "mine", "--offline")
    assert done.code == 1
    assert done.err == (
        "error: mine: it is not on this machine, and fetching is forbidden. "
        f"Get mine.pth from http://127.0.0.1:9/mine.pth and put it into {catalog.models_dir()}.\n"
    )
    assert sizes(here).keys() == {"a.jpg", "b.png", "sub/d.webp"}


def test_wrong_bytes_fail_and_leave_nothing(run: Run, here: Path, checkpoint: bytes) -> None:
    with Server() as server:
        write_catalog(server.put("/v1/mine.pth", checkpoint[:-1] + b"!"), checkpoint)
        done = run("a.jpg", "-m", "mine")
    assert done.code == 1
    assert "error: mine.pth: cannot be fetched" in done.err
    assert not [file for file in catalog.models_dir().rglob("*") if file.is_file() and file.suffix != ".lock"]


def test_the_licence_comes_before_the_download(run: Run, checkpoint: bytes) -> None:
    with Server() as server:
        url = server.put("/v1/mine.pth", checkpoint)
        write_catalog(url, checkpoint, "commercial = false\n")
        done = run("models", "fetch", "mine")
    assert done.err.startswith("warning: mine: by me, MIT: commercial use is not allowed.")


def test_import_makes_a_model_with_a_name(run: Run, here: Path, tmp_path: Path, checkpoint: bytes) -> None:
    (tmp_path / "My Net.pth").write_bytes(checkpoint)
    done = run("models", "import", tmp_path / "My Net.pth")
    assert (done.code, done.err) == (0, "")
    assert done.out.decode().startswith("my-net  ")
    (tmp_path / "My Net.pth").unlink()
    assert run("a.jpg", "-m", "My_Net").code == 0
    assert "a_2x.jpg" in sizes(here)
    assert "my-net" in run("models", "list", "--here").out.decode()
    assert run("models", "where", "my-net").out.decode().strip() == str(catalog.imported_path("my-net"))
    assert run("models", "remove", "my-net").code == 0
    assert run("models", "show", "my-net").code == 2


def test_an_imported_file_that_the_catalog_knows_becomes_that_model(
    run: Run, tmp_path: Path, checkpoint: bytes
) -> None:
    write_catalog("http://127.0.0.1:9/known.pth", checkpoint)
    (tmp_path / "mine.pth").write_bytes(checkpoint)
    done = run("models", "import", tmp_path / "mine.pth")
    assert (done.code, done.err) == (0, "")
    assert catalog.fetch_model(catalog.find("mine"), offline=True) == catalog.models_dir() / "known.pth"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("photo", "photo: a model has this name already."),
        ("Realesrgan X4plus", "realesrgan-x4plus: a model has this name already."),
        ("../evil", "--name ../evil: a model's name may hold letters, digits, dots and hyphens only."),
        ("", "may hold letters, digits, dots and hyphens only."),
    ],
)
def test_import_refuses_names_that_cannot_be(run: Run, tmp_path: Path, name: str, sentence: str) -> None:
    done = run("models", "import", tiny_compact(tmp_path), "--name", name)
    assert done.code == 2
    assert sentence in done.err


def test_import_refuses_what_is_no_network(run: Run, tmp_path: Path) -> None:
    (tmp_path / "junk.pth").write_bytes(os.urandom(300))
    for file, code in (("junk.pth", 1), ("missing.pth", 2), (".", 2)):
        done = run("models", "import", tmp_path / file)
        assert done.code == code, done.err
        assert done.err.count("\n") == 1
    assert not catalog.imported_models()


def test_remove_leaves_what_it_may_not_delete(run: Run, tmp_path: Path) -> None:
    file = tiny_compact(tmp_path)
    for name in ("photo", "lanczos", file):
        done = run("models", "remove", name)
        assert done.code == 1
        assert "nothing can be removed" in done.err
    assert file.exists()


def test_where_is_the_folder_or_a_file(run: Run) -> None:
    assert run("models", "where").out.decode().strip() == str(catalog.models_dir())
    assert run("models", "where", "photo").out.decode().strip().endswith("photo-x4.safetensors")
    done = run("models", "where", "ultrasharp")
    assert done.code == 1
    assert "upscaler models fetch ultrasharp" in done.err


def test_a_repository_is_fetched_shown_and_removed(run: Run, tmp_path: Path) -> None:
    build_sd().save_pretrained(tmp_path / "tiny")
    with Hub() as hub:
        hub.publish("me/tiny", tmp_path / "tiny")
        assert run("models", "where", "me/tiny").code == 1
        done = run("models", "fetch", "me/tiny")
    folder = catalog.find_local(catalog.find("me/tiny"))
    assert folder is not None
    assert (done.code, done.out.decode()) == (0, f"me/tiny  {folder}\n")
    assert "me/tiny: 0.0 GB are fetched into " in done.err
    shown = run("models", "show", "me/tiny").out.decode()
    assert "repository  me/tiny" in shown
    assert str(folder) in shown
    assert run("models", "where", "me/tiny").out.decode() == f"{folder}\n"
    assert run("models", "remove", "me/tiny").out.decode() == f"{folder}: removed.\n"
    assert run("models", "where", "me/tiny").code == 1


def test_a_repository_of_one_network_is_used_like_any_network(run: Run, here: Path, tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    tiny_compact(tmp_path).rename(tmp_path / "net/tiny.safetensors")
    with Hub() as hub:
        hub.publish("me/net", tmp_path / "net")
        done = run("a.jpg", "-m", "me/net", "--offline")
        assert (done.code, "fetching is forbidden" in done.err, len(hub.server.requests)) == (1, True, 0)
        assert run("a.jpg", "-m", "me/net", "--prompt", "a cat").code == 2
        assert run("a.jpg", "-m", "me/net", "--dry-run", "--allow-pickle").code == 0
        assert run("a.jpg", "b.png", "-m", "me/net", "-o", "out/", "--devices", "cpu,cpu").code == 0
    assert run("b.png", "-m", "me/net", "--offline").code == 0
    assert {"out/a.jpg", "out/b.png", "b_upscaled.png"} <= sizes(here).keys()
    shown = run("models", "show", "me/net").out.decode()
    for word in ("repository  ", "tiny.safetensors", "RealESRGAN Compact, 2x", "MiB"):
        assert word in shown
    file = run("models", "where", "me/net").out.decode().strip()
    assert file.endswith("tiny.safetensors")
    assert run("models", "remove", "me/net").out.decode() == f"{Path(file).parent}: removed.\n"
    assert run("models", "where", "me/net").code == 1


def test_the_hub_that_the_environment_names_is_asked(tmp_path: Path) -> None:
    build_sd().save_pretrained(tmp_path / "tiny")
    command = [sys.executable, "-m", "upscaler", "models", "fetch", "me/tiny"]
    with Hub() as hub:
        hub.publish("me/tiny", tmp_path / "tiny")
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | hub.environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"warning: me/tiny: 0.0 GB are fetched into {cache_dir() / 'hub'}. Its licence: mit."
    ]


def test_what_is_made_of_others_is_fetched_and_shown_as_those(run: Run, tmp_path: Path) -> None:
    build_sd().save_pretrained(tmp_path / "tiny")
    cache_dir().mkdir(parents=True, exist_ok=True)
    (cache_dir() / "catalog.toml").write_text(
        '[[model]]\nname = "mine"\nkind = "generator"\n[model.repository]\nid = "me/tiny"\n'
        '[[model]]\nname = "mine-too"\nkind = "refine"\nenlarge_with = "photo"\ngenerator = "mine"\n'
    )
    assert "made of  photo, mine" in run("models", "show", "mine-too").out.decode()
    with Hub() as hub:
        hub.publish("me/tiny", tmp_path / "tiny")
        done = run("models", "fetch", "mine-too")
    assert [line.split()[0] for line in done.out.decode().splitlines()] == ["photo", "mine"]
    here = [line.split()[0] for line in run("models", "list", "--here").out.decode().splitlines()]
    assert {"mine", "mine-too"} <= set(here)
    assert run("models", "where", "mine-too").out.decode().count("\n") == 2


def test_show_of_a_generator_says_how_it_is_used_and_on_what_conditions(run: Run) -> None:
    text = run("models", "show", "FLUX.1-schnell").out.decode()
    for word in ("33.7 GB", "741f7c3ce8b383c54771c7003378a50191e9efe9", "gated", "1024 pixels", "36 GB", "steps"):
        assert word in text
    assert "below a revenue of one million" in run("models", "show", "sd-turbo").out.decode()


def test_import_refuses_a_diffusion_model(run: Run, tmp_path: Path) -> None:
    name = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({name: torch.zeros(8, 4, 3, 3)}, tmp_path / "sd.safetensors")
    done = run("models", "import", tmp_path / "sd.safetensors")
    assert done.code == 2
    assert "is a diffusion model" in done.err


def test_models_alone_is_wrong_usage_and_helps(run: Run) -> None:
    assert run("models").code == 2
    assert run("models", "fetch").code == 2
    assert run("models", "nonsense").code == 2
    assert run("models", "-h").code == 0


def test_list_loads_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['upscaler', 'models', 'list']; from upscaler.cli.app import main\n"
        "try: main()\nexcept SystemExit: print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False"
