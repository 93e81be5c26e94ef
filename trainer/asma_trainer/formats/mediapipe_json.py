"""``mediapipe-json``: MediaPipe Pose landmarks, one JSON file a clip.

::

    {"fps": 30, "width": 640, "height": 480,
     "frames": [{"pose_landmarks": [[x, y, z, visibility], ... 33], "pose_world_landmarks": [...]}, ...]}

Where ``fps`` is missing, ``--fps`` has to say it. A frame without a person has null, or an empty list. A landmark may
also be {"x":, "y":, "z":, "visibility":}, as MediaPipe's own objects turn into. ``image`` takes ``pose_landmarks``,
fractions of the picture, as pixels with the visibility as score; ``world`` takes ``pose_world_landmarks``, metres from
the middle of the hips, whose x points to the right of the picture and y down: they are turned about z, to the axes of
all poses in metres.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.skeleton import FloatArray, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Source, recordings
from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.json_text import numbers, read_json
from asma_trainer.formats.rates import asked_rate, at_rate, check_rate
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "MediaPipe Pose landmarks, one JSON file a clip"

_LAYOUT = get_layout("mediapipe33")
_KEYS = {"image": "pose_landmarks", "world": "pose_world_landmarks"}
_FIELDS = ("x", "y", "z", "visibility")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    parser.add_argument(
        "--space", choices=tuple(_KEYS), default="image", help="landmarks in the picture (pixels) or in metres"
    )


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a file, folder or zip archive of landmark files.

    Raises:
        DataError: there is none that can be read, or nothing says what is performed.
    """
    space = str(options.own.get("space", "image"))
    files = {name: [entry] for name, entry in find_files(path, (".json",), "MediaPipe JSON files").items()}
    labelled = label_recordings(path, files, options)
    fps = options.fps if options.fps is not None else _first_rate(labelled.rows, path, options)
    info = options.describe(_LAYOUT, labelled.classes, fps, "pixels" if space == "image" else "metres")
    read = partial(_read, space=space, fps=fps, asked=options.fps is not None)
    return Source.of_items(info, labelled.rows, read, labelled.splits, total=len(labelled.rows))


def _first_rate(rows: tuple[Recording, ...], path: Path, options: ImportOptions) -> float:
    """The rate of the first file that can be read; the others are reported, or left out, when they are read.

    Raises:
        DataError: no file can be read, or the first that can states no rate.
    """
    problem: DataError | None = None
    for recording in rows:
        try:
            content = _content(recording)
            return asked_rate(options, path) if content.get("fps") is None else check_rate(recording, content["fps"])
        except DataError as error:
            problem = problem or error
    assert problem is not None  # there is at least one row
    raise problem


def _content(recording: Recording) -> dict[str, Any]:
    content = read_json(recording.file)
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
        raise bad_file(recording, "an object with a list 'frames'", type(content).__name__)
    return content


def _read(recording: Recording, space: str, fps: float, asked: bool) -> Iterator[Clip]:
    content = _content(recording)
    frames, key = content["frames"], _KEYS[space]
    poses = np.full((len(frames), 1, _LAYOUT.num_joints, 3), np.nan, dtype=np.float32)
    size = _size(recording, content) if space == "image" else (1.0, 1.0)
    for number, frame in enumerate(frames):
        if not isinstance(frame, dict) or key not in frame:
            raise bad_file(recording, f"frames with '{key}'", f"frame {number}: {shown(frame)}")
        if frame[key]:
            poses[number, 0] = _pose(recording, frame[key], f"{key} of frame {number}", space, size)
    if content.get("fps") is None and not asked:
        raise bad_file(
            recording, f"fps, as in the first file, which has {fps:g}", "none", hint=f"say it: --fps {fps:g}"
        )
    own = fps if content.get("fps") is None else check_rate(recording, content["fps"])
    yield recording.clip(at_rate(recording, poses, own, fps, asked))


def _size(recording: Recording, content: dict[str, Any]) -> tuple[float, float]:
    size = numbers(recording, [content.get("width"), content.get("height")], "width and height", (2,))
    if not (size > 0).all():
        raise bad_file(
            recording, "width and height of the picture in pixels", f"{size.tolist()}", hint="or use --space world"
        )
    return float(size[0]), float(size[1])


def _pose(recording: Recording, landmarks: Any, at: str, space: str, size: tuple[float, float]) -> FloatArray:
    """(33, 3) pixels and visibility, or metres."""
    if isinstance(landmarks, list) and all(isinstance(landmark, dict) for landmark in landmarks):
        landmarks = [[landmark.get(name) for name in _FIELDS] for landmark in landmarks]
    values = numbers(recording, landmarks, at, (_LAYOUT.num_joints, len(_FIELDS)))
    if space == "world":
        return (values[:, :3] * (-1, -1, 1)).astype(np.float32)
    return (values[:, [0, 1, 3]] * (*size, 1.0)).astype(np.float32)
