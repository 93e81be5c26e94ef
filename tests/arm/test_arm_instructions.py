"""The benchmark counts any streaming bundle; how many instructions it takes is its own affair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import arm_instructions
import pytest
from emulated_pi import DEFAULT_PYTHON, PROCESSORS, EmulationError, build_userland

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_converted_bundle_is_taken_apart(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        build_userland(DEFAULT_PYTHON, ROOT)
    except EmulationError as error:
        pytest.skip(f"no emulated Raspberry Pi: {error}")
    assert arm_instructions.main(["--model", str(make_bundle("coco17")), "--calls", "5", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert set(results) == set(PROCESSORS)
    for result in results.values():
        assert 0 < result["invoke"] < result["update"]
        assert result["invoke"] + sum(result["parts"].values()) == pytest.approx(result["update"])
        assert min(result["parts"].values()) >= 0
    assert results["a76"]["invoke"] < results["a72"]["invoke"]  # it has int8 dot products


def test_where_nothing_can_be_emulated_the_reason_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert arm_instructions.main([]) == 2
    assert "qemu-aarch64" in capsys.readouterr().err
