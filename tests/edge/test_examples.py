"""The short examples: what a reader copies has to run, on recorded input."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from asma_edge.builtin import builtin_path
from asma_edge.errors import LayoutError
from asma_edge.estimators import Estimate
from asma_edge.preprocess import Units
from asma_edge.sources import ImageFrame, open_source
from asma_edge.sources.frames import Image

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SECONDS = 12.0  # of the recording: enough for the first exercise and its end


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads one of the examples, which are no package."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", ["replay", "several_people", "repetition_counter"])
def test_examples_run_on_the_example_of_the_built_in_model(
    name: str, example: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    example(name).main()
    lines = capsys.readouterr().out.splitlines()
    if name == "repetition_counter":
        *repetitions, counts = lines
        assert any("elbow flexion left no. 1: " in line for line in repetitions)
        assert sum(ast.literal_eval(counts).values()) == sum("unknown" not in line for line in repetitions) > 10
        return
    people = ("person 0  ", "person 1  ") if name == "several_people" else ("",)
    for who in people:
        mine = [line for line in lines if who in line]
        assert mine[0].endswith(f"{who}start  elbow flexion left")
        starts, ends = (sum(f"  {event}" in line for line in mine) for event in ("start", "end"))
        assert starts - ends in (0, 1)  # the last one may be in progress at the end
        assert starts >= 6


class Recorded:
    """An estimator that finds what the example shows, whatever the picture: its pixel is the frame's number."""

    name, layout = "recorded", "ntu25"

    def __init__(self, units: Units = "metres") -> None:
        self.units = units
        self._frames = list(open_source("example", model=builtin_path("irds9")))

    def __call__(self, image: Image) -> Estimate:
        number = int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])
        poses = np.array(self._frames[number].poses, dtype=np.float32)
        return Estimate(poses, poses)

    def close(self) -> None:
        pass


class Video:
    """Pictures that say which frame of the example they are."""

    name, dropped = "video", 0

    def __init__(self, path: str, **_: object) -> None:
        self._times = [frame.t for frame in open_source("example", model=builtin_path("irds9"))]

    def __iter__(self) -> Iterator[ImageFrame]:
        for number, t in enumerate(self._times):
            if t > SECONDS:
                return
            yield ImageFrame(t, np.full((1, 1, 3), (number // 256, number % 256, 0), dtype=np.uint8))

    def close(self) -> None:
        pass


def test_the_live_camera_prints_states_and_events(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("asma_edge.sources.video.VideoFile", Video)
    module = example("live_camera")
    monkeypatch.setattr(module, "open_estimator", lambda _: Recorded())
    module.main("exercise.mp4")
    lines = capsys.readouterr().out.splitlines()
    assert any("start  elbow flexion left" in line for line in lines)
    assert any(line.endswith(" s  ready") for line in lines)
    monkeypatch.setattr(module, "open_estimator", lambda _: Recorded("pixels"))
    with pytest.raises(LayoutError, match="does not fit"):
        module.main("exercise.mp4")
