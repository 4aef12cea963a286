"""Prompts for pipelines: weights and any length where the text encoders are CLIP's, a check of the length elsewhere.

CLIP sees 77 tokens at a time. Longer prompts are encoded in chunks that are joined, and embeddings are multiplied by
the weights of their words, after AUTOMATIC1111's Stable Diffusion web UI. That brings them back to their mean, we to
their norm: a mean may be about zero, as it is with SDXL.
"""

from __future__ import annotations

import inspect
import logging
import re
from dataclasses import dataclass
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from ..errors import PlanError

log = logging.getLogger("upscaler")

WEIGHTED = re.compile(r"\(([^()]+):([0-2](?:\.\d*)?|\.\d+)\)", re.ASCII)
"""A part of a prompt and its weight, up to 2.99; other brackets are text."""

LONGEST = 10**6
"""Tokens: more than any model sees."""

SHOWN = 60
"""Characters, at most, of what would be lost of a prompt."""


@dataclass(frozen=True, slots=True)
class Part:
    """Words that have one weight."""

    text: str
    weight: float = 1.0


def parts(prompt: str) -> list[Part]:
    """A prompt, taken apart where weights begin and end: "a (red:1.3) boat"."""
    found, done = [], 0
    for match in WEIGHTED.finditer(prompt):
        found += [Part(prompt[done : match.start()]), Part(match[1], float(match[2]))]
        done = match.end()
    found.append(Part(prompt[done:]))
    return [part for part in found if part.text.strip()] or [Part("")]


def text_arguments(pipeline: Any, name: str, prompt: str, negative: str) -> dict[str, Any]:
    """What a pipeline is called with for a prompt, and for a negative one if there is one.

    Raises PlanError for a prompt of which the model would see only the beginning.
    """
    takes = inspect.signature(type(pipeline).__call__).parameters
    if "negative_prompt_embeds" in takes and _encoders(pipeline):
        return _embedded(pipeline, prompt, negative)
    plain = _without_weights(name, prompt)
    _refuse_too_long(pipeline, name, plain, "prompt")
    call: dict[str, Any] = {"prompt": plain}
    if negative and "negative_prompt" in takes:
        call["negative_prompt"] = _without_weights(name, negative)
        _refuse_too_long(pipeline, name, call["negative_prompt"], "negative prompt")
    return call


def unknown(pipeline: Any, prompt: str) -> list[str]:
    """Words that no tokenizer of the pipeline knows, nor in pieces: models of a small vocabulary pass over them."""
    found = [getattr(pipeline, f"tokenizer{number}", None) for number in ("", "_2", "_3", "_4")]
    tokenizers = [tokenizer for tokenizer in found if tokenizer is not None]

    def knows(tokenizer: Any, word: str) -> bool:
        return tokenizer.unk_token_id not in tokenizer(word, add_special_tokens=False).input_ids

    words = dict.fromkeys(re.findall(r"[^\W\d_]+", " ".join(part.text for part in parts(prompt))))
    return [word for word in words if tokenizers and not any(knows(tokenizer, word) for tokenizer in tokenizers)]


def _encoders(pipeline: Any) -> list[tuple[Any, Any]]:
    """Tokenizers and text encoders if all are CLIP's and a UNet is told of nothing else; else none."""
    names = [name for name in ("", "_2", "_3") if getattr(pipeline, f"text_encoder{name}", None) is not None]
    pairs = [(getattr(pipeline, f"tokenizer{name}"), getattr(pipeline, f"text_encoder{name}")) for name in names]
    are_clip = all(isinstance(encoder, CLIPTextModel | CLIPTextModelWithProjection) for _, encoder in pairs)
    return pairs if are_clip and getattr(pipeline, "unet", None) is not None else []


def _embedded(pipeline: Any, prompt: str, negative: str) -> dict[str, Any]:
    """Both as embeddings of one length, as the pipelines of Stable Diffusion and SDXL make them of short prompts."""
    positives, negatives = parts(prompt), parts(negative)
    pairs = _encoders(pipeline)
    chunks = max(_count(tokenizer, those) for tokenizer, _ in pairs for those in (positives, negatives))
    text, pooled = _encode(pipeline, pairs, positives, chunks)
    other, other_pooled = _encode(pipeline, pairs, negatives, chunks)
    if not negative and getattr(pipeline.config, "force_zeros_for_empty_prompt", False):
        other = torch.zeros_like(other)
        other_pooled = None if other_pooled is None else torch.zeros_like(other_pooled)
    call = {"prompt_embeds": text, "negative_prompt_embeds": other}
    if pooled is None or other_pooled is None:
        return call
    return call | {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": other_pooled}


def _encode(
    pipeline: Any, pairs: list[tuple[Any, Any]], those: list[Part], chunks: int
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """(1, tokens, width) of all encoders beside each other; of the first chunk, what the last of them says of all of it
    where a pipeline wants that: SDXL's, which takes the layer before the last."""
    wants_pooled = "pooled_prompt_embeds" in inspect.signature(type(pipeline).__call__).parameters
    found, pooled = [], None
    for tokenizer, encoder in pairs:
        ids, weights = _tokens(tokenizer, those, chunks)
        output = encoder(ids.to(pipeline._execution_device), output_hidden_states=wants_pooled)
        if wants_pooled and isinstance(encoder, CLIPTextModelWithProjection):
            pooled = output[0][:1]
        hidden = output.hidden_states[-2] if wants_pooled else output[0]
        found.append(_weighted(hidden, weights).reshape(1, -1, hidden.shape[-1]))
    return torch.cat(found, -1), pooled


def _weighted(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(chunks, tokens, width), multiplied by the weights of (chunks, tokens), its norm as before."""
    if (weights == 1).all():
        return hidden
    full = hidden.float()
    changed = full * weights.to(full.device)[:, :, None]
    result: torch.Tensor = (changed * (full.norm() / changed.norm())).to(hidden.dtype)
    return result


def _tokens(tokenizer: Any, those: list[Part], chunks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and weights, (chunks, length of a chunk), each chunk with its begin and end, filled up with padding."""
    length = tokenizer.model_max_length
    room = length - 2
    ids, weights = _plain_tokens(tokenizer, those)
    rows, row_weights = [], []
    for start in range(0, chunks * room, room):
        row = [tokenizer.bos_token_id, *ids[start : start + room], tokenizer.eos_token_id]
        rows.append(row + [tokenizer.pad_token_id] * (length - len(row)))
        own = [1.0, *weights[start : start + room]]
        row_weights.append(own + [1.0] * (length - len(own)))
    return torch.tensor(rows), torch.tensor(row_weights)


def _plain_tokens(tokenizer: Any, those: list[Part]) -> tuple[list[int], list[float]]:
    """Of all parts in a row, without begin and end."""
    ids: list[int] = []
    weights: list[float] = []
    for part in those:
        own = tokenizer(part.text, add_special_tokens=False, truncation=False, verbose=False).input_ids
        ids += own
        weights += [part.weight] * len(own)
    return ids, weights


def _count(tokenizer: Any, those: list[Part]) -> int:
    """Chunks that it takes."""
    room: int = tokenizer.model_max_length - 2
    return max(-(-len(_plain_tokens(tokenizer, those)[0]) // room), 1)


def _without_weights(name: str, prompt: str) -> str:
    if WEIGHTED.search(prompt):
        log.warning("%s: knows no weights of words; those in the prompt are left out.", name)
    return WEIGHTED.sub(r"\1", prompt)


def _refuse_too_long(pipeline: Any, name: str, prompt: str, what: str) -> None:
    """Of several encoders the one that sees most counts."""
    found = [getattr(pipeline, f"tokenizer{number}", None) for number in ("", "_2", "_3", "_4")]
    longest = inspect.signature(type(pipeline).__call__).parameters.get("max_sequence_length")
    most = longest.default if longest else LONGEST
    tokenizer = max(filter(None, found), key=lambda it: min(it.model_max_length, most))
    limit = min(tokenizer.model_max_length, most)
    ids = tokenizer(prompt, add_special_tokens=False, truncation=False, verbose=False).input_ids
    room = limit - _around(tokenizer)
    if len(ids) > room:
        lost = tokenizer.decode(ids[room:], skip_special_tokens=True).strip()
        shown = lost if len(lost) <= SHOWN else f"{lost[:SHOWN]}…"
        raise PlanError(
            f"the {what} has {len(ids)} tokens, {name} sees {room}, and this would be lost: {shown}. Shorten it."
        )


def _around(tokenizer: Any) -> int:
    """Tokens that stand before and after a prompt: special ones, or those of a conversation, where it is made one."""
    if not getattr(tokenizer, "chat_template", None):
        return int(tokenizer.num_special_tokens_to_add())
    nothing = [{"role": "user", "content": ""}]
    frame = tokenizer.apply_chat_template(nothing, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    return len(tokenizer(frame, add_special_tokens=False).input_ids)
