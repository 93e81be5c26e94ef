"""The folded student as ONNX: a stage of the conversion, and a file for other tools."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from asma_converters.deploy import DeployModel
from asma_converters.errors import ConversionError
from asma_edge.skeleton import FloatArray

OPSET = 17
_BATCH = 64


def export_onnx(model: DeployModel, path: Path, window: int, joints: int) -> None:
    """Write a float32 ONNX file: inputs ``<stream>`` (N, T, V, 3), outputs ``logits_<stream>`` (N, K), any N.

    Raises:
        ConversionError: the optional packages are not installed.
    """
    outputs = [f"logits_{stream}" for stream in model.streams]
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
                output_names=outputs,
                dynamic_axes={name: {0: "clips"} for name in [*model.streams, *outputs]},
                opset_version=OPSET,
                dynamo=False,
            )
        except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
            raise _missing(str(error)) from error


def onnx_logits(path: Path, clips: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """{stream: (n, K)} as onnxruntime computes them.

    Raises:
        ConversionError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing(str(error)) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [f"logits_{stream}" for stream in clips]
    parts: list[list[FloatArray]] = []
    count = len(next(iter(clips.values())))
    for start in range(0, count, _BATCH):
        feeds = {stream: np.ascontiguousarray(values[start : start + _BATCH]) for stream, values in clips.items()}
        parts.append(session.run(names, feeds))
    return {stream: np.concatenate([part[position] for part in parts]) for position, stream in enumerate(clips)}


def _missing(reason: str) -> ConversionError:
    return ConversionError(
        "cannot export to ONNX",
        expected="the packages onnx and onnxruntime",
        got=reason.splitlines()[0] if reason else "",
        hint="pip install 'asma-edge[convert]', or convert without --onnx",
    )
