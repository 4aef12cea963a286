"""The project's own rules: which module may import which, what is public, what start-up may load."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import upscaler
from upscaler import errors

PACKAGE = Path(upscaler.__file__).parent

LAYERS = {
    "errors": 0,
    "notices": 0,
    "arrays": 0,
    "files": 0,
    "interpreter": 0,
    "validation": 1,
    "progress": 0,
    "machine": 1,
    "tiling": 1,
    "vulkan": 1,
    "picture": 2,
    "catalog": 2,
    "target": 2,
    "device": 2,
    "codecs": 3,
    "diffusion": 3,
    "faces": 3,
    "recipe": 3,
    "surface": 3,
    "engines": 4,
    "text2image": 4,
    "inputs": 4,
    "geometry": 4,
    "pipeline": 5,
    "compat": 6,
    "comparison": 6,
    "jobs": 6,
    "api": 7,
    "cli": 8,
    "__init__": 8,
    "__main__": 9,
}

CONVENIENCES = {("picture/picture.py", "codecs")}
"""The one method that imports from a higher layer, inside of itself: `Picture.save`."""

EVERYWHERE = {"numpy"}
"""Third-party packages that every part may import."""

THIRD_PARTY = {
    "PIL": ("codecs", "comparison", "picture"),
    "cv2": ("codecs", "compat", "engines", "faces", "picture", "surface"),
    "diffusers": ("diffusion",),
    "filelock": ("files",),
    "fsspec": ("inputs",),
    "huggingface_hub": ("catalog",),
    "ncnn": ("vulkan",),
    "packaging": ("diffusion",),
    "platformdirs": ("files",),
    "psutil": ("cli", "machine"),
    "pypdfium2": ("codecs",),
    "pyvips": ("codecs",),
    "rawpy": ("codecs",),
    "ray": ("jobs",),
    "requests": ("catalog", "inputs"),
    "rich": ("cli",),
    "safetensors": ("catalog", "diffusion", "engines"),
    "spandrel": ("compat", "engines"),
    "spandrel_extra_arches": ("engines",),
    "tomli": ("catalog", "text2image"),
    "torch": ("compat", "device", "diffusion", "engines", "picture", "surface", "text2image"),
    "tqdm": ("cli",),
    "transformers": ("diffusion",),
    "typer": ("cli",),
    "urllib3": ("catalog",),
    "watchdog": ("inputs",),
}
"""Every other third-party package that is imported, and the parts that may."""

NAMES_OPTIONS = ("cli",)
"""Parts whose texts may name options of the command line; all others name arguments."""

OTHERS_NAMES = ("realesrgan", "basicsr", "upscaler")
"""Packages that CONTRIBUTING.md names between backticks."""

OPTION = re.compile(r"(?:^|[\s(`'\"])--[a-z][a-z-]+")


def nodes(file: Path) -> Iterator[ast.AST]:
    """Everything in a module but what only a type checker sees."""
    waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def own_imports(file: Path) -> set[str]:
    """Parts of the package that a module imports, also those that only a type checker sees."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            here = file.relative_to(PACKAGE).parts[: -node.level]
            base = [*here, *(node.module.split(".") if node.module else [])]
            found |= {base[0]} if base else {alias.name for alias in node.names}
    return found


def third_party_imports(file: Path) -> set[str]:
    """Names of third-party packages that a module imports when it runs."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
    return found - sys.stdlib_module_names - EVERYWHERE


def part_of(file: Path) -> str:
    """The part of the package that a module belongs to: a folder, or itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def defined(file: Path) -> set[str]:
    """What a module defines: `function`, `Class`, `Class.method`, `CONSTANT`."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        for name in names_of(node):
            found |= {name, *(f"{name}.{inner}" for part in getattr(node, "body", []) for inner in names_of(part))}
    return found


def names_of(node: ast.AST) -> list[str]:
    """The names that a definition or an assignment defines."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [node.name] if hasattr(node, "name") else [each.id for each in targets if isinstance(each, ast.Name)]


every_module = pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE))
)


@every_module
def test_module_imports_only_what_lies_below(file: Path) -> None:
    own = part_of(file)
    for name in own_imports(file) - {own, "__version__"}:
        if (str(file.relative_to(PACKAGE)), name) not in CONVENIENCES:
            assert LAYERS[name] < LAYERS[own], f"{own} imports {name}"


@every_module
def test_module_imports_only_third_parties_that_its_part_may(file: Path) -> None:
    for name in third_party_imports(file):
        assert name in THIRD_PARTY, f"{name} is not in the table of third-party packages"
        assert part_of(file) in THIRD_PARTY[name], f"{part_of(file)} imports {name}"


@every_module
def test_library_names_arguments_and_not_options(file: Path) -> None:
    if part_of(file) not in NAMES_OPTIONS:
        texts = [node.value for node in nodes(file) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        assert not [text for text in texts if OPTION.search(text)]


def test_tables_hold_nothing_that_is_not_used() -> None:
    used: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        for name in third_party_imports(file):
            used.setdefault(name, set()).add(part_of(file))
    assert {name: set(parts) for name, parts in THIRD_PARTY.items()} == used
    assert LAYERS.keys() == {part_of(file) for file in PACKAGE.rglob("*.py")}


def test_the_map_in_contributing_says_the_same() -> None:
    """Its rows are: parts, layer, third-party packages, what the parts are for."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    layers: dict[str, int] = {}
    packages: dict[str, set[str]] = {name: set() for name in THIRD_PARTY}
    for parts, layer, third_party in re.findall(r"^\| (`.*?) \| (\d) \| ?(.*?) ?\|", text, re.MULTILINE):
        for part in re.findall(r"`(\w+)(?:/|\.py)`", parts):
            layers[part] = int(layer)
            for name in filter(None, third_party.split(", ")):
                packages[name].add(part)
    assert layers == LAYERS
    assert packages == {name: set(parts) for name, parts in THIRD_PARTY.items()}


def test_what_contributing_says_lies_somewhere_lies_there() -> None:
    """A path is below the package or the repository; a name is defined in the file that follows it, if one does."""
    root = PACKAGE.parent
    where = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where")[2].partition("## To add")[0]
    pairs = re.findall(r"`([^`]+)`(?: (?:in|of) `([^`]+\.py)`)?", where.replace("\n", " "))
    names: list[tuple[str, str]] = []
    files = [path for _, path in pairs if path]
    for text, path in pairs:
        if re.fullmatch(r"[\w/.]+(\.py|/)", text):
            files.append(text)
        elif re.fullmatch(r"[A-Za-z]\w*(\.\w+)*(\(\))?", text) and text not in OTHERS_NAMES:
            names.append((text.removesuffix("()"), path))
    places = {file: next((each for each in (PACKAGE / file, root / file) if each.exists()), None) for file in files}
    assert len(names) > 15
    assert [file for file, place in places.items() if place is None] == []
    everywhere = {name for file in PACKAGE.rglob("*.py") for name in defined(file)}
    known = {file: defined(place) for file, place in places.items() if place is not None and place.is_file()}
    assert [name for name, path in names if name not in (known[path] if path else everywhere)] == []


def test_what_contributing_says_of_additions_is_shown_by_tests_that_exist() -> None:
    root = PACKAGE.parent
    table = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## To add")[2].partition("\n\nIf ")[0]
    rows = table.strip().splitlines()[4:]
    shown = [re.search(r"`(tests/\S+\.py)::(\w+)` \|$", row) for row in rows]
    assert rows
    assert [row for row, match in zip(rows, shown, strict=True) if match is None] == []
    for match in filter(None, shown):
        assert f"\ndef {match[2]}(" in (root / match[1]).read_text(encoding="utf-8")


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
