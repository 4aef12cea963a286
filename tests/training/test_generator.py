"""The embedded generator's training: twenty steps of each part give a folder that the package loads."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from training import generator, pipeline
from training.world import WORDS
from upscaler import TextToImage


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["generator", *map(str, arguments), "--workers", "0"])
    generator.main()


def test_synonyms_share_a_token_and_other_words_have_none() -> None:
    words = pipeline.tokenizer()
    for word, synonyms in WORDS.items():
        own = words(word, add_special_tokens=False).input_ids
        assert len(own) == 1, word
        assert own[0] != words.unk_token_id, word
        for synonym in synonyms:
            assert words(synonym.upper(), add_special_tokens=False).input_ids == own, synonym
    assert words("zeppelin", add_special_tokens=False).input_ids == [words.unk_token_id]


def test_training_gives_a_pipeline_that_the_package_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"POOL": 8, "PIECES": 2, "BATCH": 4, "FIRST": 8, "MOST": 16}.items():
        monkeypatch.setattr(generator, name, value)
    monkeypatch.setattr(generator, "PROMPTS", generator.PROMPTS[:1])
    torch.set_num_threads(1)
    run(monkeypatch, "autoencoder", "--out", tmp_path, "--steps", 20)
    assert json.loads((tmp_path / "vae" / "config.json").read_text())["scaling_factor"] > 0
    run(monkeypatch, "denoiser", "--out", tmp_path, "--steps", 10)
    first = (tmp_path / "generator" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    run(monkeypatch, "denoiser", "--out", tmp_path, "--steps", 20)  # which goes on from the checkpoint
    assert (tmp_path / "generator" / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() != first
    with TextToImage(str(tmp_path / "generator"), device="cpu") as made:
        picture = made("a red circle on a blue ground", steps=2, seed=1)
        assert picture.pixels.shape == (generator.SIDE, generator.SIDE, 3)
        assert np.array_equal(picture.pixels, made("a red circle on a blue ground", steps=2, seed=1).pixels)
