"""More tiny real pipelines of random weights, of families that are only asked for pictures from text."""

from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    Krea2Pipeline,
    Krea2Transformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    StableDiffusionPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    Gemma2Config,
    Gemma2Model,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3Model,
    Qwen3VLConfig,
    Qwen3VLModel,
)

from tests.diffusion.tiny import build_flux, build_sd, give_effect, kl, quiet

HIDDEN = 32

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_z_image(seed: int = 0) -> ZImagePipeline:
    """As Z-Image: latents and text as lists, a language model as text encoder."""
    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,),
        all_f_patch_size=(1,),
        in_channels=4,
        dim=HIDDEN,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=HIDDEN,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 64, 64],
    )
    give_effect(transformer)
    return quiet(
        ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=kl(scaling_factor=0.3611, shift_factor=0.1159, quantised=False),
            text_encoder=Qwen3Model(_qwen3(tokenizer)).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
        )
    )


def build_klein(seed: int = 0) -> Flux2KleinPipeline:
    """As FLUX.2 klein: tokens with four numbers for their place, a VAE with a batch norm."""
    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    transformer = Flux2Transformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=3 * HIDDEN,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    give_effect(transformer)
    return quiet(
        Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderKLFlux2(
                block_out_channels=(8,) * 4,
                norm_num_groups=4,
                layers_per_block=1,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4,
                latent_channels=4,
            ),
            text_encoder=Qwen3ForCausalLM(_qwen3(tokenizer, layers=28)).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
            is_distilled=True,
        )
    )


def build_sana(seed: int = 0) -> SanaSprintPipeline:
    """As SANA-Sprint: deep compression, 32 pixels a latent, two steps, told how much it is guided."""
    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_layers=1,
        num_attention_heads=2,
        attention_head_dim=16,
        num_cross_attention_heads=2,
        cross_attention_head_dim=16,
        cross_attention_dim=HIDDEN,
        caption_channels=HIDDEN,
        sample_size=8,
        patch_size=1,
        qk_norm="rms_norm_across_heads",
        guidance_embeds=True,
    )
    give_effect(transformer)
    vae = AutoencoderDC(
        latent_channels=4,
        encoder_block_out_channels=(8,) * 6,
        decoder_block_out_channels=(8,) * 6,
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        encoder_block_types="ResBlock",
        decoder_block_types="ResBlock",
        encoder_qkv_multiscales=((),) * 6,
        decoder_qkv_multiscales=((),) * 6,
        attention_head_dim=4,
        scaling_factor=0.41407,
    )
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=37,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )
    return quiet(
        SanaSprintPipeline(
            tokenizer=tokenizer,
            text_encoder=Gemma2Model(config).eval(),
            vae=vae,
            transformer=transformer,
            scheduler=SCMScheduler(prediction_type="trigflow", sigma_data=0.5),
        )
    )


def build_qwen_image(seed: int = 0) -> QwenImagePipeline:
    """As Qwen-Image: guided by computing twice, a VAE that was made for films."""
    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=16,
        out_channels=4,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=HIDDEN,
        axes_dims_rope=(4, 6, 6),
    )
    give_effect(transformer)
    text, vision = _qwen_vl(tokenizer)
    return quiet(
        QwenImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=AutoencoderKLQwenImage(
                base_dim=8,
                z_dim=4,
                dim_mult=[1, 1, 1, 1],
                num_res_blocks=1,
                temperal_downsample=[False, True, True],
                latents_mean=[0.0] * 4,
                latents_std=[1.0] * 4,
            ),
            text_encoder=Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(text_config=text, vision_config=vision)
            ).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
        )
    )


def build_krea2(seed: int = 0) -> Krea2Pipeline:
    """As Krea 2: guided whenever the guidance is above zero, settings that are lists in its index."""
    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    transformer = Krea2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=37,
        timestep_embed_dim=16,
        text_hidden_dim=HIDDEN,
        num_text_layers=2,
        text_num_attention_heads=2,
        text_num_key_value_heads=2,
        text_intermediate_size=37,
        num_layerwise_text_blocks=1,
        num_refiner_text_blocks=1,
        axes_dims_rope=(4, 6, 6),
    )
    give_effect(transformer)
    text, vision = _qwen_vl(tokenizer)
    more = {"num_position_embeddings": 16, "deepstack_visual_indexes": (0,)}
    config = Qwen3VLConfig(text_config=text | {"head_dim": 16}, vision_config=vision | more)
    return quiet(
        Krea2Pipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=build_qwen_image().vae,
            text_encoder=Qwen3VLModel(config).eval(),
            tokenizer=tokenizer,
            transformer=transformer,
            text_encoder_select_layers=(0, 1),
        )
    )


def build_schnell(seed: int = 0) -> FluxPipeline:
    """As FLUX.1 schnell: not told how much it is guided."""
    pipeline = build_flux(seed)
    transformer = FluxTransformer2DModel.from_config({**pipeline.transformer.config, "guidance_embeds": False})
    give_effect(transformer)
    return quiet(FluxPipeline(**{**pipeline.components, "transformer": transformer}))


def build_checked(objects: bool) -> StableDiffusionPipeline:
    """Stable Diffusion with a safety checker that objects to every picture, or to none."""
    vision = {"hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32}
    torch.manual_seed(0)
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(projection_dim=8, vision_config={**vision, "intermediate_size": 37, "patch_size": 16})
    )
    torch.nn.init.constant_(checker.concept_embeds_weights, -1.0 if objects else 1.0)
    parts = build_sd().components | {
        "safety_checker": checker.eval(),
        "feature_extractor": CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32),
    }
    return quiet(StableDiffusionPipeline(**parts))


def chat_tokenizer() -> Qwen2Tokenizer:
    """One token for each byte, and a frame of a conversation around a prompt."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<|endoftext|>"])}
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[], model_max_length=2048)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _qwen3(tokenizer: Qwen2Tokenizer, layers: int = 2) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=37,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
    )


def _qwen_vl(tokenizer: Qwen2Tokenizer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configurations of a Qwen that reads and sees: of what reads, and of what sees."""
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 37,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "bos_token_id": None,
        "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e6},
    }
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": HIDDEN}
    return text, vision
