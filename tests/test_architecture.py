"""The arrows between the packages run one way, and the device package stays light."""

from __future__ import annotations

import ast
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


@pytest.mark.parametrize("module", ["estimators", "sources", "draw", "adapters", "cli"])
def test_each_part_can_be_imported_first(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import asma_edge.{module}"], check=True)
