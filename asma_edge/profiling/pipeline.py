"""Pose and action together: what a picture costs until its result."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from asma_edge.errors import AsmaError
from asma_edge.estimators.base import Estimator, check_fit
from asma_edge.hardware import memory_mib
from asma_edge.profiling.schema import Pipeline
from asma_edge.profiling.sustained import Histogram, Progress
from asma_edge.recognizer import Recognizer
from asma_edge.sources.frames import ImageFrame


def profile_pipeline(
    pictures: Iterable[ImageFrame],
    estimator: Estimator,
    recognizer: Recognizer,
    *,
    frames: int = 300,
    progress: Progress | None = None,
) -> Pipeline:
    """Run pictures through both networks, one after the other as fast as they go.

    Args:
        pictures: at most ``frames`` + 1 are taken; the first, which prepares both networks, is counted apart.
        estimator: gives poses in the layout and units that the recogniser expects.
        recognizer: loaded with the estimator's layout.
        frames: pictures to measure, at least 1.
        progress: is told how far it is.

    Raises:
        LayoutError: the estimator's poses are not what the recogniser expects.
        AsmaError: fewer than two pictures came.
    """
    check_fit(estimator, recognizer)
    people = recognizer.people()
    names = ("source", "pose", "action", "frame")
    times = {name: Histogram() for name in names}
    seen, first_ms, began = 0, float("nan"), perf_counter()
    counted_from = asked = began
    for number, picture in enumerate(pictures):
        got = perf_counter()
        poses = estimator(picture.image).poses
        estimated = perf_counter()
        people.update(list(poses), picture.t)
        done = perf_counter()
        if number == 0:
            first_ms, counted_from = (done - began) * 1e3, done
        else:
            seen += len(poses)
            parts = (got - asked, estimated - got, done - estimated, done - asked)
            for name, seconds in zip(names, parts, strict=True):
                times[name].add(seconds * 1e3)
        if progress is not None and number % 10 == 0:
            progress(f"pose and action: frame {number} of at most {frames}")
        if number >= frames:
            break
        asked = perf_counter()
    count = times["frame"].count
    if not count:
        raise AsmaError(
            "too few pictures to measure", expected="at least 2", got="fewer", hint="use a longer video, or a camera"
        )
    return Pipeline(
        layout=estimator.layout,
        frames=count,
        frames_per_second=count / (done - counted_from),
        people_per_frame=seen / count,
        first_frame_ms=first_ms,
        source_ms=times["source"].spread(),
        pose_ms=times["pose"].spread(),
        action_ms=times["action"].spread(),
        frame_ms=times["frame"].spread(),
        rss_mib=memory_mib()[0],
    )
