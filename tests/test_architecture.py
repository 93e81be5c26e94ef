"""The arrows between the packages run one way, and the device package stays light."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "asma_edge": ROOT / "asma_edge",
    "asma_trainer": ROOT / "trainer" / "asma_trainer",
    "asma_converters": ROOT / "converters" / "asma_converters",
}
MAY_IMPORT = {
    "asma_edge": {"asma_edge"},
    "asma_trainer": {"asma_trainer", "asma_edge"},
    "asma_converters": {"asma_converters", "asma_trainer", "asma_edge"},
}
# The rooms of the trainer from the ground up: a module imports from its own storey or from below.
STOREYS = (
    ("architecture", "errors", "files", "licences", "tensor_file", "typed", "vocabulary"),
    ("recipe",),
    ("data",),
    ("formats", "pages"),
    ("views",),
    ("synthetic", "curate"),
    ("models", "losses"),
    ("engine", "networks"),
    ("methods", "evaluation"),
    ("encoder_file", "student_file"),
    ("stages",),
    ("run",),
    ("budget",),
    ("training",),
    ("sweep",),
    ("report", "calibration"),
    ("paper",),
    ("cli",),
    ("commands", ""),  # "": the package itself, the public API
)
LONGEST = 350  # lines of a module
DEVICE_DEPENDENCIES = {"numpy", "ai_edge_litert", "tflite_runtime", "psutil"}


def imports_of(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    files = sorted(PACKAGES[package].rglob("*.py"))
    assert files
    for file in files:
        siblings = imports_of(file) & set(PACKAGES)
        assert siblings <= MAY_IMPORT[package], f"{file} imports {siblings - MAY_IMPORT[package]}"


def test_the_device_package_needs_only_its_dependencies() -> None:
    allowed = DEVICE_DEPENDENCIES | set(sys.stdlib_module_names) | {"asma_edge"}
    for file in sorted(PACKAGES["asma_edge"].rglob("*.py")):
        assert imports_of(file) <= allowed, f"{file} imports {imports_of(file) - allowed}"


def test_importing_the_device_package_loads_nothing_heavy() -> None:
    heavy = ["torch", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "asma_trainer", "asma_converters"]
    heavy += ["cv2", "mediapipe", "picamera2"]
    light = ["asma_edge", "asma_edge.cli", "asma_edge.draw", "asma_edge.estimators", "asma_edge.sources.camera"]
    program = f"import sys, {', '.join(light)}; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_recognising_loads_no_library_for_a_single_call() -> None:
    """OpenSSL for one digest, masked arrays for a few medians: 5 MiB where 50 are all there is."""
    program = """
import sys, numpy
known = set(sys.modules)  # older releases of NumPy import everything
from asma_edge import Recognizer
recognizer = Recognizer.builtin("irds9")
stream, poses = recognizer.stream(), recognizer.bundle.golden["poses"][0]
for index, pose in enumerate(poses):
    stream.update(pose, index / recognizer.info.fps)
print([name for name in ("_hashlib", "numpy.ma", "numpy.random") if name in set(sys.modules) - known])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def trainer_imports() -> dict[str, set[str]]:
    """{module of asma_trainer: the modules of asma_trainer that it imports, anywhere in it}."""
    root = PACKAGES["asma_trainer"]
    files = {}
    for file in root.rglob("*.py"):
        parts = ("asma_trainer", *file.relative_to(root).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names if alias.name in files}
            elif isinstance(node, ast.ImportFrom) and node.module in files:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found[name] |= inner & set(files) or {node.module}
    return found


def room(module: str) -> str:
    """'asma_trainer.data.splits' -> 'data'."""
    return module.split(".")[1] if "." in module else ""


def test_every_room_of_the_trainer_has_its_storey() -> None:
    assert {room(module) for module in trainer_imports()} == {name for storey in STOREYS for name in storey}


def test_no_module_of_the_trainer_imports_upwards() -> None:
    storey = {name: number for number, names in enumerate(STOREYS) for name in names}
    for module, imported in trainer_imports().items():
        above = {other for other in imported if storey[room(other)] > storey[room(module)]}
        assert not above, f"{module} imports {above}, which is above it"


def test_no_circle_of_imports_in_the_trainer() -> None:
    left = trainer_imports()
    while leaves := [module for module, imported in left.items() if not imported & set(left)]:
        for module in leaves:
            del left[module]
    assert not left, f"a circle among {sorted(left)}"


def test_no_module_of_the_trainer_is_long() -> None:
    for file in PACKAGES["asma_trainer"].rglob("*.py"):
        assert len(file.read_text().splitlines()) <= LONGEST, file


def test_data_sets_and_recipes_need_no_torch() -> None:
    """asma-data starts in a fraction of a second because it loads nothing that it does not use."""
    program = """
import sys
import asma_trainer.cli.data, asma_trainer.recipe.recipe
from asma_trainer.recipe.recipe import load_recipe
load_recipe("device-irds", ["seed=3"])
print([name for name in ("torch", "matplotlib", "ai_edge_litert", "onnx") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["estimators", "sources", "draw", "adapters", "cli"])
def test_each_part_can_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import asma_edge.{module}"], check=True)


@pytest.mark.parametrize("folder", ["benchmarks", "examples"])
def test_programs_beside_the_packages_import_what_there_is(folder: str) -> None:
    pytest.importorskip("torch", reason="most of them need torch")
    wanted = {
        (node.module or "", alias.name)
        for file in (ROOT / folder).glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for alias in node.names
    }
    assert wanted
    for module, name in sorted(wanted):
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), f"{module} has no {name}"
