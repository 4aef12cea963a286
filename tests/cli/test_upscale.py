"""`upscaler upscale`: what is read, where results go, which exit code and which sentence."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Run, sizes
from tests.pictures import sample

L = ("-m", "lanczos")


def test_result_lies_beside_its_source(run: Run, here: Path) -> None:
    done = run("a.jpg", *L, "-s", "2")
    assert (done.code, done.out) == (0, b"")
    assert done.err.startswith("a_2x.jpg  120x80  ")
    assert sizes(here)["a_2x.jpg"] == (120, 80)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["-s", "2.5"], (150, 100)),
        (["-s", "8"], (480, 320)),
        (["-s", "0.5"], (30, 20)),
        (["-s", "1"], (60, 40)),
        ([], (240, 160)),
        (["--width", "90"], (90, 60)),
        (["--height", "90"], (135, 90)),
        (["--long-edge", "100"], (100, 67)),
        (["--megapixels", "0.0054"], (90, 60)),
        (["--fit", "100x100"], (100, 67)),
        (["--fit", "30x100"], (30, 20)),
        (["--fit", "HD"], (1080, 720)),
        (["--at-least", "100x100"], (150, 100)),
        (["--at-least", "50x40"], (60, 40)),
        (["--print", "10x15cm@50"], (295, 197)),
        (["--print", "a6@72"], (420, 280)),
    ],
)
def test_size_is_the_one_asked_for(run: Run, here: Path, options: list[str], size: tuple[int, int]) -> None:
    assert run(*options, *L, "a.jpg", "-o", "x.png").code == 0
    assert sizes(here)["x.png"] == size


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.bmp"])
def test_picture_for_paper_opens_in_the_size_of_the_paper(run: Run, here: Path, name: str) -> None:
    assert run("a.jpg", *L, "--print", "10x15cm@254", "-o", name).code == 0
    with Image.open(name) as image:
        assert image.info["dpi"] == pytest.approx((254, 254), abs=0.1)
        assert image.size == (1500, 1000)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["-s", "0"], "error: --scale 0: the value must be more than 0"),
        (["-s", "nan"], "error: --scale nan: the value must be more than 0"),
        (["-s", "33"], "error: --scale 33: more than 32 is not supported."),
        (["-s", "two"], "error: Invalid value for '--scale'"),
        (["--width", "9" * 400], "error: --width 999"),
        (["--fit", "big"], "error: 'big': not a size. Write WIDTHxHEIGHT, such as 3840x2160, or hd,"),
        (["--fit", f"{'9' * 5000}x1"], "error: '999"),
        (["--fit", "0x10"], "error: --fit 0x10: the value must be more than 0"),
        (["-s", "2", "--width", "9"], "error: --scale and --width: choose one of them."),
        (["-s", "2", "--print", "a4"], "error: --scale and --print: choose one of them."),
        (
            ["--print", "60x90"],
            "error: --print 60x90: not a paper size. Write WIDTHxHEIGHT in cm, mm or in, such as 60x90cm",
        ),
        (["--print", "0x9cm"], "error: --print 0x90mm@300: not a paper size. Its sides must be more than 0"),
        (["--tile", "0"], "error: Invalid value for '--tile'"),
        (["--tile", "9"], "error: --tile 9: too small for this model"),
        (["--quality", "101"], "error: Invalid value for '--quality'"),
        (["-f", "gif"], "error: --format gif: this format cannot be written. Choose one of jpg, png,"),
        (["-m", "lancsos"], "error: --model lancsos: no model has this name"),
        (["-m", "no.pth"], "error: --model no.pth: no such file."),
        (["-m", "lancsos", "-m", "photo"], "error: --model lancsos: no model has this name"),
        (["-m", "lanczos", "-m", "photo"], "error: --model lanczos: only networks can enlarge or clean a picture"),
        (["-q", "-v"], "error: --quiet and --verbose are opposites. Choose one of them."),
        (["--workspace", "nowhere"], "error: Invalid value for '--workspace'"),
        (["--crop", "nan,0,5x5"], "error: --crop nan,0,5x5: not a part of a picture. Write X,Y,WIDTHxHEIGHT"),
        (["--crop", "60%,0,50%x5"], "error: --crop 60%,0,50%x5: 60 % and 50 % are more than the whole, 100 %."),
        (["-m", "sd-x4", "--seamless"], "error: --seamless: sd-x4 is a diffusion model, which does not repeat itself."),
        (["--max-size", "5MB", "--all-frames"], "error: --max-size and --all-frames: only single pictures are fitted."),
        (["--max-size", "5"], "error: --max-size 5: not the size of a file. Write it as 5MB, 800KB or 2.5MiB."),
        (["--nonsense"], "error: No such option: --nonsense"),
        (["-o"], "error: Option '-o' requires an argument."),
        (["-o", ""], "error: an empty name"),
        ([""], "error: an empty name"),
        (["-o", "x.xyz"], "error: x.xyz: .xyz is not a format that can be written (.jpg, .png,"),
        (["-o", "x.jpg", "-f", "png"], "error: x.jpg: its name says JPEG, but --format says PNG."),
        (["-o", "a.jpg"], "error: a.jpg: it would be overwritten by its own result. Choose another folder."),
        (["-o", "a.jpg", "--overwrite"], "error: a.jpg: it would be overwritten by its own result."),
        (["b.png", "-o", "x.png"], "error: x.png: it is one file, where a folder is needed for a.jpg, b.png."),
        (["-", "-o", "x"], "error: a.jpg, -: a pipe takes one picture. Name one file"),
        (["sub", "-o", "-"], "error: a.jpg, sub: a pipe takes one picture. Name one file"),
    ],
)
def test_wrong_usage_is_one_sentence_and_2(run: Run, here: Path, options: list[str], sentence: str) -> None:
    before = sorted(here.rglob("*"))
    done = run("a.jpg", *L, *options)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith(sentence)
    assert len(done.err.splitlines()) == 1
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.jpg"], "error: no.jpg: no such file."),
        (["no*.jpg"], "error: no*.jpg: no such file."),
        (["notes.txt"], "error: notes.txt: not a picture in any known format."),
        (["a.jpg", "-o", "b.png"], "error: b.png: exists already. Use --overwrite to replace it."),
        (["a.jpg", "--fit", "8k"], "error: a.jpg: 60x40 would become 108.0 times as large; more than 32 is not"),
        (["a.jpg", "--crop", "50,0,20x5"], "error: a.jpg: --crop 50,0,20x5: this part reaches to 70,5, beyond the"),
        (["b.png", "--max-size", "5MB"], "error: b_4x.png: PNG has no quality to lower for its size."),
        (["a.jpg", "--max-size", "300B"], "error: a_4x.jpg: even with quality 20 it takes "),
        (["a.jpg", "-o", "notes.txt/x.png"], "error: notes.txt/x.png: it cannot be written, for "),
    ],
)
def test_what_fails_is_one_sentence_and_1(run: Run, here: Path, arguments: list[str], sentence: str) -> None:
    before = sorted(here.rglob("*"))
    done = run(*arguments, *L)
    assert done.code == 1
    assert done.err.startswith(sentence)
    assert len(done.err.splitlines()) == 1
    assert sorted(here.rglob("*")) == before


def test_a_part_is_named_after_itself_and_taken_for_a_result(run: Run, here: Path) -> None:
    crop = ("--crop", "10,25%,20x50%")
    assert (
        " 60x40, of which 20x20 at 10,10 -> a_4x_crop-10-25pc-20x50pc.jpg 80x80: "
        in run("a.jpg", *L, *crop, "--dry-run").out.decode()
    )
    assert run("a.jpg", *L, *crop).code == 0
    assert sizes(here)["a_4x_crop-10-25pc-20x50pc.jpg"] == (80, 80)
    assert "a_4x_crop-10-25pc-20x50pc.jpg: skipped, a result of an earlier run." in run(".", *L, "-s", "3").err


def test_a_texture_has_other_edges_than_a_photograph(run: Run, here: Path) -> None:
    for options in ([], ["--seamless"]):
        assert run("a.jpg", *L, *options, "-o", f"{len(options)}.png").code == 0
    alone, repeated = (np.asarray(Image.open(name)).astype(int) for name in ("0.png", "1.png"))
    assert (alone != repeated)[:, 0].any()
    assert np.array_equal(alone[72:-72, 72:-72], repeated[72:-72, 72:-72])


def test_a_result_is_no_larger_than_was_asked_for(run: Run, here: Path) -> None:
    assert run("a.jpg", *L, "-o", "x.jpg").code == 0
    most = (here / "x.jpg").stat().st_size // 2
    assert run("a.jpg", *L, "-o", "y.jpg", "--max-size", f"{most}B").code == 0
    assert most * 0.9 < (here / "y.jpg").stat().st_size <= most


def test_a_part_that_one_picture_lacks_fails_for_that_one(run: Run, here: Path) -> None:
    Image.new("RGB", (90, 60)).save("large.png")
    done = run(".", *L, "-o", "out", "--crop", "55,30,30x20")
    assert done.code == 1
    assert sizes(here / "out") == {"large.png": (120, 80)}
    assert done.err.count("beyond the picture, which has 60x40 pixels") == 3


def test_bad_pictures_are_said_at_the_end_and_the_others_done(run: Run, here: Path) -> None:
    (here / "cut.jpg").write_bytes((here / "a.jpg").read_bytes()[:700])
    (here / "text.png").write_text("not a picture either")
    done = run(here, *L, "-o", "out")
    assert done.code == 1
    assert sizes(here / "out") == {"a.jpg": (240, 160), "b.png": (240, 160), "sub/d.webp": (240, 160)}
    *_, first, second, summary = done.err.splitlines()
    assert first.startswith(f"error: {here}/cut.jpg: ")
    assert second.startswith(f"error: {here}/text.png: not a picture in any known format")
    assert summary.startswith("3 made, 2 failed, 1 skipped; ")


def test_second_run_leaves_results_of_the_first_alone(run: Run, here: Path) -> None:
    run(".", *L, "-s", "2")
    first = sizes(here)
    assert sorted(first) == ["a.jpg", "a_2x.jpg", "b.png", "b_2x.png", "sub/d.webp", "sub/d_2x.webp"]
    again = run(".", *L, "-s", "2")
    assert again.code == 1
    assert "a_2x.jpg: skipped, a result of an earlier run." in again.err
    assert again.err.count("a result of an earlier run") == 3
    assert again.err.count("exists already") == 3
    assert sizes(here) == first
    assert run(".", *L, "-s", "3").code == 0
    assert "a_2x_3x.jpg" not in sizes(here)
    assert run("a_2x.jpg", *L, "-s", "3").code == 0
    assert sizes(here)["a_2x_3x.jpg"] == (360, 240)


def test_overwrite_replaces_results(run: Run, here: Path) -> None:
    run("a.jpg", *L, "-o", "x.png", "-s", "2")
    assert run("a.jpg", *L, "-o", "x.png", "-s", "3", "--overwrite").code == 0
    assert sizes(here)["x.png"] == (180, 120)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have no names")
def test_only_files_are_overwritten(run: Run, here: Path) -> None:
    shutil.copy("a.jpg", "b.png")
    (here / "link.png").symlink_to(here / "b.png")
    os.mkfifo(here / "pipe.png")
    before = (here / "b.png").read_bytes()
    for name, what in (("link.png", "a link"), ("pipe.png", "a device or a pipe")):
        done = run("a.jpg", *L, "-o", name, "--overwrite")
        assert (done.code, done.err) == (1, f"error: {name}: this is {what}, not a file. Name a file.\n")
    assert (here / "b.png").read_bytes() == before
    assert (here / "link.png").is_symlink()
    assert (here / "pipe.png").is_fifo()


def test_a_clash_of_names_refuses_those_two_and_not_the_folder(run: Run, here: Path) -> None:
    (here / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy("a.jpg", f"in/{name}")
    Image.new("RGB", (9, 9)).save("in/a.bmp")
    done = run("in", *L, "-o", "out", "-s", "2", "-f", "png")
    assert done.code == 1
    assert done.err.count("in/a.bmp and in/a.jpg: both would become out/a.png. Rename one of them.") == 2
    assert os.listdir("out") != []
    assert [path.name for path in Path("out").glob("*.png")] == ["b.png"]


def test_the_plain_filter_at_the_size_as_it_is_copies_the_pixels(run: Run, here: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save("noise.png")
    assert run("noise.png", *L, "-o", "x.png", "-s", "1").code == 0
    with Image.open("noise.png") as before, Image.open("x.png") as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))


def test_option_may_come_first_and_command_be_named(run: Run, here: Path) -> None:
    assert run("-s", "2", *L, "a.jpg").code == 0
    assert run("upscale", *L, "-s", "3", "a.jpg").code == 0
    assert {"a_2x.jpg", "a_3x.jpg"} < set(sizes(here))


@pytest.mark.parametrize("name", ["ü ß x.png", "photo[1].jpg", "-dash.png", "x\ny.png", "many.dots.in.it.png"])
def test_odd_names_are_names(run: Run, here: Path, small: Image.Image, name: str) -> None:
    small.save(here / name)
    done = run(name, *L, "-o", "out")
    assert done.code == 0
    assert sizes(here / "out") == {name: (240, 160)}
    assert len(done.err.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_name_that_is_no_text_is_a_name(run: Run, here: Path) -> None:
    os.link("a.jpg", b"bad\xff.jpg")
    done = run(".", *L, "-o", "out", "--dry-run")
    assert (done.code, done.err.splitlines()) == (0, ["notes.txt: skipped, not a picture."])
    assert b"bad\\udcff.jpg 60x40 -> out/bad\\udcff.jpg 240x160" in done.out


def test_dry_run_says_everything_and_writes_nothing(run: Run, here: Path) -> None:
    before = sorted(here.rglob("*"))
    done = run("a.jpg", "no.jpg", *L, "-s", "8", "-o", "out", "--dry-run")
    assert done.out.decode() == (
        "a.jpg 60x40 -> out/a.jpg 480x320: lanczos on cpu, fp32; "
        "2 passes: 1 tile of 76x56, then 1 tile of 136x96; at most 11 MiB for tiles\n"
    )
    assert (done.code, done.err) == (1, "error: no.jpg: no such file.\n1 of 2 pictures failed.\n")
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "end"),
    [(["--fit", "30x30"], "30x20: resized, without the model"), (["--at-least", "9x9"], "60x40: written as it is")],
)
def test_dry_run_says_when_no_model_is_needed(run: Run, here: Path, options: list[str], end: str) -> None:
    assert run("a.jpg", *L, *options, "--dry-run").out.decode().rstrip().endswith(end)


def test_quiet_says_errors_only(run: Run, here: Path) -> None:
    assert run("a.jpg", *L, "-q").err == ""
    assert run("a.jpg", *L, "-q").err == "error: a_4x.jpg: exists already. Use --overwrite to replace it.\n"


def test_verbose_says_what_is_done(run: Run, here: Path) -> None:
    done = run("a.jpg", *L, "-v")
    assert done.err.startswith("a.jpg 60x40 -> a_4x.jpg 240x160: lanczos on cpu, fp32; 1 pass: 1 tile of 76x56;")


def test_warning_is_a_line_of_its_own(run: Run, here: Path, small: Image.Image) -> None:
    small.putalpha(Image.linear_gradient("L").resize(small.size))
    small.save("clear.png")
    done = run("clear.png", *L, "-o", "x.jpg", "--progress")
    assert "warning: clear.png: JPEG has no transparency; the picture is laid on white." in done.err.splitlines()


def test_bars_are_shown_when_asked_for_and_only_then(run: Run, here: Path) -> None:
    assert "\ra.jpg   0% |" in run("a.jpg", *L, "--progress").err
    several = run("a.jpg", "b.png", *L, "--progress", "-o", "out").err
    assert "\rall     0% |" in several
    assert " of 2 pictures, " in several
    assert "\x1b[" not in several
    assert run("b.png", *L).err.startswith("b_4x.png  240x160")


def test_device_that_is_not_there_is_said_once(run: Run, here: Path) -> None:
    done = run("a.jpg", "b.png", "-o", "out", "-d", "toaster")
    assert done.code == 2
    assert done.err.startswith("error: --device toaster: no such kind of device. This machine has ")
    assert len(done.err.splitlines()) == 1


def test_broken_network_ends_the_run(run: Run, here: Path) -> None:
    (here / "junk.pth").write_bytes(os.urandom(1000))
    done = run("a.jpg", "b.png", "-o", "out", "-m", "junk.pth")
    assert done.code == 1
    assert done.err.startswith("error: junk.pth: the file cannot be read as a network")
    assert len(done.err.splitlines()) == 1


def test_source_that_vanishes_is_a_failure_of_its_own(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upscaler.inputs import discover

    format_of = discover.format_of

    def removed_afterwards(source: Path, all_frames: bool = False) -> object:
        format = format_of(source, all_frames)
        if source.name == "a.jpg":
            source.unlink(missing_ok=True)
        return format

    monkeypatch.setattr(discover, "format_of", removed_afterwards)
    done = run("a.jpg", "b.png", *L, "-o", "out")
    assert done.code == 1
    assert "error: a.jpg: no such file." in done.err
    assert sizes(here / "out") == {"b.png": (240, 160)}


def test_same_tree_in_the_output_folder(run: Run, here: Path) -> None:
    shutil.copytree("sub", "other")
    assert run(".", *L, "-o", "out", "-q").code == 0
    assert sorted(sizes(here / "out")) == ["a.jpg", "b.png", "other/d.webp", "sub/d.webp"]
    assert run("sub", "other", *L, "-o", "two", "-q").code == 0
    assert sorted(sizes(here / "two")) == ["other/d.webp", "sub/d.webp"]


def test_folders_are_filtered_and_results_named(run: Run, here: Path) -> None:
    shutil.copy("a.jpg", "sub/raw.jpg")
    done = run(
        ".", *L, "-s", "2", "-o", "out", "--exclude", "b.*", "--include", "*.jpg", "--name", "{stem}-{scale}x{suffix}"
    )
    assert done.code == 0
    assert sizes(here / "out") == {"a-2x.jpg": (120, 80), "sub/raw-2x.jpg": (120, 80)}
    done = run(".", *L, "--width", "90", "-o", "out", "--name", "{stem}-{scale}{suffix}")
    assert done.code == 2
    assert done.err.startswith("error: --name ")


def test_messages_and_the_report_say_what_was_measured_and_removed(run: Run, here: Path) -> None:
    clean = np.uint8(np.rint(255 * sample("coffee.jpg")[:160:2, :240:2]))
    noisy = np.uint8(np.clip(clean + np.random.default_rng(0).normal(0, 15, clean.shape), 0, 255))
    for name, pixels in (("in/clean.png", clean), ("in/noisy.png", noisy)):
        (here / "in").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(here / name)
    done = run("in", "-o", "out", "-m", "photo-fast", "--denoise", "auto", "-v", "--report", "report.json")
    rows = {Path(row["source"]).name: row["denoise"] for row in json.loads((here / "report.json").read_text())}
    assert rows == {"clean.png": 0, "noisy.png": 1}
    assert done.err.count("noise in the flattest places") == 2
    assert done.err.count("are removed before enlarging, by a share of up to 1.00") == 1


def test_several_models_work_in_turn_and_a_job_is_resumed(run: Run, here: Path) -> None:
    (here / "in").mkdir()
    Image.new("RGB", (24, 16), "teal").save(here / "in" / "a.png")
    chain = ("-m", "clean", "-m", "photo-fast")
    done = run("in/a.png", *chain, "--dry-run", "-v")
    assert "a_4x.png" in done.err
    assert run("in", *chain, "-o", "out").code == 0
    assert sizes(here / "out") == {"a.png": (96, 64)}
    before = (here / "out" / "a.png").stat().st_mtime_ns
    assert run("in", *chain, "-o", "out").code == 0
    assert (here / "out" / "a.png").stat().st_mtime_ns == before
    assert run("in", "-m", "photo-fast", "-o", "out").code == 0
    assert (here / "out" / "a.png").stat().st_mtime_ns != before


def test_report_has_a_row_for_every_picture(run: Run, here: Path) -> None:
    (here / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no picture")
    done = run(".", *L, "-o", "out", "--report", "r.json", "--skip-larger-than", "50x50")
    assert done.code == 1
    rows = {Path(row["source"]).name: row for row in json.loads(Path("r.json").read_text())}
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "a.jpg": "skipped",
        "b.png": "skipped",
        "d.webp": "skipped",
        "bad.png": "failed",
        "notes.txt": "skipped",
    }
    assert rows["a.jpg"]["reason"] == "it has 60x40 pixels, more than 50x50"
    assert run(".", *L, "-o", "out", "--report", "r.csv").code == 1
    with Path("r.csv").open() as file:
        made = [row for row in csv.DictReader(file) if row["outcome"] == "made"]
    assert [(row["width"], row["height"]) for row in made] == [("240", "160")] * 3
    for name in ("r.txt", "nowhere/r.json"):
        done = run(".", *L, "-o", "out", "--report", name)
        assert done.code == 2
        assert done.err.startswith(f"error: --report {name}: ")
