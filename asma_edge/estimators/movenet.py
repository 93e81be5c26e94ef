"""MoveNet from a .tflite file, by the runtime that recognises too: nothing else has to be installed.

MoveNet finds one person (17 joints of COCO) in a square picture. As its documentation describes for video, the square
follows the person: it is laid around the joints of the picture before, wide enough for a fast movement; where they
are lost, the whole picture is searched again. See https://www.tensorflow.org/hub/tutorials/movenet .
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.errors import RuntimeMissingError
from asma_edge.estimators.base import Estimate
from asma_edge.estimators.checks import EstimatorError, check_image, closed
from asma_edge.estimators.crop import Square, around
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, get_layout
from asma_edge.sources.frames import Image

MIN_SCORE = 0.2  # of a joint that counts as seen
_MIN_MEAN = 0.2  # of all joints' scores, where there is a person at all
_AROUND_TORSO, _AROUND_BODY = 1.9, 1.2  # half a side, in distances of the furthest joint from the hips
_JOINTS = get_layout("coco17")
_TORSO = _JOINTS.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))
_SHOULDERS, _HIPS = list(_TORSO[:2]), list(_TORSO[2:])
_HINT = "name a single-pose MoveNet (Lightning or Thunder) in TFLite format; see docs/camera.md"


class MoveNet:
    """Single-pose MoveNet, Lightning (192 pixels) or Thunder (256).

    Args:
        path: of the .tflite file.
        num_threads: of the interpreter.
        min_score: a joint below it is missing.

    Attributes:
        name, layout, units: see `Estimator`; pixels of the picture, the third number is the joint's score.
        size: pixels a side of the model's input.

    Raises:
        EstimatorError: the file cannot be read, or is not a single-pose MoveNet.
        RuntimeMissingError: LiteRT is not installed.
    """

    layout: str = "coco17"
    units: Units = "pixels"

    def __init__(self, path: str | Path, *, num_threads: int = 1, min_score: float = MIN_SCORE) -> None:
        self.name = Path(path).name
        self._min_score = min_score
        self._interpreter = _load(Path(path), num_threads)
        given, made = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._dtype = _check(Path(path), given, made)
        self.size = int(given[0]["shape"][1])
        self._input, self._output = given[0]["index"], made[0]["index"]
        self._square: Square | None = None

    def __call__(self, image: Image) -> Estimate:
        """The person in a picture (H, W, 3) RGB; poses (1, 17, 3), or (0, 17, 3) where there is none.

        Raises:
            EstimatorError: the picture has another shape, or the estimator is closed.
        """
        check_image(image)
        if self._interpreter is None:
            raise closed()
        pose = self._find(image, self._square or around(image))
        if pose[:, 2].mean() < _MIN_MEAN and self._square is not None:
            pose = self._find(image, around(image))  # lost: it may be elsewhere
        if pose[:, 2].mean() < _MIN_MEAN:
            self._square = None
            nobody = np.empty((0, _JOINTS.num_joints, 3), dtype=np.float32)
            return Estimate(nobody, nobody)
        self._square = follow(pose, image, self._min_score)
        pose[pose[:, 2] < self._min_score] = np.nan
        return Estimate(pose[None], pose[None])

    def close(self) -> None:
        """Free the model."""
        self._interpreter = None

    def _find(self, image: Image, square: Square) -> FloatArray:
        """(17, 3) x, y in the picture's pixels, score."""
        picture = square.sample(image, self.size)
        self._interpreter.set_tensor(self._input, picture[None].astype(self._dtype, copy=False))
        self._interpreter.invoke()
        found = np.asarray(self._interpreter.get_tensor(self._output), dtype=np.float32).reshape(-1, 3)
        # The model gives y, x, score; places from 0 to 1 across its input.
        x, y = square.x + found[:, 1] * square.side, square.y + found[:, 0] * square.side
        return np.stack([x, y, found[:, 2]], axis=1).astype(np.float32)


def follow(pose: FloatArray, image: Image, min_score: float = MIN_SCORE) -> Square | None:
    """The square for the next picture, around a pose (17, 3) in this one; None where its trunk is not seen.

    The hips are its centre: arms and legs come and go, the trunk stays.
    """
    seen = pose[:, 2] >= min_score
    if not (seen[_HIPS].any() and seen[_SHOULDERS].any()):
        return None
    height, width = image.shape[:2]
    centre = pose[_HIPS, :2].mean(axis=0)
    distance = np.abs(pose[:, :2] - centre).max(axis=1)
    half = max(_AROUND_TORSO * distance[list(_TORSO)].max(), _AROUND_BODY * distance[seen].max())
    # No side needs to reach further than the picture's furthest border.
    half = min(half, float(max(centre[0], width - centre[0], centre[1], height - centre[1])))
    if 2 * half >= max(width, height) or half < 1:
        return None
    return Square(float(centre[0] - half), float(centre[1] - half), float(2 * half))


def _load(path: Path, num_threads: int) -> Any:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EstimatorError(
            f"cannot read the pose model '{path}'", expected="a .tflite file", got=error.strerror or "", hint=_HINT
        ) from error
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise RuntimeMissingError(
            "no TFLite runtime for the pose model",
            expected="ai-edge-litert",
            got=str(error),
            hint="pip install 'ai-edge-litert>=2.1'",
        ) from error
    try:
        interpreter = Interpreter(model_content=content, num_threads=num_threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError, TypeError) as error:
        lines = str(error).strip().splitlines()
        raise EstimatorError(
            f"the runtime refuses the pose model '{path}'",
            expected="a TFLite model",
            got=lines[0] if lines else type(error).__name__,
            hint=_HINT,
        ) from error
    return interpreter


def _check(path: Path, given: list[dict[str, Any]], made: list[dict[str, Any]]) -> np.dtype[Any]:
    """The type of the input's numbers, if the shapes are those of a single-pose MoveNet."""
    inputs, outputs = [_describe(tensor) for tensor in given], [_describe(tensor) for tensor in made]
    if len(given) == len(made) == 1:
        shape = tuple(int(side) for side in given[0]["shape"])
        dtype: np.dtype[Any] = np.dtype(given[0]["dtype"])
        square = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] and shape[1] >= 32 and shape[3] == 3
        result = tuple(int(side) for side in made[0]["shape"]) == (1, 1, _JOINTS.num_joints, 3)
        if square and dtype.name in ("uint8", "int32", "float32") and result and made[0]["dtype"] == np.float32:
            return dtype
    raise EstimatorError(
        f"'{path}' is not a single-pose MoveNet",
        expected="one input (1, S, S, 3) uint8, int32 or float32; one output (1, 1, 17, 3) float32",
        got=f"inputs {', '.join(inputs)}; outputs {', '.join(outputs)}"[:300],
        hint=_HINT,
    )


def _describe(tensor: dict[str, Any]) -> str:
    return f"{tuple(int(side) for side in tensor['shape'])} {np.dtype(tensor['dtype']).name}"
