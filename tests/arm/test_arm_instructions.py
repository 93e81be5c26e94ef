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
@pytest.mark.parametrize(("layout", "blocks"), [("coco17", "plain"), ("ntu25", "strided")])
def test_a_converted_bundle_is_taken_apart(
    make_bundle: Callable[..., Path], capsys: pytest.CaptureFixture[str], layout: str, blocks: str
) -> None:
    try:
        build_userland(DEFAULT_PYTHON, ROOT)
    except EmulationError as error:
        pytest.skip(f"no emulated Raspberry Pi: {error}")
    assert arm_instructions.main(["--model", str(make_bundle(layout, blocks=blocks)), "--calls", "5", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert set(results) == set(PROCESSORS)
    for result in results.values():
        assert 0 < result["invoke"] < result["update"]
        assert result["invoke"] + sum(result["parts"].values()) == pytest.approx(result["update"])
        assert min(result["parts"].values()) >= 0
    assert results["a76"]["invoke"] < results["a72"]["invoke"]  # it has int8 dot products


def test_the_table_has_every_part_of_both_processors() -> None:
    parts = {"gate": 52_600.0, "streams": 18_700.0, "rest": 28_700.0}
    described = {"model": "m", "streams": ["joint", "bone"], "gate": True}
    result = {**described, "update": 1_100_000.0, "invoke": 1_000_000.0, "parts": parts}
    lines = arm_instructions.table({"a72": result, "a76": result}).splitlines()
    assert lines[0].startswith("m, 2 streams")
    assert [line.split() for line in lines[2:]] == [
        ["update", "1,100.0", "1,100.0"],
        ["invoke", "1,000.0", "1,000.0"],
        ["gate", "52.6", "52.6"],
        ["streams", "18.7", "18.7"],
        ["rest", "28.7", "28.7"],
    ]


def test_where_nothing_can_be_emulated_the_reason_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert arm_instructions.main([]) == 2
    assert "qemu-aarch64" in capsys.readouterr().err
