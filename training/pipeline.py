"""The parts of the embedded generator, all of classes that diffusers and transformers load."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from .world import WORDS

SIDE = 256
"""Pixels of its pictures."""
CELL = 8
"""Pixels of a latent, along a side."""
CHANNELS = 6
"""Numbers in a latent: a colour, and three for what of a line is in it."""
WIDTH = 128
"""Numbers that stand for a word."""
LONGEST = 32
"""Words of a prompt that are seen at once; captions have up to 20."""
SPECIAL = ("<pad>", "<unknown>", "<begin>", "<end>")


def tokenizer() -> PreTrainedTokenizerFast:
    """Makes a token for each word of the scenes, by which its synonyms are replaced, and one for all others."""
    numbers = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    pad, unknown, begin, end = SPECIAL
    words = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    same = [(rf"\b({'|'.join(synonyms)})\b", word) for word, synonyms in WORDS.items() if synonyms]
    replaced = [normalizers.Replace(Regex(pattern), word) for pattern, word in same]
    words.normalizer = normalizers.Sequence([normalizers.Lowercase(), *replaced])
    words.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^\p{L}]+"), "removed")
    words.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, numbers[begin]), (end, numbers[end])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
        model_max_length=LONGEST,
    )


def autoencoder() -> AutoencoderTiny:
    """Makes what turns pictures to latents and back: that of TAESD (Bohan 2023, repository madebyollin/taesd), half as
    wide.

    It has no norms and no attention, so a piece of a picture teaches as much as a picture. Nearly all is done at half
    of the size or less: at full size, a convolution costs as much as all of the blocks of 64x64.
    """
    made = AutoencoderTiny(
        latent_channels=CHANNELS,
        encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4,
        num_encoder_blocks=(0, 0, 2, 3),
        num_decoder_blocks=(4, 4, 1, 0),
    )
    _pass_on(made)
    return made


def _pass_on(made: AutoencoderTiny) -> None:
    """Has it begin with the mean colours of cells, passed on through the first three features of every layer: from
    random weights alone it did not tell yellow from blue after 700 steps."""
    blocks = [layer for layer in made.modules() if isinstance(layer, AutoencoderTinyBlock)]
    inside = {layer for block in blocks for layer in block.conv}
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            if layer not in inside:
                mean = torch.tensor([[0, 0, 0], [0, 1, 1], [0, 1, 1]]) / 4  # of the two by two pixels that become one
                as_it_is = torch.tensor([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
                layer.weight.data[:3] = 0
                for feature in range(3):
                    layer.weight.data[feature, feature] = mean if layer.stride == (2, 2) else as_it_is
    for block in blocks:  # they add little at first, and nothing to the colours
        block.conv[-1].weight.data *= 0.2
        block.conv[-1].weight.data[:3] = 0
    to_latents, from_latents = made.encoder.layers[-1], made.decoder.layers[0]
    to_latents.weight.data[:3] *= 4  # 0..1 becomes -2..2, which has about the spread of noise
    to_latents.weight.data[3:] *= 0.3
    to_latents.bias.data[:3] = -2
    from_latents.weight.data[:3] /= 4
    from_latents.bias.data[:3] = 0.5


def text_encoder(words: PreTrainedTokenizerFast) -> CLIPTextModel:
    """Makes the encoder of text, which is learned together with the denoiser and not CLIP's."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=max(words.get_vocab().values()) + 1,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=LONGEST,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def denoiser() -> UNet2DConditionModel:
    """Makes that of Stable Diffusion with three levels; only the lowest, of 32 pixels a place, asks for words: where
    things are and what colour they have is settled there, the upper ones make their outlines."""
    return UNet2DConditionModel(
        sample_size=SIDE // CELL,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=(32, 80, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def scheduler() -> DDIMScheduler:
    """Makes one of velocities (Salimans and Ho 2022), down to noise without any signal (Lin et al. 2023), so that a
    whole picture may be dark or light."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,
        clip_sample=False,
    )


class Heeding(nn.Module):
    """The denoiser and the text encoder that it heeds, which learn together."""

    def __init__(self, words: PreTrainedTokenizerFast) -> None:
        super().__init__()
        self.text = text_encoder(words)
        self.unet = denoiser()
        # Learning through the fused attention of processors takes longer than all convolutions do.
        self.unet.set_attn_processor(AttnProcessor())

    def forward(self, latents: torch.Tensor, times: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """Returns velocities, as the latents (count, CHANNELS, side, side); `ids` are (count, LONGEST)."""
        found: torch.Tensor = self.unet(latents, times, self.text(ids).last_hidden_state).sample
        return found


def pipeline(coder: AutoencoderTiny, heeding: Heeding, words: PreTrainedTokenizerFast) -> StableDiffusionPipeline:
    """Puts these parts together, without a safety checker: its world holds nothing that one would object to."""
    return StableDiffusionPipeline(
        vae=coder,
        text_encoder=heeding.text,
        tokenizer=words,
        unet=heeding.unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def write(made: StableDiffusionPipeline, folder: Path) -> None:
    """Writes it as diffusers loads it, in float16."""
    made.vae.register_to_config(_name_or_path="")  # it would tell where the autoencoder was loaded from
    made.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
