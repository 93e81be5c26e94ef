"""The folded student as ONNX: a stage of the conversion, and a file for other tools."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from asma_converters.deploy import DeployModel
from asma_converters.errors import ConversionError
from asma_edge.extras import require
from asma_edge.skeleton import FloatArray

OPSET = 17
_BATCH = 64  # clips a call, where a file takes any number


def check_packages() -> None:
    """Whether the optional packages are there, before any work is done.

    Raises:
        ExtraMissingError: naming the one that is not.
    """
    for package in ("onnx", "onnxruntime"):
        require(package, "convert")


def export_onnx(model: DeployModel, path: Path, window: int, joints: int, *, dynamic: bool = False) -> None:
    """Write a float32 ONNX file: inputs ``<stream>`` (n, T, V, 3), outputs ``logits_<network>`` (n, K).

    The batch n is fixed to one clip, unless it is ``dynamic``: that serves many clips at once, but makes other
    converters fail, or split the graph.

    Raises:
        ExtraMissingError: the optional packages are not installed.
        ConversionError: the exporter fails.
    """
    check_packages()
    names = [*model.streams, *(f"logits_{network}" for network in model.networks)]
    example = tuple(torch.zeros(1, window, joints, 3) for _ in model.streams)
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; the newer one needs another package.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                model.float().eval(),
                example,
                str(path),
                input_names=list(model.streams),
                output_names=names[len(model.streams) :],
                dynamic_axes={name: {0: "n"} for name in names} if dynamic else None,
                opset_version=OPSET,
                dynamo=False,
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            raise _failure("PyTorch's exporter fails", error) from error


def onnx_logits(path: Path, clips: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """{network: (n, K)} as onnxruntime computes them.

    Raises:
        ExtraMissingError: onnxruntime is not installed.
        ConversionError: it refuses the file.
    """
    onnxruntime = require("onnxruntime", "convert")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    rows: list[list[FloatArray]] = []
    count = len(next(iter(clips.values())))
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        step = 1 if isinstance(session.get_inputs()[0].shape[0], int) else _BATCH
        for start in range(0, count, step):
            feeds = {stream: np.ascontiguousarray(values[start : start + step]) for stream, values in clips.items()}
            rows.append(session.run(names, feeds))
    except Exception as error:  # its exceptions have no base of their own
        raise _failure("onnxruntime refuses the exported file", error) from error
    return {
        name.removeprefix("logits_"): np.concatenate([row[position] for row in rows])
        for position, name in enumerate(names)
    }


def _failure(what: str, error: Exception) -> ConversionError:
    return ConversionError(
        what,
        expected="an ONNX file of the folded student",
        got=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
        hint="convert without --onnx and --qdq, or report this student",
    )
