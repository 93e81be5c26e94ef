"""Which interpreter runs a bundle, and what is said where none can."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asma_edge.bundle import read_bundle
from asma_edge.errors import RuntimeMissingError
from asma_edge.runtime import Runtime

MakeBundle = Callable[..., Path]


def only_tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on as if ai-edge-litert were not installed, and tflite-runtime were."""
    from ai_edge_litert.interpreter import Interpreter

    fake: Any = types.ModuleType("tflite_runtime.interpreter")
    fake.Interpreter = Interpreter
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", fake)


def test_tflite_runtime_beside_numpy_2_is_refused_by_name(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its interpreter would end in a SystemError."""
    bundle = read_bundle(make_bundle("coco17", "float32", streams=("joint",)))
    only_tflite_runtime(monkeypatch)
    monkeypatch.setattr(np, "__version__", "2.1.0")
    with pytest.raises(RuntimeMissingError, match=r"NumPy 2\.1\.0") as caught:
        Runtime(bundle)
    assert "NumPy below 2" in caught.value.expected
    assert "asma-edge[tflite]" in caught.value.hint
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert Runtime(bundle).name == "tflite-runtime"


def test_int8_needs_litert(make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(make_bundle("coco17", streams=("joint",)))
    only_tflite_runtime(monkeypatch)
    with pytest.raises(RuntimeMissingError, match=r"ai-edge-litert \(int8\)"):
        Runtime(bundle)


@pytest.mark.slow
def test_the_extra_runs_a_float32_bundle(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """A private environment with what the extra [tflite] installs."""
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheel for this Python")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    packages = ["tflite-runtime>=2.14", "numpy>=1.24,<2", "psutil"]
    install = subprocess.run([python, "-m", "pip", "install", "-q", *packages], capture_output=True, check=False)
    if install.returncode:
        pytest.skip("tflite-runtime cannot be installed here")
    bundle = make_bundle("coco17", "float32", streams=("joint",))
    root = str(Path(__file__).parents[2])
    command = [python, "-m", "asma_edge", "verify", str(bundle)]
    environment = {**os.environ, "PYTHONPATH": root}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "stream logits" in answer.stdout
