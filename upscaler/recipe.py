"""Everything that made a generated picture, carried by the picture itself, so that it can be made again.

It is written as texts, which PNG holds, and as XMP, which JPEG, WebP, TIFF and AVIF hold; the codecs see to both.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import Any
from xml.sax.saxutils import escape

from . import __version__, catalog
from .catalog import Model
from .errors import PictureError
from .picture import Metadata, Picture
from .tiling import Size

FORM = 1
"""Of what is written; later forms are refused."""

KEY = "upscaler"
"""Of the text in a PNG that holds the recipe."""

PARAMETERS = "parameters"
"""Of the text in a PNG that AUTOMATIC1111's Stable Diffusion web UI writes and that others read."""

LIBRARIES = ("torch", "diffusers", "transformers")

_BEGIN = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
_END = "</rdf:RDF></x:xmpmeta>"
_OWN = re.compile(
    rb'<rdf:Description rdf:about="" xmlns:upscaler="upscaler:ns:recipe/">'
    rb"<upscaler:recipe>([^<]*)</upscaler:recipe></rdf:Description>"
)
_IN_XMP = re.compile(rb"<upscaler:recipe>([^<]*)</upscaler:recipe>|\bupscaler:recipe=[\"']([^\"'<]*)")
"""As an element or as an attribute: programs that edit XMP turn one into the other."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What made a picture, as JSON can hold it; nothing in it says when, or on which machine."""

    parameters: Mapping[str, Any]
    """The fields of `text2image.parameters.GenerationParameters`; those that were left open, such as seed, steps and
    guidance, have the values that were used."""
    prompt: str
    """As the model was given it, in the words of the style."""
    negative: str
    generator: Mapping[str, Any]
    """Its settings: "model", as `catalog.find` takes it, "weights", a hash or a commit for each, and others."""
    files: Mapping[str, str]
    """The hashes of those that the wish names: the picture that was begun with, LoRAs."""
    generated: Size
    """Of the picture before it was enlarged."""
    upscaler: Mapping[str, Any] | None
    """Settings likewise, and "target", as of `target.Target`; None: it was not enlarged."""
    size: Size
    """Of the picture when it was made."""
    versions: Mapping[str, str]

    def infotext(self) -> str:
        """In AUTOMATIC1111's form: prompt, negative prompt, and a line of settings, the names of which its readers know
        (modules/infotext_utils.py there, pnginfo.js of ComfyUI)."""
        parameters, model = self.parameters, str(self.generator["model"])
        settings: dict[str, object] = {
            "Steps": parameters.get("steps"),
            "Sampler": self.generator.get("scheduler"),
            "CFG scale": parameters.get("guidance"),
            "Seed": parameters.get("seed"),
            "Size": self.generated,
            "Model hash": self._hash(),
            "Model": PurePath(model).name.removesuffix(".safetensors"),
            "Denoising strength": parameters.get("strength") if parameters.get("image") else None,
        }
        if self.upscaler is not None:
            settings["Postprocess upscale to"] = self.size
            settings["Postprocess upscaler"] = PurePath(str(self.upscaler["model"])).name
        settings["Version"] = f"upscaler {self.versions.get('upscaler', '')}".rstrip()
        line = ", ".join(f"{name}: {_quoted(value)}" for name, value in settings.items() if value is not None)
        prompt, negative = (" ".join(text.split()) for text in (self.prompt, self.negative))
        return f"{prompt}\nNegative prompt: {negative}\n{line}"

    def to_json(self) -> str:
        """ASCII, on one line."""
        return json.dumps({"form": FORM, **asdict(self)})

    def _hash(self) -> str | None:
        """Of a model in one file, the first ten digits: what sites find it by. Others have no such hash."""
        weights = self.generator.get("weights")
        return str(weights[0])[:10] if weights and str(self.generator["model"]).endswith(".safetensors") else None


def written(picture: Picture, recipe: Recipe) -> Picture:
    """The picture with its recipe, in place of one that it may have had; other metadata stay."""
    metadata, text = picture.metadata, recipe.to_json()
    comments = {**metadata.comments, PARAMETERS: recipe.infotext(), KEY: text}
    own = (
        '<rdf:Description rdf:about="" xmlns:upscaler="upscaler:ns:recipe/">'
        f"<upscaler:recipe>{escape(text)}</upscaler:recipe></rdf:Description>"
    ).encode()
    others = _OWN.sub(b"", metadata.xmp or b"")
    before, end, after = others.rpartition(b"</rdf:RDF>")
    xmp = before + own + end + after if end else f"{_BEGIN}{own.decode()}{_END}".encode()
    return replace(picture, metadata=replace(metadata, comments=comments, xmp=xmp))


def of(picture: Picture) -> Recipe | None:
    """What made a picture, if that is written in it. Raises PictureError when it cannot be understood."""
    text = _text_in(picture.metadata)
    if text is None:
        return None
    try:
        return _read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PictureError(
            f"{picture.name}: its recipe cannot be read ({error}). Take the picture as upscaler has written it."
        ) from error
    except _LaterForm as error:
        raise PictureError(
            f"{picture.name}: its recipe is of upscaler {error}, a later one. Update upscaler."
        ) from error


def differences(old: Recipe, new: Recipe) -> list[str]:
    """What of two recipes that ask for the same may make their pictures differ, each as part of a sentence."""
    found = [
        f"the weights of {after['model']} are others"
        for before, after in ((old.generator, new.generator), (old.upscaler, new.upscaler))
        if before is not None and after is not None and before.get("weights") != after.get("weights")
    ]
    found += [f"{name} is another file" for name, hash in old.files.items() if new.files.get(name) != hash]
    found += [
        f"{name} is {new.versions.get(name) or 'not there'} instead of {number}"
        for name, number in old.versions.items()
        if new.versions.get(name) != number
    ]
    return found


def reference(model: Model) -> str:
    """By what `catalog.find` finds it."""
    if any(model == known for known in catalog.models()):
        return model.name
    if model.repository is not None:
        revision = model.repository.revision
        return model.repository.id + (f"@{revision}" if revision else "")
    if model.download is not None:
        return model.download.urls[0] + (f"#sha256={model.download.sha256}" if model.download.sha256 else "")
    return model.name if model.file is None else str(model.file)


def versions() -> dict[str, str]:
    """Of this program and of the libraries on which its results depend."""
    return {"upscaler": __version__, **{name: _version(name) for name in LIBRARIES}}


class _LaterForm(Exception):
    """The version that wrote it."""


def _text_in(metadata: Metadata) -> str | None:
    """A text of that key may be another program's, and no recipe."""
    text = metadata.comments.get(KEY, "")
    if text.startswith("{"):
        return text
    found = _IN_XMP.search(metadata.xmp or b"")
    return None if found is None else html.unescape((found[1] or found[2]).decode("utf-8", "replace"))


def _read(content: dict[str, Any]) -> Recipe:
    """Raises ValueError, KeyError or TypeError for what is none."""
    if content["form"] > FORM:
        raise _LaterForm(content["versions"]["upscaler"])
    recipe = Recipe(
        dict(content["parameters"]),
        str(content["prompt"]),
        str(content["negative"]),
        dict(content["generator"]),
        dict(content["files"]),
        _size(content["generated"]),
        None if content["upscaler"] is None else dict(content["upscaler"]),
        _size(content["size"]),
        dict(content["versions"]),
    )
    for settings in (recipe.generator, recipe.upscaler):
        if settings is not None and not isinstance(settings["model"], str):
            raise ValueError("a model without a name")
    return recipe


def _size(content: dict[str, Any]) -> Size:
    return Size(int(content["width"]), int(content["height"]))


def _quoted(value: object) -> str:
    """A number without an idle .0; text with what separates settings in quotation marks."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else text


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
