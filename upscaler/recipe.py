"""Everything that made a generated picture, carried by the picture itself, so that it can be made again.

It is stored as texts, which PNG holds, and as XMP, which JPEG, WebP, TIFF and AVIF hold; the codecs write both.
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
from .picture import Picture
from .tiling import Size

FORM_VERSION = 1
"""The version of the form in which recipes are stored; later ones are refused."""

KEY = "upscaler"
"""The key of the text in a PNG that holds the recipe."""

PARAMETERS = "parameters"
"""The key of the text in a PNG that AUTOMATIC1111's Stable Diffusion web UI writes and that other programs read."""

LIBRARIES = ("torch", "diffusers", "transformers")

_BEGIN = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
_END = "</rdf:RDF></x:xmpmeta>"
_OWN = (
    '<rdf:Description rdf:about="" xmlns:upscaler="upscaler:ns:recipe/">'
    "<upscaler:recipe>{}</upscaler:recipe></rdf:Description>"
)
_IN_XMP = re.compile(rb"<upscaler:recipe>([^<]*)</upscaler:recipe>|\bupscaler:recipe=[\"']([^\"'<]*)")
"""The recipe as an element or as an attribute: programs that edit XMP turn one into the other."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that made a picture, as JSON can hold it; nothing in it says when or on which machine."""

    parameters: Mapping[str, Any]
    """The fields of `text2image.parameters.GenerationParameters`; those that were left open, such as seed, steps and
    guidance, have the values that were used."""
    prompt: str
    """The prompt as the model was given it, in the words of the style."""
    negative: str
    generator: Mapping[str, Any]
    """The generator's settings: "model", as `catalog.find` takes it, "weights", a list of their hashes or commits, and
    others."""
    files: Mapping[str, str]
    """SHA-256 hashes of the files that the parameters name: the image to begin with, LoRAs."""
    generated: Size
    """Size of the picture before it was enlarged."""
    upscaler: Mapping[str, Any] | None
    """Settings of the upscaler, "target" with the fields of `target.Target`, and "denoised", the share of noise and
    compression that was removed; None: the picture was not enlarged."""
    size: Size
    """Size of the finished picture."""
    versions: Mapping[str, str]

    def infotext(self) -> str:
        """Returns the recipe in AUTOMATIC1111's form: prompt, negative prompt, and a line of settings that its readers
        know (modules/infotext_utils.py there, pnginfo.js of ComfyUI)."""
        parameters, model = self.parameters, str(self.generator["model"])
        weights = self.generator.get("weights")  # sites find a model in one file by the first ten digits of its hash
        settings: dict[str, object] = {
            "Steps": parameters.get("steps"),
            "Sampler": self.generator.get("scheduler"),
            "CFG scale": parameters.get("guidance"),
            "Seed": parameters.get("seed"),
            "Size": self.generated,
            "Model hash": str(weights[0])[:10] if weights and model.endswith(".safetensors") else None,
            "Model": PurePath(model).name.removesuffix(".safetensors"),
            "Denoising strength": parameters.get("strength") if parameters.get("image") else None,
        }
        if self.upscaler is not None:
            settings["Postprocess upscale to"] = self.size
            settings["Postprocess upscaler"] = PurePath(str(self.upscaler["model"])).name
        settings["Version"] = f"upscaler {self.versions.get('upscaler', '')}".rstrip()
        line = ", ".join(f"{name}: {_quote(value)}" for name, value in settings.items() if value is not None)
        prompt, negative = (" ".join(text.split()) for text in (self.prompt, self.negative))
        return f"{prompt}\nNegative prompt: {negative}\n{line}"

    def to_json(self) -> str:
        """Returns the recipe as JSON, in ASCII, on one line."""
        return json.dumps({"form": FORM_VERSION, **asdict(self)})


def embed(picture: Picture, recipe: Recipe) -> Picture:
    """Returns the picture with a recipe, which replaces one that it had; other metadata stay."""
    metadata, text = picture.metadata, recipe.to_json()
    comments = {**metadata.comments, PARAMETERS: recipe.infotext(), KEY: text}
    own = _OWN.format(escape(text)).encode()
    others = re.sub(_OWN.format("[^<]*").encode(), b"", metadata.xmp or b"")
    before, end, after = others.rpartition(b"</rdf:RDF>")
    xmp = before + own + end + after if end else f"{_BEGIN}{own.decode()}{_END}".encode()
    return replace(picture, metadata=replace(metadata, comments=comments, xmp=xmp))


def read(picture: Picture) -> Recipe | None:
    """Returns the recipe in a picture, or None. Raises PictureError for a recipe that cannot be understood."""
    text = picture.metadata.comments.get(KEY, "")
    if not text.startswith("{"):  # none, or another program's
        found = _IN_XMP.search(picture.metadata.xmp or b"")
        if found is None:
            return None
        text = html.unescape((found[1] or found[2]).decode("utf-8", "replace"))
    try:
        content = json.loads(text)
        later = f"upscaler {content['versions']['upscaler']}" if content["form"] > FORM_VERSION else ""
        recipe = None if later else _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PictureError(
            f"{picture.name}: the recipe cannot be read ({error}). "
            "Use the file as upscaler wrote it, not an edited copy."
        ) from error
    if later:
        raise PictureError(f"{picture.name}: a later version, {later}, has written the recipe. Update upscaler.")
    return recipe


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Returns reasons why pictures of two recipes with equal parameters may differ, each as part of a sentence."""
    found = [
        f"the weights of {after['model']} differ"
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
    """Returns the name, address or path by which `catalog.find` finds the model again."""
    if any(model == known for known in catalog.all_models()):
        return model.name
    if model.repository is not None:
        return model.repository.address
    if model.download is not None:
        return model.download.urls[0] + (f"#sha256={model.download.sha256}" if model.download.sha256 else "")
    return model.name if model.file is None else str(model.file)


def versions() -> dict[str, str]:
    """Returns the versions of this program and of the libraries on which its results depend; empty if not installed."""
    found = {"upscaler": __version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found


def _parse(content: dict[str, Any]) -> Recipe:
    """Turns parsed JSON into a recipe. Raises ValueError, KeyError or TypeError when it does not hold one."""
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


def _quote(value: object) -> str:
    """Returns a setting as text: a number without .0 at its end, a text with separators in quotation marks."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if re.search(r"[,:\n]", text) else text
