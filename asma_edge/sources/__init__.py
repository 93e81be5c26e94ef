"""Where poses come from: files, pipes, videos and cameras, by one name each."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

from asma_edge.builtin import example_path
from asma_edge.estimators.base import Estimator
from asma_edge.sources.estimated import EstimatedPoses
from asma_edge.sources.frames import ImageFrame, ImageSource, PoseFrame, PoseSource, SourceError
from asma_edge.sources.growing import GrowingFile
from asma_edge.sources.json_lines import JsonLines, Lines
from asma_edge.sources.newest import Newest
from asma_edge.sources.paced import Paced

__all__ = [
    "ImageFrame",
    "ImageSource",
    "PoseFrame",
    "PoseSource",
    "SourceError",
    "gives_pictures",
    "is_camera",
    "needless",
    "open_source",
]

_VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".mjpeg")


def gives_pictures(name: str) -> bool:
    """Whether a source is a camera or a video, so that it needs a pose estimator."""
    return is_camera(name) or name.lower().endswith(_VIDEOS)


def open_source(
    name: str,
    *,
    model: Path,
    estimator: Estimator | None = None,
    many: bool = False,
    follow: bool = False,
    realtime: bool = False,
    skip: Callable[[SourceError], None] | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> PoseSource:
    """A source of poses by its name.

    Args:
        name: ``poses.jsonl`` (or ``.jsonl.gz``); ``-`` for standard input; ``example`` for the recording that comes
            with a built-in model; a video file; a camera: its number, ``/dev/video0``, ``rtsp://...`` or ``picamera``.
        model: path of the bundle, to which the example belongs.
        estimator: finds people in pictures; closed with the source.
        many: follow several people in pictures.
        follow: wait for what is still being written to the file of poses, or to a named pipe.
        realtime: give the frames of a recording when their time has come; those of a video as a camera does, where
            pictures are left out if recognising takes longer than they come.
        skip: is told of each line that cannot be read; None: such a line raises.
        notice: is told of what a person should know, such as a camera that has gone.

    Raises:
        SourceError: it cannot be opened, or the options do not fit it.
    """
    if gives_pictures(name) != (estimator is not None):
        raise _no_estimator(name) if estimator is None else needless(name, "a pose estimator")
    if follow and (estimator is not None or name in ("-", "example") or name.lower().endswith(".gz")):
        raise needless(name, "--follow")
    if estimator is not None:
        if realtime and is_camera(name):
            raise needless(name, "--realtime")
        return EstimatedPoses(open_pictures(name, realtime=realtime, notice=notice), estimator, many=many)
    lines = JsonLines(_lines(name, model, follow), "standard input" if name == "-" else name, skip)
    return Paced(lines) if realtime else lines


def is_camera(name: str) -> bool:
    """Whether a source is a camera."""
    return name.isdecimal() or name in ("camera", "picamera") or name.startswith("/dev/video") or "://" in name


def open_pictures(name: str, *, realtime: bool = False, notice: Callable[[str], None] = lambda _: None) -> ImageSource:
    """A camera or a video by its name; of a camera, or a video in real time, only the newest picture is given.

    Raises:
        SourceError: it cannot be opened.
        ExtraMissingError: OpenCV or picamera2 is not installed.
    """
    if not is_camera(name):
        from asma_edge.sources.video import VideoFile

        video = VideoFile(name, realtime=realtime, notice=notice)
        return Newest(video) if realtime else video
    from asma_edge.sources.camera import OpenCvCamera, PiCamera

    if name == "picamera":
        return Newest(PiCamera(notice=notice))
    return Newest(OpenCvCamera(0 if name == "camera" else int(name) if name.isdecimal() else name, notice=notice))


def _lines(name: str, model: Path, follow: bool) -> Lines:
    if name == "-":
        return sys.stdin.buffer
    path = example_path(model) if name == "example" else Path(name)
    if path is None:
        raise SourceError(
            f"no example belongs to '{model}'",
            expected="a built-in model that comes with a recording, such as irds9",
            got=str(model),
            hint="give one of your own: --source poses.jsonl",
        )
    try:
        if follow:
            return GrowingFile(path)
        return cast("Lines", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")
    except OSError as error:
        raise SourceError(
            f"cannot read poses from '{name}'",
            expected="a file of JSON Lines, - for standard input, a video, a camera or example",
            got=error.strerror or type(error).__name__,
            hint="check the path; see docs/device.md for what a source may be",
        ) from error


def _no_estimator(name: str) -> SourceError:
    return SourceError(
        f"'{name}' gives pictures, not poses",
        expected="a pose estimator",
        got="none",
        hint="name one: --estimator mediapipe, or the path of a MoveNet .tflite or a pose landmarker .task",
    )


def needless(name: str, what: str) -> SourceError:
    """The error for an option that has no meaning for a source."""
    return SourceError(
        f"{what} does not fit the source '{name}'",
        expected="a pose estimator for cameras and videos; --layout and --follow for poses; --realtime for recordings",
        got=what,
        hint="leave it out",
    )
