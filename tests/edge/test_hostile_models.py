"""Whatever a bundle holds, it is refused with a typed error or it runs: soon, in little memory, never with a crash.

Malformed content is made with correct digests, as an attacker would. Where the interpreter itself might crash, a child
process tries.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from fuzz_models import fuzz, parts, seal

from asma_converters.tflite_writer import pack_model
from asma_edge.archive import unpack
from asma_edge.bundle import read_bundle
from asma_edge.errors import BundleError
from asma_edge.model_check import check_model
from asma_edge.model_file import FLOAT32, INT8, INT32, Code
from asma_edge.operator_check import INT8_VERSIONS
from asma_edge.runtime import Runtime

SECONDS, PEAK_MIB = 2.0, 190.0
MakeBundle = Callable[..., Path]
OPERATORS = schema.BuiltinOperator


def model_of(path: Path) -> Any:
    """The schema's objects, to be damaged; buffers are packed aligned, as the writer does."""
    from asma_converters.packing import Buffer

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(parts(path)[0], 0))
    for index, buffer in enumerate(model.buffers):
        model.buffers[index] = Buffer(None if buffer.data is None else bytes(buffer.data))
    for graph in model.subgraphs:
        for entry in graph.operators:
            entry.inputs, entry.outputs = list(entry.inputs), list(entry.outputs)
    return model


def operator(model: Any, code: int, graph: int = 0) -> Any:
    return next(o for o in model.subgraphs[graph].operators if model.operatorCodes[o.opcodeIndex].builtinCode == code)


def tensor(model: Any, index: int) -> Any:
    return model.subgraphs[0].tensors[index]


def constant(model: Any, values: list[int]) -> int:
    """The number of a new int32 constant of the first graph."""
    from asma_converters.packing import Buffer

    model.buffers.append(Buffer(np.array(values, np.int32).tobytes()))
    new = schema.TensorT()
    new.name, new.shape, new.type, new.buffer = "new", [len(values)], INT32, len(model.buffers) - 1
    model.subgraphs[0].tensors.append(new)
    return len(model.subgraphs[0].tensors) - 1


def slice_without_begin(model: Any) -> None:
    operator(model, OPERATORS.SLICE).inputs = operator(model, OPERATORS.SLICE).inputs[:1]


def slice_outside(model: Any) -> None:
    operator(model, OPERATORS.SLICE).inputs[1] = constant(model, [0, 1 << 20, 0, 0])


def slice_overflowing(model: Any) -> None:
    operator(model, OPERATORS.SLICE).inputs[1] = constant(model, [0, (1 << 31) - 1, 0, 0])


def axes_outside(model: Any) -> None:
    operator(model, OPERATORS.MEAN).inputs[1] = constant(model, [77])


def axes_repeated(model: Any) -> None:
    operator(model, OPERATORS.TRANSPOSE).inputs[1] = constant(model, [0, 1, 1, 3])


def no_strides(model: Any) -> None:
    operator(model, OPERATORS.CONV_2D).builtinOptions.strideH = 0


def dilation(model: Any) -> None:
    operator(model, OPERATORS.CONV_2D).builtinOptions.dilationHFactor = 1 << 30


def unknown_activation(model: Any) -> None:
    operator(model, OPERATORS.CONV_2D).builtinOptions.fusedActivationFunction = 99


def options_of_another_operator(model: Any) -> None:
    operator(model, OPERATORS.CONV_2D).builtinOptionsType = schema.BuiltinOptions.SliceOptions


def no_options(model: Any) -> None:
    operator(model, OPERATORS.CONV_2D).builtinOptionsType = 0
    operator(model, OPERATORS.CONV_2D).builtinOptions = None


def custom_operator(model: Any) -> None:
    model.operatorCodes[0].customCode = "FlexRun"


def another_operator(model: Any) -> None:
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = OPERATORS.WHILE


def negative_tensor(model: Any) -> None:
    operator(model, OPERATORS.ADD).inputs[1] = -1


def tensor_outside(model: Any) -> None:
    operator(model, OPERATORS.ADD).inputs[1] = 1 << 30


def zero_scale(model: Any) -> None:
    tensor(model, operator(model, OPERATORS.CONV_2D).outputs[0]).quantization.scale = np.zeros(1, np.float32)


def scale_that_is_no_number(model: Any) -> None:
    tensor(model, operator(model, OPERATORS.CONV_2D).outputs[0]).quantization.scale = np.array([np.nan], np.float32)


def tiny_output_scale_of_an_addition(model: Any) -> None:
    for entry in model.subgraphs[0].operators:
        parameters = tensor(model, entry.outputs[0]).quantization
        if model.operatorCodes[entry.opcodeIndex].builtinCode == OPERATORS.ADD and parameters is not None:
            parameters.scale = np.array([1e-30], np.float32)


def huge_activation(model: Any) -> None:
    tensor(model, 0).shape = [1, 1 << 24, 1 << 24, 3]


def negative_shape(model: Any) -> None:
    tensor(model, 0).shape = [1, -1, 17, 3]


def too_many_axes(model: Any) -> None:
    tensor(model, 0).shape = [1] * 40


def written_constant(model: Any) -> None:
    conv = operator(model, OPERATORS.CONV_2D)
    conv.outputs[0] = conv.inputs[1]


def read_before_written(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def input_from_a_constant(model: Any) -> None:
    tensor(model, 0).buffer = len(model.buffers) - 1


def no_operators(model: Any) -> None:
    model.subgraphs[0].operators = []


def variable_tensor(model: Any) -> None:
    tensor(model, 0).isVariable = True


def dynamic_shape(model: Any) -> None:
    tensor(model, 0).shapeSignature = [1, -1, 17, 3]


def sparse_weights(model: Any) -> None:
    tensor(model, operator(model, OPERATORS.CONV_2D).inputs[1]).sparsity = schema.SparsityParametersT()


def metadata(model: Any) -> None:
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", 1 << 20
    model.metadata = [entry]


def one_name_twice(model: Any) -> None:
    model.signatureDefs[0].outputs[1].name = model.signatureDefs[0].outputs[0].name


def one_signature_twice(model: Any) -> None:
    model.signatureDefs[1].signatureKey = model.signatureDefs[0].signatureKey


def many_copies_of_a_weight(model: Any) -> None:
    """Little in the file, but every operator packs a copy."""
    conv = operator(model, OPERATORS.CONV_2D)
    weight = tensor(model, conv.inputs[1])
    model.buffers[weight.buffer].data = bytes(16 << 20)
    weight.shape = [16 << 20, 1, 1, 1]


def depthwise(model: Any) -> Any:
    return operator(model, OPERATORS.DEPTHWISE_CONV_2D)


def depthwise_weight(model: Any) -> Any:
    return tensor(model, depthwise(model).inputs[1])


def depthwise_without_strides(model: Any) -> None:
    depthwise(model).builtinOptions.strideH = 0


def depthwise_of_a_negative_stride(model: Any) -> None:
    depthwise(model).builtinOptions.strideH = -1


def depthwise_of_a_stride_across_joints(model: Any) -> None:
    depthwise(model).builtinOptions.strideW = 2


def depthwise_of_a_stride_that_does_not_fit(model: Any) -> None:
    depthwise(model).builtinOptions.strideH = 2


def depthwise_multiplier(model: Any) -> None:
    depthwise(model).builtinOptions.depthMultiplier = 2


def no_depthwise_multiplier(model: Any) -> None:
    depthwise(model).builtinOptions.depthMultiplier = 0


def depthwise_dilation(model: Any) -> None:
    depthwise(model).builtinOptions.dilationHFactor = 3


def depthwise_padding(model: Any) -> None:
    depthwise(model).builtinOptions.padding = schema.Padding.SAME


def depthwise_activation(model: Any) -> None:
    depthwise(model).builtinOptions.fusedActivationFunction = 4


def depthwise_without_a_bias(model: Any) -> None:
    depthwise(model).inputs = depthwise(model).inputs[:2]


def depthwise_quantised_along_the_first_axis(model: Any) -> None:
    depthwise_weight(model).quantization.quantizedDimension = 0


def depthwise_quantised_along_taps(model: Any) -> None:
    depthwise_weight(model).quantization.quantizedDimension = 1


def depthwise_quantised_outside(model: Any) -> None:
    depthwise_weight(model).quantization.quantizedDimension = 4


def depthwise_with_one_scale(model: Any) -> None:
    parameters = depthwise_weight(model).quantization
    parameters.scale, parameters.zeroPoint = parameters.scale[:1], parameters.zeroPoint[:1]


def depthwise_with_a_zero_point(model: Any) -> None:
    zeros = depthwise_weight(model).quantization.zeroPoint.copy()
    zeros[-1] = 1
    depthwise_weight(model).quantization.zeroPoint = zeros


def depthwise_with_a_zero_scale(model: Any) -> None:
    scales = depthwise_weight(model).quantization.scale.copy()
    scales[0] = 0
    depthwise_weight(model).quantization.scale = scales


def depthwise_of_other_channels(model: Any) -> None:
    """As many numbers, but the channels where the taps should be."""
    _, taps, one, channels = depthwise_weight(model).shape
    depthwise_weight(model).shape = [1, channels, one, taps]


def depthwise_of_two_filters(model: Any) -> None:
    from asma_converters.packing import Buffer

    weight = depthwise_weight(model)
    model.buffers.append(Buffer(bytes(model.buffers[weight.buffer].data) * 2))
    weight.shape, weight.buffer = [2, *weight.shape[1:]], len(model.buffers) - 1


def depthwise_of_version_1(model: Any) -> None:
    model.operatorCodes[depthwise(model).opcodeIndex].version = 1


def depthwise_as_a_convolution(model: Any) -> None:
    code = model.operatorCodes[depthwise(model).opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = OPERATORS.CONV_2D


def convolution_quantised_along_the_last_axis(model: Any) -> None:
    weight = tensor(model, operator(model, OPERATORS.CONV_2D).inputs[1])
    weight.quantization.quantizedDimension = 3


def activation_quantised_along_the_last_axis(model: Any) -> None:
    tensor(model, depthwise(model).outputs[0]).quantization.quantizedDimension = 3


def convolution_of_an_enormous_stride(model: Any) -> None:
    strided = [o for o in model.subgraphs[0].operators if getattr(o.builtinOptions, "strideH", 1) > 1]
    strided[0].builtinOptions.strideH = (1 << 31) - 1


ATTACKS_ON_OTHER_BLOCKS = [
    depthwise_without_strides, depthwise_of_a_negative_stride, depthwise_of_a_stride_across_joints,
    depthwise_of_a_stride_that_does_not_fit, depthwise_multiplier, no_depthwise_multiplier, depthwise_dilation,
    depthwise_padding, depthwise_activation, depthwise_without_a_bias, depthwise_quantised_along_the_first_axis,
    depthwise_quantised_along_taps, depthwise_quantised_outside, depthwise_with_one_scale, depthwise_with_a_zero_point,
    depthwise_with_a_zero_scale, depthwise_of_other_channels, depthwise_of_two_filters, depthwise_of_version_1,
    depthwise_as_a_convolution, convolution_quantised_along_the_last_axis, activation_quantised_along_the_last_axis,
    convolution_of_an_enormous_stride,
]  # fmt: skip
ATTACKS = [
    slice_without_begin, slice_outside, slice_overflowing, axes_outside, axes_repeated, no_strides, dilation,
    unknown_activation, options_of_another_operator, no_options, custom_operator, another_operator, negative_tensor,
    tensor_outside, zero_scale, scale_that_is_no_number, tiny_output_scale_of_an_addition, huge_activation,
    negative_shape, too_many_axes, written_constant, read_before_written, input_from_a_constant, no_operators,
    variable_tensor, dynamic_shape, sparse_weights, metadata, one_name_twice, one_signature_twice,
    many_copies_of_a_weight,
]  # fmt: skip


@pytest.fixture
def victim(make_bundle: MakeBundle) -> Path:
    return make_bundle("coco17", streams=("joint", "motion"))


@pytest.mark.parametrize(
    ("attack", "blocks"), [*((a, "plain") for a in ATTACKS), *((a, "strided") for a in ATTACKS_ON_OTHER_BLOCKS)]
)
def test_models_that_might_crash_the_interpreter_are_refused_before_it(
    make_bundle: MakeBundle,
    tmp_path: Path,
    attack: Callable[[Any], None],
    blocks: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    victim = make_bundle("coco17", streams=("joint", "motion"), blocks=blocks)
    model = model_of(victim)
    check_model(pack_model(model))
    attack(model)
    path = tmp_path / "hostile.tflite"
    path.write_bytes(seal(pack_model(model), parts(victim)[1]))
    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter.__init__", lambda *_, **__: pytest.fail("it was run"))
    with pytest.raises(BundleError, match="not run") as caught:
        Runtime(read_bundle(path))
    assert caught.value.expected
    assert caught.value.got
    assert caught.value.hint


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize(
    ("layout", "mode", "sampling", "blocks"),
    [
        ("ntu25", "stream", "window", "plain"),
        ("body13", "clip", "clip", "plain"),
        ("coco17", "clip", "window", "plain"),
        ("ntu25", "stream", "window", "strided"),
    ],
)
def test_what_the_converter_writes_passes(
    make_bundle: MakeBundle, precision: str, layout: str, mode: str, sampling: str, blocks: str
) -> None:
    check_model(read_bundle(make_bundle(layout, precision, mode, sampling=sampling, blocks=blocks)).model)


def test_the_codes_are_those_of_the_schema() -> None:
    assert {code.name: int(code) for code in Code} == {code.name: getattr(OPERATORS, code.name) for code in Code}
    types = schema.TensorType
    assert (FLOAT32, INT32, INT8) == (types.FLOAT32, types.INT32, types.INT8)
    assert set(INT8_VERSIONS) | {Code.MUL} == set(Code)


def test_truncated_and_foreign_models_are_refused(victim: Path) -> None:
    model = parts(victim)[0]
    for length in (*range(64), *range(64, len(model) - 1, 997)):
        with pytest.raises(BundleError, match="not run"):
            check_model(model[:length])
    for content in (b"", b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL3" + bytes(4096), b"\xff" * 4096):
        with pytest.raises(BundleError, match="not run"):
            check_model(content)


MEASURE = """
import sys, time
from pathlib import Path
import ai_edge_litert.interpreter
from asma_edge import BundleError, read_bundle
from asma_edge.runtime import Runtime
start = time.process_time()
try:
    Runtime(read_bundle(sys.argv[1]))
    print("ran")
except BundleError as error:
    seconds = time.process_time() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(seconds, int(status["VmHWM"].split()[0]) / 1024, error.got)
"""


def refusal(path: Path) -> tuple[float, float, str]:
    """(seconds of CPU, peak memory of the process in MiB, what it got) of a bundle that a child process refuses."""
    answer = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    seconds, peak, got = answer.stdout.split(" ", 2)
    return float(seconds), float(peak), got


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def repeated(content: bytes, count: int) -> bytes:
    """An archive of a member many times over, under names of its own; deflated once."""
    one = packed({"0.npy": content})
    local, entry = one[: one.index(b"PK\1\2")], one[one.index(b"PK\1\2") : -22]
    names = [b"%c.npy" % (48 + number) for number in range(count)]
    body = b"".join(local.replace(b"0.npy", name, 1) for name in names)
    entries = b"".join(
        entry[:42] + (number * len(local)).to_bytes(4, "little") + name for number, name in enumerate(names)
    )
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(entries), len(body), 0)
    return body + entries + end


def test_a_bomb_of_many_arrays_stops_at_the_limit(victim: Path, tmp_path: Path) -> None:
    """Each array is within the limit, all of them are 3.75 GiB."""
    model, members = parts(victim)
    few = repeated(bytes(1000), 64)
    assert all(np.frombuffer(content, np.uint8).sum() == 0 for content in unpack(few, 64_000, 64).values())
    path = tmp_path / "bomb.tflite"
    path.write_bytes(seal(model, {**members, "golden.npz": repeated(bytes(60 << 20), 64)}, zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 1 << 20
    seconds, peak, got = refusal(path)
    assert seconds < SECONDS
    assert peak < PEAK_MIB
    assert "bytes" in got


def test_the_largest_arrays_that_are_unpacked_stay_within_memory(victim: Path, tmp_path: Path) -> None:
    model, members = parts(victim)
    path = tmp_path / "large.tflite"
    bomb = packed({f"{index}.npy": bytes(31 << 20) for index in range(2)})
    path.write_bytes(seal(model, {**members, "golden.npz": bomb}))
    seconds, peak, _ = refusal(path)
    assert seconds < SECONDS
    assert peak < PEAK_MIB


def test_attacks_are_refused_soon_and_in_little_memory(victim: Path, tmp_path: Path) -> None:
    """Models that claim, point or repeat their way to gigabytes or hours."""
    _, members = parts(victim)
    for attack in (huge_activation, many_copies_of_a_weight, slice_without_begin, zero_scale):
        model = model_of(victim)
        attack(model)
        path = tmp_path / "hostile.tflite"
        path.write_bytes(seal(pack_model(model), members))
        seconds, peak, _ = refusal(path)
        assert seconds < SECONDS
        assert peak < PEAK_MIB


@pytest.mark.parametrize(("precision", "blocks"), [("int8", "plain"), ("float32", "plain"), ("int8", "strided")])
def test_mutated_bundles_are_refused_or_run(make_bundle: MakeBundle, precision: str, blocks: str) -> None:
    outcome = fuzz(make_bundle("coco17", precision, streams=("joint",), blocks=blocks), seed=2, count=150)
    assert outcome.crashed == []
    assert outcome.tried == 150
    assert outcome.refused > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "precision", "mode", "sampling", "blocks"),
    [
        ("coco17", "int8", "stream", "window", "plain"),
        ("coco17", "float32", "stream", "window", "plain"),
        ("ntu25", "int8", "clip", "clip", "plain"),
        ("coco17", "int8", "stream", "window", "strided"),
    ],
)
def test_ten_thousand_mutated_bundles_are_refused_or_run(
    make_bundle: MakeBundle, layout: str, precision: str, mode: str, sampling: str, blocks: str
) -> None:
    path = make_bundle(layout, precision, mode, sampling=sampling, streams=("joint",), blocks=blocks)
    outcome = fuzz(path, seed=1, count=3400)
    assert outcome.crashed == []
    assert outcome.tried == 3400


def test_the_stamp_is_checked_before_the_model(victim: Path, tmp_path: Path) -> None:
    model, members = parts(victim)
    values = json.loads(members["asma.json"])
    assert values["model_bytes"] == len(model)
    path = tmp_path / "stamp.tflite"
    path.write_bytes(seal(model + bytes(16), members))
    assert len(read_bundle(path).model) == len(model) + 16
