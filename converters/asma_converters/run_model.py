"""Any TFLite model on some inputs, run in a process of its own (`asma_converters.guarded`).

As a module: ``python -m asma_converters.run_model MODEL INPUTS.npz OUTPUTS.npz``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_converters.guarded import limit_memory, run_module
from asma_edge.skeleton import FloatArray


def run_model(model: bytes, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """{output: (n, ...)} real numbers, whatever the file's own types are.

    Inputs and outputs have the names of the file's first signature, or of its tensors where it has none.

    Args:
        model: a TFLite file.
        inputs: {input: (n, ...)}, each row one call's, without the axis of the batch of one.

    Raises:
        ConversionError: LiteRT refuses it or does not survive it.
    """
    with tempfile.TemporaryDirectory(prefix="asma-") as folder:
        place = Path(folder)
        (place / "model.tflite").write_bytes(model)
        _save(place / "inputs.npz", inputs)
        names = [str(place / name) for name in ("model.tflite", "inputs.npz", "outputs.npz")]
        run_module("asma_converters.run_model", names, what="running the model")
        with np.load(place / "outputs.npz", allow_pickle=False) as outputs:
            return {_name(key): outputs[key] for key in outputs.files}


def _save(path: Path, arrays: Mapping[str, FloatArray]) -> None:
    np.savez(path, allow_pickle=False, **{_key(name): values for name, values in arrays.items()})


def _key(name: str) -> str:
    """An array's name that a ZIP archive can hold: tensors are called ``serving_default_x:0`` or ``a/b``."""
    return name.encode().hex()


def _name(key: str) -> str:
    return bytes.fromhex(key).decode()


def _compute(model: Path, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    given, wanted = _details(interpreter)
    if set(given) != set(inputs):
        raise ValueError(f"inputs {', '.join(given)}; expected {', '.join(inputs)}")
    interpreter.allocate_tensors()
    rows: dict[str, list[FloatArray]] = {name: [] for name in wanted}
    for number in range(len(next(iter(inputs.values())))):
        for name, details in given.items():
            interpreter.set_tensor(details["index"], _stored(inputs[name][number], details))
        interpreter.invoke()
        for name, details in wanted.items():
            rows[name].append(_real(interpreter.get_tensor(details["index"]), details))
    return {name: np.stack(values)[:, 0] for name, values in rows.items()}


def _details(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """{name: details} of inputs and outputs of the first graph."""
    given, wanted = interpreter.get_input_details(), interpreter.get_output_details()
    signatures = interpreter.get_signature_list()
    if not signatures:
        return {d["name"]: d for d in given}, {d["name"]: d for d in wanted}
    runner = interpreter.get_signature_runner(next(iter(signatures)))
    by_index = [{d["index"]: d for d in details} for details in (given, wanted)]
    named = [runner.get_input_details(), runner.get_output_details()]
    return (
        {name: by_index[0][d["index"]] for name, d in named[0].items()},
        {name: by_index[1][d["index"]] for name, d in named[1].items()},
    )


def _stored(values: FloatArray, details: Mapping[str, Any]) -> npt.NDArray[Any]:
    values = values.reshape(details["shape"])
    if details["dtype"] == np.float32:
        return values.astype(np.float32)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(details["dtype"])
    stored: npt.NDArray[Any] = np.clip(np.round(values / scale) + zero_point, limits.min, limits.max)
    return stored.astype(details["dtype"])


def _real(values: npt.NDArray[Any], details: Mapping[str, Any]) -> FloatArray:
    if values.dtype == np.float32:
        return values
    scale, zero_point = details["quantization"]
    real: FloatArray = ((values.astype(np.float32) - zero_point) * np.float32(scale)).astype(np.float32)
    return real


def main(arguments: list[str]) -> int:
    """The process: exit code 1 and the reason as the last line of standard error."""
    limit_memory()
    model, inputs, outputs = map(Path, arguments)
    with np.load(inputs, allow_pickle=False) as given:
        arrays = {_name(key): given[key] for key in given.files}
    try:
        computed = _compute(model, arrays)
    except (ValueError, RuntimeError, KeyError, IndexError, MemoryError) as error:
        print((str(error).splitlines() or [type(error).__name__])[0], file=sys.stderr)
        return 1
    _save(outputs, computed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
