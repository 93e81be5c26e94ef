"""One call of onnx2tf: an ONNX file in, TFLite files out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asma_converters.guarded import last_line, run_limited
from asma_converters.onnx2tf.environment import Line, Onnx2tfError, environment_of
from asma_edge.skeleton import FloatArray

SECONDS = 1800
# Line 1 looks for this file beside itself before it downloads one: pictures to try a model of three channels with.
_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"
_ERROR = re.compile(r"[\w.]*(Error|Exception): \S")
_PICTURES_SHAPE = (20, 128, 128, 3)


def call(
    line: Line,
    python: Path,
    onnx: Path,
    folder: Path,
    inputs: Sequence[str],
    calibration: Mapping[str, FloatArray] | None,
    seconds: float = SECONDS,
) -> dict[str, bytes]:
    """{"float32": file, "int8": file with int8 inputs and outputs} of an ONNX file.

    Args:
        line: of onnx2tf.
        python: of its environment.
        onnx: the file, with a fixed batch.
        folder: an empty one to work in; all that onnx2tf leaves goes there.
        inputs: names of the file's inputs.
        calibration: {input: (n, ...)} for int8; None: float32 only.
        seconds: its time limit.

    Raises:
        Onnx2tfError: it fails, takes too long, or leaves no file.
    """
    out = folder / "out"
    command = [str(python), "-m", "onnx2tf", "-i", str(onnx), "-o", str(out), "-n"]
    if calibration is not None:
        command += ["-oiqt", "-iqd", "int8", "-oqd", "int8"]
        for name, values in calibration.items():
            np.save(folder / f"{name}.npy", values)
            command += ["-cind", name, str(folder / f"{name}.npy"), "[0.0]", "[1.0]"]
    command += ["-kat", *inputs]  # or it takes (T, V, 3) for a picture and turns its axes
    np.save(folder / _PICTURES, np.random.default_rng(0).random(_PICTURES_SHAPE, np.float32))
    try:
        code, output = run_limited(command, environment_of(line), folder, seconds)
    except TimeoutError:
        raise _failed(line, f"no end after {seconds:g} seconds", "try the other line, or the direct writer") from None
    except OSError as error:
        raise _failed(line, error.strerror or str(error), line.setup) from error
    if code:
        reason = _cause(output) or f"exit code {code}"
        raise _failed(line, reason, f"make its environment anew: delete it, then {line.setup}")
    names = {"float32": f"{onnx.stem}_float32.tflite", "int8": f"{onnx.stem}_full_integer_quant.tflite"}
    wanted = names if calibration is not None else {"float32": names["float32"]}
    missing = [name for name in wanted.values() if not (out / name).is_file()]
    if missing:
        raise _failed(line, f"exit code 0 and no {missing[0]}", "try the other line, or the direct writer")
    return {kind: (out / name).read_bytes() for kind, name in wanted.items()}


def _cause(output: str) -> str:
    """The first error that Python names: later ones are its consequences."""
    named = [line.strip() for line in output.splitlines() if _ERROR.match(line.strip())]
    return named[0][:300] if named else last_line(output)


def _failed(line: Line, got: str, hint: str) -> Onnx2tfError:
    return Onnx2tfError(
        f"onnx2tf {line.version} fails on this student", expected="a .tflite of each kind asked for", got=got, hint=hint
    )
