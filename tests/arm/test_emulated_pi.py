"""On a Raspberry Pi's processors the bits are those of this one: int8 bundles under an emulated Debian."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from emulated_pi import PROCESSORS, PYTHONS, EmulationError, Userland, build_userland

from asma_edge.builtin import builtin_path

ROOT = Path(__file__).parents[2]
STREAMED = Path(__file__).with_name("streamed.py")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=PYTHONS)
def userland(request: pytest.FixtureRequest) -> Userland:
    try:
        return build_userland(request.param, ROOT)
    except EmulationError as error:
        pytest.skip(f"no emulated Raspberry Pi: {error}")


@pytest.fixture(params=["built in", "converted", "strided"])
def bundle(request: pytest.FixtureRequest, make_bundle: Callable[..., Path]) -> Path:
    """Three streams, int8: the built-in model, and random students as the converter makes them now."""
    if request.param == "built in":
        return builtin_path("irds9")
    return make_bundle(blocks="plain" if request.param == "converted" else "strided")


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_golden_vectors_are_reproduced(userland: Userland, processor: str, bundle: Path) -> None:
    answer = json.loads(userland.run(processor, ["-m", "asma_edge", "verify", str(bundle), "--json"]))
    assert answer["passed"]
    differences = {check["name"]: check["difference"] for check in answer["checks"]}
    assert differences["clip logits"] == differences["stream logits"] == 0.0


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_streamed_clip_gives_the_same_bits(userland: Userland, processor: str, bundle: Path) -> None:
    there = json.loads(userland.run(processor, [str(STREAMED), str(bundle)]))
    command = [sys.executable, str(STREAMED), str(bundle)]
    here = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(here["logits"]) >= 4 * 3 * 5 * 8  # at least four windows' logits, 8 digits each
    assert there["logits"] == here["logits"]
    # Preprocessing and fusion are NumPy's: its exponential may differ in the last bit.
    assert [result[:3] for result in there["results"]] == [result[:3] for result in here["results"]]
    scores = [[np.frombuffer(bytes.fromhex(r[3]), np.float32) for r in side["results"]] for side in (there, here)]
    np.testing.assert_allclose(np.concatenate(scores[0]), np.concatenate(scores[1]), atol=1e-6)


def test_instructions_are_counted_alike_each_time(userland: Userland) -> None:
    program = "import os; os.getppid(); sum(range(10_000)); os.getppid()"
    counts = []
    for _ in range(2):
        _, marks = userland.count("a72", ["-c", program])
        before, after = marks
        counts.append(after - before)
    assert counts[0] > 10_000
    assert abs(counts[1] - counts[0]) <= 1e-4 * counts[0]


def test_a_program_that_fails_says_why(userland: Userland) -> None:
    with pytest.raises(EmulationError, match="cannot read bundle"):
        userland.run("a76", ["-m", "asma_edge", "verify", "missing.tflite"])
