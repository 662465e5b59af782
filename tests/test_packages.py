"""What the code imports is declared in pyproject.toml, and what is declared there is imported."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DEV = {"dev"}  # an extra whose packages tests and tools import, not the package

# Names under which packages are imported, where they are not their own in lower case with _ for -.
MODULES = {
    "pyyaml": "yaml",
    "pillow": "PIL",
    "scikit-image": "skimage",
    "google-auth": "google",
    "tensorboard": "torch.utils.tensorboard",  # imports it
}
# mediapipe requires opencv-contrib-python; a wheel of OpenCV declared beside it would overwrite it.
COMES_WITH = {"cv2": "mediapipe"}


def name_of(requirement: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-")


def module_of(package: str) -> str:
    return MODULES.get(package, package.replace("-", "_"))


REQUIRED = {name_of(each) for each in PROJECT["dependencies"]}
EXTRAS = {
    name_of(each)
    for extra, packages in PROJECT["optional-dependencies"].items()
    if extra not in DEV
    for each in packages
}


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every module that a file imports, and whether it does so as soon as it is imported itself."""
    tree = ast.parse(path.read_text())
    blocks = (each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.If))
    inner = {id(node) for block in blocks for node in ast.walk(block)}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, id(node) not in inner) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module, id(node) not in inner
            case ast.Call(func=ast.Name(id="_need"), args=args):  # export/onnx.py: modules of an extra by name
                yield from ((arg.value, False) for arg in args if isinstance(arg, ast.Constant))


def others() -> dict[str, set[str]]:
    """Modules of other packages, each with the files that import it; `!` marks those who always do."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "avsr_bench").rglob("*.py"):
        for module, always in imports(path):
            if module.partition(".")[0] not in sys.stdlib_module_names:
                found.setdefault(module, set()).add(f"{'!' * always}{path.relative_to(ROOT)}")
    return found


def test_the_files_are_found():
    found = others()
    assert {"torch", "av", "numpy"} <= found.keys()
    assert any(file.startswith("!") for file in found["numpy"])
    assert "onnxruntime" in found and not any(file.startswith("!") for file in found["onnxruntime"])


def test_what_is_imported_is_declared():
    known = {module_of(package).partition(".")[0] for package in REQUIRED | EXTRAS} | COMES_WITH.keys()
    assert {module: files for module, files in others().items() if module.partition(".")[0] not in known} == {}
    assert set(COMES_WITH.values()) <= REQUIRED


def test_what_is_imported_at_once_comes_without_extras():
    known = {module_of(package).partition(".")[0] for package in REQUIRED} | COMES_WITH.keys()
    always = {module for module, files in others().items() if any(file.startswith("!") for file in files)}
    assert {module for module in always if module.partition(".")[0] not in known} == set()


def test_what_is_declared_is_imported():
    imported = others().keys()
    unused = {
        package
        for package in REQUIRED | EXTRAS
        if not any(f"{module}.".startswith(f"{module_of(package)}.") for module in imported)
    }
    assert unused == set()
