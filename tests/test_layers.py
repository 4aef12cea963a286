"""The project's own rules: which module may import which, what is public, what start-up may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import upscaler
from upscaler import errors

PACKAGE = Path(upscaler.__file__).parent

LAYERS = {
    "errors": 0,
    "arrays": 0,
    "files": 0,
    "progress": 0,
    "tiling": 1,
    "picture": 2,
    "catalog": 2,
    "target": 2,
    "device": 2,
    "codecs": 3,
    "diffusion": 3,
    "fidelity": 3,
    "finish": 3,
    "recipe": 3,
    "engines": 4,
    "text2image": 4,
    "inputs": 4,
    "pipeline": 5,
    "compat": 6,
    "jobs": 6,
    "api": 7,
    "cli": 8,
    "__init__": 8,
    "__main__": 9,
}

CONVENIENCES = {("picture/picture.py", "codecs")}
"""The one method that imports from a higher layer, inside of itself: `Picture.save`."""

FOREIGN = {
    "torch": ("device", "diffusion", "engines", "text2image", "compat"),
    "spandrel": ("engines", "compat"),
    "pyvips": ("codecs",),
    "diffusers": ("diffusion", "text2image"),
    "transformers": ("diffusion", "text2image"),
    "accelerate": (),
    "huggingface_hub": ("catalog",),
    "requests": ("catalog",),
    "ray": ("jobs",),
    "fsspec": ("inputs",),
    "typer": ("cli",),
    "rich": ("cli",),
    "tqdm": ("cli",),
}


def imports(file: Path) -> set[tuple[str, bool]]:
    """What a module imports: dotted names, and whether they are the package's own."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            here = file.relative_to(PACKAGE).parts[: -node.level]
            base = [*here, *(node.module.split(".") if node.module else [])]
            found |= {(base[0], True)} if base else {(alias.name, True) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((str(node.module).split(".")[0], False))
        elif isinstance(node, ast.Import):
            found |= {(alias.name.split(".")[0], False) for alias in node.names}
    return found


def layer_name(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_module_imports_only_what_lies_below(file: Path) -> None:
    own = layer_name(file)
    for name, ours in imports(file):
        allowed = name in (own, "__version__") or (str(file.relative_to(PACKAGE)), name) in CONVENIENCES
        if ours and not allowed and own != "__init__":
            assert LAYERS[name] < LAYERS[own], f"{own} imports {name}"
        if not ours and name in FOREIGN and not (name == "torch" and "if TYPE_CHECKING" in file.read_text()):
            assert own in FOREIGN[name], f"{own} imports {name}"


def test_public_names_are_sorted_and_resolve() -> None:
    assert upscaler.__all__ == sorted(upscaler.__all__)
    for name in upscaler.__all__:
        assert getattr(upscaler, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = upscaler.nonsense


def test_every_error_is_public_and_has_one_root() -> None:
    for name, value in vars(errors).items():
        if isinstance(value, type):
            assert issubclass(value, errors.UpscalerError)
            assert name in upscaler.__all__


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import upscaler, sys; print([name for name in ('torch', 'numpy', 'cv2', 'pyvips') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
