"""Tiny real diffusion pipelines of random weights, about a megabyte each, made without a hub.

Numbers of blocks, and with them all factors and size rules, are those of the published models; only widths are small.
"""

from typing import TypeVar

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SanaPipeline,
    SanaTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionLatentUpscalePipeline,
    StableDiffusionPipeline,
    StableDiffusionUpscalePipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

Pipeline = TypeVar("Pipeline", bound=DiffusionPipeline)

HIDDEN = 32
"""Width of every CLIP text encoder."""

T5_HIDDEN = 2 * HIDDEN
"""Width of T5, which SD3 fills with two of CLIP side by side."""

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
"""Of Stable Diffusion."""


def build_x4(seed: int = 0) -> StableDiffusionUpscalePipeline:
    """As stabilityai/stable-diffusion-x4-upscaler: the UNet sees the small picture too, the VAE's factor is 4."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.0001, "beta_end": 0.02}
    unet = UNet2DConditionModel(
        sample_size=128,
        in_channels=7,
        out_channels=4,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=HIDDEN,
        attention_head_dim=4,
        use_linear_projection=True,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
        up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
        only_cross_attention=(True, True, True, False),
        num_class_embeds=1000,
    )
    return quiet(
        StableDiffusionUpscalePipeline(
            vae=kl(blocks=3, sample_size=256, scaling_factor=0.08333),
            text_encoder=text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=unet,
            low_res_scheduler=DDPMScheduler(**betas),
            scheduler=DDIMScheduler(
                **betas, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction"
            ),
            max_noise_level=350,
        )
    )


def build_x2(seed: int = 0) -> StableDiffusionLatentUpscalePipeline:
    """As stabilityai/sd-x2-latent-upscaler: a UNet of K blocks, preconditioned as in k-diffusion."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    unet = UNet2DConditionModel(
        act_fn="gelu",
        attention_head_dim=4,
        norm_num_groups=None,
        block_out_channels=(32, 32, 64, 64),
        layers_per_block=2,
        time_cond_proj_dim=128 + HIDDEN,
        conv_in_kernel=1,
        conv_out_kernel=1,
        cross_attention_dim=HIDDEN,
        in_channels=8,
        out_channels=5,
        mid_block_type=None,
        only_cross_attention=False,
        down_block_types=("KDownBlock2D", *["KCrossAttnDownBlock2D"] * 3),
        up_block_types=(*["KCrossAttnUpBlock2D"] * 3, "KUpBlock2D"),
        resnet_time_scale_shift="scale_shift",
        time_embedding_type="fourier",
        timestep_post_act="gelu",
        sample_size=128,
    )
    return quiet(
        StableDiffusionLatentUpscalePipeline(
            vae=kl(),
            text_encoder=text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=unet,
            scheduler=EulerDiscreteScheduler(**BETAS, prediction_type="sample"),
        )
    )


def build_sd(seed: int = 0) -> StableDiffusionPipeline:
    """As Stable Diffusion 1.5, text to image; `StableDiffusionImg2ImgPipeline(**pipeline.components)` for the other."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    return quiet(
        StableDiffusionPipeline(
            vae=kl(),
            text_encoder=text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=_sd_unet(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        )
    )


def build_sdxl(seed: int = 0) -> StableDiffusionXLPipeline:
    """As SDXL: two text encoders, sizes as conditions."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    unet = UNet2DConditionModel(
        sample_size=128,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=2 * HIDDEN,
        attention_head_dim=(2, 4, 4),
        use_linear_projection=True,
        down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 2),
        up_block_types=(*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"),
        transformer_layers_per_block=(1, 1, 2),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + HIDDEN,
    )
    return quiet(
        StableDiffusionXLPipeline(
            vae=kl(sample_size=1024, scaling_factor=0.13025),
            text_encoder=text_encoder(tokenizer),
            text_encoder_2=text_encoder(tokenizer, projection=True),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=unet,
            scheduler=EulerDiscreteScheduler(**BETAS, timestep_spacing="leading", steps_offset=1),
            add_watermarker=False,
        )
    )


def build_controlnet(unet: UNet2DConditionModel, seed: int = 0) -> ControlNetModel:
    """A tile ControlNet for a UNet. What it adds is zero when new; here it is random, so that it has an effect."""
    torch.manual_seed(seed)
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 8, 8))
    zero = [*network.controlnet_down_blocks, network.controlnet_mid_block, network.controlnet_cond_embedding.conv_out]
    for convolution in zero:
        torch.nn.init.normal_(convolution.weight, std=0.05)
    return network.eval()


def build_sd3(seed: int = 0) -> StableDiffusion3Pipeline:
    """As Stable Diffusion 3: a transformer on latents of four dimensions, a table of positions."""
    torch.manual_seed(seed)
    tokenizer, t5_tokenizer = byte_tokenizer(), T5Tokenizer()
    transformer = SD3Transformer2DModel(
        sample_size=32,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        joint_attention_dim=T5_HIDDEN,
        caption_projection_dim=32,
        pooled_projection_dim=2 * HIDDEN,
        pos_embed_max_size=48,
    )
    give_effect(transformer)
    return quiet(
        StableDiffusion3Pipeline(
            vae=kl(scaling_factor=1.5305, shift_factor=0.0609, quantised=False),
            text_encoder=text_encoder(tokenizer, projection=True),
            text_encoder_2=text_encoder(tokenizer, projection=True),
            text_encoder_3=t5_encoder(t5_tokenizer),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            tokenizer_3=t5_tokenizer,
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    )


def build_flux(seed: int = 0) -> FluxPipeline:
    """As FLUX.1: a transformer on latents packed two by two into tokens, with rotary positions."""
    torch.manual_seed(seed)
    tokenizer, t5_tokenizer = byte_tokenizer(), T5Tokenizer()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=T5_HIDDEN,
        pooled_projection_dim=HIDDEN,
        axes_dims_rope=(4, 6, 6),
        guidance_embeds=True,
    )
    give_effect(transformer)
    return quiet(
        FluxPipeline(
            vae=kl(scaling_factor=0.3611, shift_factor=0.1159, quantised=False),
            text_encoder=text_encoder(tokenizer),
            text_encoder_2=t5_encoder(t5_tokenizer),
            tokenizer=tokenizer,
            tokenizer_2=t5_tokenizer,
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(),
        )
    )


def build_pixart(seed: int = 0) -> PixArtSigmaPipeline:
    """As PixArt-Sigma: latents of four dimensions, positions stretched over the picture, a variance predicted too."""
    torch.manual_seed(seed)
    tokenizer = T5Tokenizer()
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        cross_attention_dim=16,
        norm_num_groups=4,
        sample_size=32,
        caption_channels=T5_HIDDEN,
        use_additional_conditions=False,
    )
    give_effect(transformer)
    return quiet(
        PixArtSigmaPipeline(
            tokenizer=tokenizer,
            text_encoder=t5_encoder(tokenizer),
            vae=kl(scaling_factor=0.13025),
            transformer=transformer,
            scheduler=DDIMScheduler(**BETAS, clip_sample=False),
        )
    )


def build_sana(seed: int = 0) -> SanaPipeline:
    """As Sana: no positions, linear attention. Has no text encoder: give it embeddings HIDDEN wide."""
    torch.manual_seed(seed)
    transformer = SanaTransformer2DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_cross_attention_heads=2,
        cross_attention_head_dim=8,
        cross_attention_dim=16,
        caption_channels=HIDDEN,
    )
    give_effect(transformer)
    return quiet(
        SanaPipeline(
            tokenizer=None,
            text_encoder=None,
            vae=dc(),
            transformer=transformer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    )


def build_z_image(seed: int = 0) -> ZImagePipeline:
    """As Z-Image: calls with lists of pictures and texts. Has no text encoder: give it embeddings HIDDEN wide."""
    torch.manual_seed(seed)
    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=32,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=HIDDEN,
        axes_dims=[4, 6, 6],
        axes_lens=[1024, 512, 512],
    )
    give_effect(transformer)
    return quiet(
        ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=kl(scaling_factor=0.3611, shift_factor=0.1159, quantised=False),
            text_encoder=None,
            tokenizer=None,
            transformer=transformer,
        )
    )


def build_flux2(seed: int = 0) -> Flux2KleinPipeline:
    """As FLUX.2 klein: rotary positions of four axes. Has no text encoder: give it embeddings HIDDEN wide."""
    torch.manual_seed(seed)
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=HIDDEN,
        timestep_guidance_channels=16,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    give_effect(transformer)
    return quiet(
        Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=kl_flux2(),
            text_encoder=None,
            tokenizer=None,
            transformer=transformer,
            is_distilled=True,
        )
    )


def kl(
    blocks: int = 4,
    sample_size: int = 512,
    scaling_factor: float = 0.18215,
    shift_factor: float | None = None,
    quantised: bool = True,
    seed: int = 0,
) -> AutoencoderKL:
    """A VAE with group norms and attention in the middle; one block fewer halves its factor, 8 for four blocks."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(8,) * blocks,
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        latent_channels=4,
        sample_size=sample_size,
        scaling_factor=scaling_factor,
        shift_factor=shift_factor,
        use_quant_conv=quantised,
        use_post_quant_conv=quantised,
    ).eval()


def taesd(seed: int = 0) -> AutoencoderTiny:
    """As TAESD: convolutions and nothing else, factor 8."""
    torch.manual_seed(seed)
    return AutoencoderTiny(
        encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, latent_channels=4
    ).eval()


def kl_flux2(seed: int = 0) -> AutoencoderKLFlux2:
    """As FLUX.2's: the other one's architecture, without factors."""
    torch.manual_seed(seed)
    return AutoencoderKLFlux2(
        block_out_channels=(8,) * 4, norm_num_groups=4, layers_per_block=1, latent_channels=4
    ).eval()


def dc(seed: int = 0) -> AutoencoderDC:
    """As Sana's, with attention between all places at two of its resolutions; factor 8, its own 32."""
    torch.manual_seed(seed)
    kinds = ("ResBlock", "ResBlock", "EfficientViTBlock", "EfficientViTBlock")
    return AutoencoderDC(
        latent_channels=4,
        attention_head_dim=4,
        encoder_block_types=kinds,
        decoder_block_types=kinds,
        encoder_block_out_channels=(8,) * 4,
        decoder_block_out_channels=(8,) * 4,
        encoder_layers_per_block=(1,) * 4,
        decoder_layers_per_block=(1,) * 4,
        encoder_qkv_multiscales=((), (), (3,), (3,)),
        decoder_qkv_multiscales=((), (), (3,), (3,)),
        scaling_factor=0.41407,
    ).eval()


def byte_tokenizer() -> CLIPTokenizer:
    """One token for each byte of any text: CLIP's alphabet of bytes, as they are and as the end of a word."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    tokens = [*alphabet, *[token + "</w>" for token in alphabet], "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def text_encoder(tokenizer: CLIPTokenizer, projection: bool = False) -> CLIPTextModel | CLIPTextModelWithProjection:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        projection_dim=HIDDEN,
        hidden_act="gelu",
    )
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def t5_encoder(tokenizer: T5Tokenizer) -> T5EncoderModel:
    config = T5Config(vocab_size=len(tokenizer), d_model=T5_HIDDEN, d_kv=8, d_ff=37, num_layers=1, num_heads=4)
    return T5EncoderModel(config).eval()


def quiet(pipeline: Pipeline) -> Pipeline:
    """The pipeline without its progress bar, in evaluation mode."""
    pipeline.set_progress_bar_config(disable=True)
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            component.eval()
    return pipeline


def _sd_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=HIDDEN,
        attention_head_dim=4,
        down_block_types=(*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"),
        up_block_types=("UpBlock2D", *["CrossAttnUpBlock2D"] * 3),
    )


def give_effect(transformer: torch.nn.Module) -> None:
    """Random weights where a new transformer has zeros, so that it predicts something."""
    for weight in transformer.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.05)
