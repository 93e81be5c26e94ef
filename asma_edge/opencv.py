"""OpenCV, loaded so that it keeps quiet: what goes wrong is said once, by an error of ours."""

from __future__ import annotations

import os
from typing import Any

from asma_edge.extras import require

_QUIET = {"OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}


def opencv() -> Any:
    """The module ``cv2``.

    OpenCV and the FFmpeg inside it read how much they shall print from the environment, when they are loaded; what
    the user has set there stays.

    Raises:
        ExtraMissingError: it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    return require("cv2", "camera")
