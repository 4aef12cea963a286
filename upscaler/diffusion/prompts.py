"""Prompts for pipelines: weights and any length where the text encoders are CLIP's, a check of the length elsewhere.

CLIP sees 77 tokens at a time. Longer prompts are encoded in chunks that are joined, and embeddings are multiplied by
the weights of their words, as in AUTOMATIC1111's Stable Diffusion web UI. The web UI rescales to the
earlier mean; this module rescales to the earlier norm, because the mean may be about zero, as it is with SDXL.
"""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from ..errors import PlanError
from .pipelines import traits

log = logging.getLogger("upscaler")

WEIGHTED = re.compile(r"\(([^()]+):([0-2](?:\.\d*)?|\.\d+)\)", re.ASCII)
"""A part of a prompt and its weight, up to 2.99; other brackets are text."""

LONGEST = 10**6
"""Tokens: more than any model sees."""

SHOWN = 60
"""The most characters that an error shows of the end of a prompt that would be lost."""

Chunk: TypeAlias = list[tuple[int, float]]
"""Tokens with their weights, as many as an encoder sees at a time."""

ENCODERS = ("", "_2", "_3", "_4")
"""Endings of the names of a pipeline's tokenizers and text encoders."""


@dataclass(frozen=True, slots=True)
class WeightedText:
    """Words of a prompt that have one weight."""

    text: str
    weight: float = 1.0


def split_weights(prompt: str) -> list[WeightedText]:
    """Splits a prompt into parts where weights begin and end: "a (red:1.3) boat" has three."""
    found, done = [], 0
    for match in WEIGHTED.finditer(prompt):
        found += [WeightedText(prompt[done : match.start()]), WeightedText(match[1], float(match[2]))]
        done = match.end()
    found.append(WeightedText(prompt[done:]))
    return [part for part in found if part.text.strip()] or [WeightedText("")]


def text_arguments(pipeline: Any, name: str, prompt: str, negative: str) -> dict[str, Any]:
    """Returns the arguments of a pipeline's call for a prompt and for a negative one, either of which may be empty.

    Raises PlanError for a prompt of which the model would see only the beginning.
    """
    takes = inspect.signature(type(pipeline).__call__).parameters
    is_known = ("pooled_prompt_embeds" in takes) == (traits(pipeline).pooled is not None)
    if is_known and "negative_prompt_embeds" in takes and (encoders := _clip_encoders(pipeline)):
        return _embed(pipeline, encoders, prompt, negative)
    call: dict[str, Any] = {"prompt": _plain_text(pipeline, name, prompt, "prompt")}
    if negative and "negative_prompt" in takes:
        call["negative_prompt"] = _plain_text(pipeline, name, negative, "negative prompt")
    return call


def unknown_words(pipeline: Any, prompt: str) -> list[str]:
    """Returns the words that no tokenizer of the pipeline knows, not even in pieces; the model ignores them."""
    tokenizers = _tokenizers(pipeline)
    words = dict.fromkeys(re.findall(r"[^\W\d_]+", " ".join(part.text for part in split_weights(prompt))))
    return [
        word
        for word in words
        if tokenizers and all(own.unk_token_id in own(word, add_special_tokens=False).input_ids for own in tokenizers)
    ]


def _tokenizers(pipeline: Any) -> list[Any]:
    found = [getattr(pipeline, f"tokenizer{ending}", None) for ending in ENCODERS]
    return [tokenizer for tokenizer in found if tokenizer is not None]


def _clip_encoders(pipeline: Any) -> list[tuple[Any, Any]]:
    """Returns pairs of a tokenizer and a text encoder, if all encoders are CLIP's and feed a UNet; else none."""
    pairs = [
        (getattr(pipeline, f"tokenizer{ending}"), encoder)
        for ending in ENCODERS
        if (encoder := getattr(pipeline, f"text_encoder{ending}", None)) is not None
    ]
    are_clip = all(isinstance(encoder, CLIPTextModel | CLIPTextModelWithProjection) for _, encoder in pairs)
    return pairs if are_clip and getattr(pipeline, "unet", None) is not None else []


def _embed(pipeline: Any, encoders: list[tuple[Any, Any]], prompt: str, negative: str) -> dict[str, Any]:
    """Embeds both prompts at one length; the embeddings of short ones equal those that the pipeline itself makes."""
    texts = [[_tokenize(tokenizer, split_weights(text)) for tokenizer, _ in encoders] for text in (prompt, negative)]
    most = max(len(chunks) for text in texts for chunks in text)
    (text, pooled), (other, other_pooled) = (_encode(pipeline, encoders, chunks, most) for chunks in texts)
    if not negative and getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        other, other_pooled = torch.zeros_like(other), None if pooled is None else torch.zeros_like(pooled)
    call = {"prompt_embeds": text, "negative_prompt_embeds": other}
    if pooled is None or other_pooled is None:
        return call
    return call | {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": other_pooled}


def _encode(
    pipeline: Any, encoders: list[tuple[Any, Any]], text: list[list[Chunk]], most: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Returns embeddings (1, tokens, width) of `most` chunks by all encoders side by side, and the pooled output (1,
    width) of the last encoder that has one, for the first chunk; None where the pipeline takes none."""
    found, pooled, outputs = [], None, traits(pipeline)
    for (tokenizer, encoder), chunks in zip(encoders, text, strict=True):
        ids, weights = torch.tensor(chunks + _tokenize(tokenizer, []) * (most - len(chunks))).unbind(-1)
        ids = ids.long().to(pipeline._execution_device)
        output = encoder(ids, output_hidden_states=outputs.layer is not None)
        if outputs.pooled is not None and hasattr(output, outputs.pooled):
            pooled = output[outputs.pooled][:1]
        hidden = output.last_hidden_state if outputs.layer is None else output.hidden_states[outputs.layer]
        found.append(_apply_weights(hidden, weights).reshape(1, -1, hidden.shape[-1]))
    return torch.cat(found, -1), pooled


def _apply_weights(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Multiplies embeddings (chunks, tokens, width) by the weights (chunks, tokens), and scales to the same norm."""
    if (weights == 1).all():
        return hidden
    full = hidden.float()
    changed = full * weights.to(full.device)[:, :, None]
    result: torch.Tensor = (changed * (full.norm() / changed.norm())).to(hidden.dtype)
    return result


def _tokenize(tokenizer: Any, parts: list[WeightedText]) -> list[Chunk]:
    """Returns one chunk or more, each with its begin and end tokens, filled up with padding."""
    length = tokenizer.model_max_length
    own = [
        (token, part.weight)
        for part in parts
        for token in tokenizer(part.text, add_special_tokens=False, truncation=False, verbose=False).input_ids
    ]
    chunks = []
    for start in range(0, max(len(own), 1), length - 2):
        chunk = [(tokenizer.bos_token_id, 1.0), *own[start : start + length - 2], (tokenizer.eos_token_id, 1.0)]
        chunks.append(chunk + [(tokenizer.pad_token_id, 1.0)] * (length - len(chunk)))
    return chunks


def _plain_text(pipeline: Any, name: str, prompt: str, what: str) -> str:
    """Removes weights from a prompt, and warns of it. Raises PlanError if the pipeline would cut the prompt: the
    tokenizer that sees most counts."""
    if WEIGHTED.search(prompt):
        log.warning("%s: this model knows no weights of words; those in the prompt are left out.", name)
    prompt = WEIGHTED.sub(r"\1", prompt)
    longest = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
    most = longest.default if longest else LONGEST
    tokenizer = max(_tokenizers(pipeline), key=lambda each: min(each.model_max_length, most))
    ids = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    room = min(tokenizer.model_max_length, most) - _count_added(tokenizer)
    if len(ids) > room:
        lost = tokenizer.decode(ids[room:], skip_special_tokens=True).strip()
        shown = lost if len(lost) <= SHOWN else f"{lost[:SHOWN]}…"
        raise PlanError(
            f"the {what} has {len(ids)} tokens, {name} sees {room}, and this would be lost: {shown}. Shorten it."
        )
    return prompt


def _count_added(tokenizer: Any) -> int:
    """Counts tokens around a prompt: special ones, or those of the conversation that some models make of it."""
    if not getattr(tokenizer, "chat_template", None):
        return int(tokenizer.num_special_tokens_to_add())
    nothing = [{"role": "user", "content": ""}]
    added = tokenizer.apply_chat_template(nothing, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return len(tokenizer(added, add_special_tokens=False).input_ids)
