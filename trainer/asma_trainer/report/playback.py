"""A recording as the recogniser sees it, frame by frame."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from asma_edge import Recognizer
from asma_edge.skeleton import FloatArray
from asma_edge.sources.json_lines import JsonLines
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.pages.values import Event, Playback, Segment

Seconds = npt.NDArray[np.float64]
_LONG = 0.9  # of the clips are shorter than the one that is watched


def watch(
    recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray, tell: Callable[[str], None] = lambda _: None
) -> Playback:
    """Feed a whole recording of the data set, or a long one of the clips where it has no recordings.

    Args:
        clips: numbers of clips that the recogniser has not learnt from.
        tell: is given a line of text for each event.
    """
    poses, t, segments = _recording(dataset) or _long_clip(dataset, clips)
    info, stream = dataset.info, recognizer.stream()
    scores = np.full((len(poses), len(info.classes)), np.nan, dtype=np.float32)
    events: list[Event] = []
    for index, pose in enumerate(poses):
        result = stream.update(pose, float(t[index]))
        if not result and index:
            scores[index] = scores[index - 1]  # nothing new: as before
        elif len(result.scores):
            scores[index] = result.scores
        if result.event and result.label:
            events.append(Event(result.t, result.event, result.label))
            tell(f"  {result.t:6.2f} s  {result.event:5}  {result.label}  ({result.score:.2f})")
    return Playback(info.layout, poses, t, scores, info.classes, segments, events, info.units)


def _recording(dataset: PreparedDataset) -> tuple[FloatArray, Seconds, list[Segment]] | None:
    """(T, V, 3) poses, (T,) seconds and the truth of the data set's first recording of the person who is seen first."""
    recordings = sorted((dataset.path / "recordings").glob("*.jsonl"))
    if not recordings:
        return None
    path = recordings[0]
    with path.open("rb") as file:
        frames = [(frame.t, frame.poses[0]) for frame in JsonLines(file, path.name) if len(frame.poses)]
    timeline = json.loads(path.with_suffix(".timeline.json").read_text(encoding="utf-8"))
    segments = [Segment(part["start"], part["end"], part["label"]) for part in timeline["segments"]]
    return np.array([pose for _, pose in frames], dtype=np.float32), np.array([t for t, _ in frames]), segments


def _long_clip(dataset: PreparedDataset, clips: IntArray) -> tuple[FloatArray, Seconds, list[Segment]]:
    lengths = dataset.lengths[clips]
    clip = int(clips[np.argsort(lengths)[int(_LONG * len(lengths))]])
    poses = dataset.clip(clip)[:, 0]
    t = np.arange(len(poses)) / dataset.info.fps
    return poses, t, [Segment(0.0, float(t[-1]), dataset.info.classes[dataset.label[clip]])]
