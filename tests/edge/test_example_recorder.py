"""Examples cut out of a running source: their times are those of their first and last pose."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from asma_edge import Recognizer
from asma_edge.builtin import builtin_path
from asma_edge.examples import ExampleRecorder
from asma_edge.sources import open_source


def test_an_example_begins_and_ends_with_the_poses_of_its_times() -> None:
    recognizer = Recognizer.builtin("irds9")
    frames = [frame for frame in open_source("example", model=builtin_path("irds9")) if frame.t < 20.0]
    recorder = ExampleRecorder(recognizer)
    examples = [found for frame in frames if (found := recorder.take(frame, "example"))]
    assert [found.label for found in examples] == 3 * ["elbow flexion left"] + 2 * ["elbow flexion right"]
    times = np.array([frame.t for frame in frames])
    seen = np.stack([np.asarray(frame.poses[0]) for frame in frames])
    for found in examples:
        assert {found.start, found.end} <= set(times)
        asked = np.arange(found.start, found.end + 1e-6, 1 / recognizer.info.fps)
        between = [np.interp(asked, times, values) for values in seen.reshape(len(times), -1).T]
        np.testing.assert_allclose(found.poses, np.transpose(between).reshape(found.poses.shape), atol=1e-5)
    assert all(before.end < after.start for before, after in pairwise(examples))
