"""Somebody else's model in a bundle: it runs as it computes, or is refused by name, and nothing is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from asma_converters.cli import main
from asma_converters.errors import ConversionError
from asma_converters.guarded import run_module
from asma_converters.ir import Graph
from asma_converters.packing import Buffer
from asma_converters.run_model import run_model
from asma_converters.tflite_writer import build_model, pack_model
from asma_converters.wrap.bundle import WrapError, wrap
from asma_converters.wrap.description import DescriptionError, read_description
from asma_edge import Recognizer
from asma_edge.bundle import read_bundle
from asma_edge.errors import BundleError
from asma_edge.model_check import check_model
from asma_edge.verify import verify

WINDOW, JOINTS, CLASSES = 6, 17, 4
CODES = schema.BuiltinOperator
DESCRIPTION = """
layout = "coco17"
labels = ["sit", "stand", "walk", "wave"]
fps = 15
window = 6
[preprocess]
steps = ["fill", "centre"]
units = "metres"
"""
Change = Callable[[Any], None]


def network(streams: tuple[str, ...] = ("x",), *, broken: bool = False) -> Graph:
    """A small classifier with random weights; ``broken``: one weight is no number."""
    rng, graph = np.random.default_rng(0), Graph()
    for stream in streams:
        x = graph.input(stream, (1, WINDOW, JOINTS, 3))
        y = graph.conv(x, rng.normal(0, 0.5, (8, 3, 1, 3)), rng.normal(0, 0.1, 8), relu=True)
        y = graph.mean(graph.transpose(y, (0, 2, 1, 3)), (1, 2), keep=False)
        weight = rng.normal(0, 1, (CLASSES, 8))
        weight[0, 0] = np.nan if broken else weight[0, 0]
        graph.output(f"y_{stream}" if len(streams) > 1 else "y", graph.dense(y, weight, rng.normal(0, 0.1, CLASSES)))
    return graph


def foreign(change: Change | None = None, graph: Graph | None = None) -> bytes:
    """The network as another tool might write it: no signature, and fields that say nothing to the interpreter."""
    model = build_model({"serving_default": graph or network()}, None)
    body = model.subgraphs[0]
    model.signatureDefs = []
    model.description = "MLIR Converted."
    entry = schema.MetadataT()
    entry.name, entry.buffer = "min_runtime_version", len(model.buffers)
    model.metadata = [entry]
    model.buffers.append(Buffer(b"1.5.0"))
    for tensor in body.tensors:
        tensor.shapeSignature = [-1, *tensor.shape[1:]]
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.min, tensor.quantization.max = np.array([-1.0], np.float32), np.array([1.0], np.float32)
    if change is not None:
        change(model)
    return pack_model(model)


def operators(model: Any, code: int) -> list[Any]:
    """The model's operators of one kind."""
    return [
        operator
        for operator in model.subgraphs[0].operators
        if model.operatorCodes[operator.opcodeIndex].builtinCode == code
    ]


def append(model: Any, code: int, kind: int = 0, options: Any = None) -> None:
    """One more operator behind the first output, of its shape."""
    body = model.subgraphs[0]
    entry = schema.OperatorCodeT()
    entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = "answer", [1, CLASSES], schema.TensorType.FLOAT32, 0
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs = len(model.operatorCodes), np.array(body.outputs[:1], np.int32)
    operator.outputs = np.array([len(body.tensors)], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    model.operatorCodes.append(entry)
    body.tensors.append(tensor)
    body.operators.append(operator)
    body.outputs = operator.outputs


def softmax(beta: float) -> Change:
    """Append a softmax."""
    options = schema.SoftmaxOptionsT(beta=beta)
    return lambda model: append(model, CODES.SOFTMAX, schema.BuiltinOptions.SoftmaxOptions, options)


def without_bias(model: Any) -> None:
    (dense,) = operators(model, CODES.FULLY_CONNECTED)
    dense.inputs = np.array([*dense.inputs[:2], -1], np.int32)


def with_three_axes(model: Any) -> None:
    """As Keras does for a dense layer on sequences, with its shape taken back behind it."""
    (dense,) = operators(model, CODES.FULLY_CONNECTED)
    dense.builtinOptions.keepNumDims = True
    (mean,) = operators(model, CODES.MEAN)
    mean.builtinOptions.keepDims = True
    body = model.subgraphs[0]
    body.tensors[mean.outputs[0]].shape = [1, 1, 1, 8]
    body.tensors[dense.outputs[0]].shape = [1, 1, 1, CLASSES]
    append(model, CODES.SQUEEZE, schema.BuiltinOptions.SqueezeOptions, schema.SqueezeOptionsT(squeezeDims=[1, 2]))


def with_negative_axes(model: Any) -> None:
    (mean,) = operators(model, CODES.MEAN)
    axes = model.subgraphs[0].tensors[mean.inputs[1]]
    model.buffers[axes.buffer] = Buffer(np.array([-2, -3], np.int32).tobytes())


@pytest.fixture
def files(tmp_path: Path) -> Callable[[bytes, str], tuple[Path, Path]]:
    """Writes a model and its description."""

    def write(model: bytes, text: str = DESCRIPTION) -> tuple[Path, Path]:
        (tmp_path / "theirs.tflite").write_bytes(model)
        (tmp_path / "asma.toml").write_text(text)
        return tmp_path / "theirs.tflite", tmp_path / "asma.toml"

    return write


@pytest.mark.parametrize("change", [None, without_bias, with_three_axes, with_negative_axes, softmax(1.0)])
def test_a_foreign_model_runs_as_it_computes(
    files: Callable[..., tuple[Path, Path]], motion: Callable[..., Any], change: Change | None
) -> None:
    data = foreign(change)
    with pytest.raises(BundleError):
        check_model(data)  # as it is, no device would run it
    model, description = files(data)
    report = wrap(model, description)
    assert report.output == model.with_name("theirs.asma.tflite")
    assert model.read_bytes() == data
    bundle = read_bundle(report.output)
    check_model(bundle.model)
    assert all(check.passed for check in verify(bundle))
    assert bundle.info.name == "theirs"
    assert (bundle.info.mode, bundle.info.precision) == ("clip", "float32")
    assert bundle.info.parameters == report.info.parameters == 8 * 9 + 8 + CLASSES * 8 + CLASSES
    assert bundle.info.macs == 8 * 9 * (WINDOW - 2) * JOINTS + CLASSES * 8
    golden = bundle.golden
    (theirs,) = run_model(data, {"x": golden["input.joint"]}).values()
    ours = golden["logits"][:, 0]
    if report.softmax:
        ours = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(ours, theirs.reshape(ours.shape), atol=1e-6)
    with Recognizer.load(report.output) as recognizer:
        result = recognizer.predict(motion(recognizer.layout, 30, 1), fps=15)
        assert result.scores.shape == (CLASSES,)


def test_streams_are_told_apart_by_name(files: Callable[..., tuple[Path, Path]]) -> None:
    data = foreign(graph=network(("a", "b")))
    text = 'streams = ["joint", "bone"]\nfusion = [0.25, 0.75]\n' + DESCRIPTION
    model, description = files(data, text)
    with pytest.raises(DescriptionError) as caught:
        wrap(model, description)
    assert "[inputs]" in caught.value.got
    first, second = names(data)[1]
    described = text + f'[inputs]\njoint = "b"\nbone = "a"\n[outputs]\njoint = "{second}"\nbone = "{first}"\n'
    report = wrap(*files(data, described))
    golden = read_bundle(report.output).golden
    theirs = run_model(data, {"b": golden["input.joint"], "a": golden["input.bone"]})
    np.testing.assert_allclose(golden["logits"][:, 0], theirs[second], atol=1e-6)
    np.testing.assert_allclose(golden["logits"][:, 1], theirs[first], atol=1e-6)


def names(data: bytes) -> tuple[list[str], list[str]]:
    """Names of the input and output tensors."""
    body = schema.ModelT.InitFromPackedBuf(data, 0).subgraphs[0]
    return [body.tensors[i].name.decode() for i in body.inputs], [body.tensors[i].name.decode() for i in body.outputs]


def set_activation(code: int) -> Change:
    def change(model: Any) -> None:
        (conv,) = operators(model, CODES.CONV_2D)
        conv.builtinOptions.fusedActivationFunction = code

    return change


def custom(model: Any) -> None:
    append(model, CODES.CUSTOM)
    model.operatorCodes[-1].customCode = "FlexSomething"


def dilated(model: Any) -> None:
    (conv,) = operators(model, CODES.CONV_2D)
    conv.builtinOptions.dilationHFactor = 2


def softmax_inside(model: Any) -> None:
    softmax(1.0)(model)
    append(model, CODES.LOGISTIC)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (set_activation(schema.ActivationFunctionType.RELU6), "CONV_2D (with RELU6)"),
        (dilated, "CONV_2D (with dilation)"),
        (custom, "CUSTOM FlexSomething"),
        (softmax_inside, "LOGISTIC, SOFTMAX (not as the last)"),
        (softmax(2.0), "SOFTMAX (with a temperature)"),
    ],
)
def test_what_no_device_runs_is_refused_by_operator(
    files: Callable[..., tuple[Path, Path]], change: Change, name: str
) -> None:
    model, description = files(foreign(change))
    with pytest.raises(WrapError) as caught:
        wrap(model, description)
    assert caught.value.got == f"operators that no bundle has: {name}"
    assert "asma-train" in caught.value.hint
    assert not model.with_name("theirs.asma.tflite").exists()


def zero_stride(model: Any) -> None:
    (conv,) = operators(model, CODES.CONV_2D)
    conv.builtinOptions.strideH = 0


def one_operand(model: Any) -> None:
    (mean,) = operators(model, CODES.MEAN)
    mean.inputs = mean.inputs[:1]


def no_such_tensor(model: Any) -> None:
    (mean,) = operators(model, CODES.MEAN)
    mean.inputs = np.array([mean.inputs[0], 4000], np.int32)


def lying_shape(model: Any) -> None:
    model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].shape = [1, CLASSES, 1000]


@pytest.mark.parametrize("change", [zero_stride, one_operand, no_such_tensor, lying_shape])
def test_what_makes_no_sense_is_refused_before_any_interpreter_sees_it(
    files: Callable[..., tuple[Path, Path]], change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interpreter(*_: object) -> None:
        raise AssertionError("the interpreter was asked")

    monkeypatch.setattr("asma_converters.wrap.bundle.run_model", interpreter)
    monkeypatch.setattr("asma_converters.wrap.bundle.clip_logits", interpreter)
    model, description = files(foreign(change))
    with pytest.raises(ConversionError):
        wrap(model, description)
    assert not model.with_name("theirs.asma.tflite").exists()


@pytest.mark.parametrize("data", [b"", b"no model", b"\0\0\0\0TFL3", foreign()[:500]])
def test_what_is_no_model_is_refused(files: Callable[..., tuple[Path, Path]], data: bytes) -> None:
    model, description = files(data)
    with pytest.raises(WrapError, match="cannot be wrapped"):
        wrap(model, description)


def test_outputs_that_are_no_numbers_are_refused(files: Callable[..., tuple[Path, Path]]) -> None:
    model, description = files(foreign(graph=network(broken=True)))
    with pytest.raises(WrapError, match="not finite"):
        wrap(model, description)
    assert not model.with_name("theirs.asma.tflite").exists()


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("window = 6", "window = 7", "(1, 7, 17, 3)"),
        ('layout = "coco17"', 'layout = "ntu25"', "(1, 6, 25, 3)"),
        ('"walk", ', "", "(1, 3)"),
    ],
)
def test_a_description_of_another_model_is_refused(
    files: Callable[..., tuple[Path, Path]], line: str, replacement: str, said: str
) -> None:
    model, description = files(foreign(), DESCRIPTION.replace(line, replacement))
    with pytest.raises(DescriptionError, match="does not fit") as caught:
        wrap(model, description)
    assert caught.value.expected == said


@pytest.mark.parametrize(
    ("line", "replacement", "said"),
    [
        ("fps = 15", "", "no 'fps'"),
        ("fps = 15", "fsp = 15\nfps = 15", "unknown key 'fsp'"),
        ("fps = 15", "fps = -1", "fps"),
        ("fps = 15", 'fps = "fast"', "fps"),
        ("fps = 15", "fps = nan", "fps"),
        ("window = 6", "window = 6.5", "window"),
        ('layout = "coco17"', 'layout = "octopus"', "unknown layout"),
        ('layout = "coco17"', "layout = 17", "cannot read a layout"),
        ('units = "metres"', 'units = "feet"', "feet"),
        ('units = "metres"', "", "[preprocess]"),
        ('steps = ["fill", "centre"]', 'steps = ["centre"]', "'fill' is not the first step"),
        ('steps = ["fill", "centre"]', 'steps = "fill"', "preprocess.steps"),
        ('labels = ["sit", ', 'labels = ["stand", ', "labels"),
        ("fps = 15", "fps = 15\nidle_label = 'sleep'", "idle_label"),
        ("fps = 15", "fps = 15\nstreams = ['joint', 'depth']", "streams"),
        ("fps = 15", "fps = 15\nfusion = [0.5]", "fusion"),
        ("fps = 15", "fps = 15\nfusion = 1.0", "fusion"),
        ("fps = 15", "fps = 15\nname = 'a/b'", "name"),
        ("[preprocess]", "[decision]\nenter = 3.0\n[preprocess]", "decision"),
        ("[preprocess]", "[decision]\nentre = 0.5\n[preprocess]", "entre"),
        ("[preprocess]", "[outputs]\nbone = 'y'\n[preprocess]", "[outputs]"),
        ("[preprocess]", "[inputs]\njoint = 3\n[preprocess]", "[inputs]"),
        ("window = 6", "window = ", "cannot read"),
    ],
)
def test_bad_descriptions_are_refused_by_key(tmp_path: Path, line: str, replacement: str, said: str) -> None:
    assert line in DESCRIPTION
    path = tmp_path / "asma.toml"
    path.write_text(DESCRIPTION.replace(line, replacement))
    with pytest.raises(DescriptionError) as caught:
        read_description(path, "theirs")
    assert said in str(caught.value)


def test_a_description_says_all_that_a_bundle_can(tmp_path: Path) -> None:
    path = tmp_path / "asma.toml"
    extra = 'name = "mine"\nidle_label = "sit"\ntemperature = 2\nsampling = "clip"\n'
    path.write_text(extra + DESCRIPTION + "[decision]\nenter = 0.5\nleave = 0.4\n[provenance]\nlicence = 'MIT'\n")
    info = read_description(path, "theirs").info
    assert (info.name, info.idle_label, info.temperature, info.sampling) == ("mine", "sit", 2, "clip")
    assert (info.decision.enter, info.decision.leave) == (0.5, 0.4)
    assert info.provenance == {"licence": "MIT"}


def test_the_command(files: Callable[..., tuple[Path, Path]], capsys: pytest.CaptureFixture[str]) -> None:
    model, description = files(foreign())
    arguments = ["wrap", str(model), "--describe", str(description)]
    assert main([*arguments, "-o", str(model.with_name("b.tflite")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["info"]["labels"] == ["sit", "stand", "walk", "wave"]
    for name in (model, description, model.parent):
        assert main([*arguments, "-o", str(name)]) == 2
    assert main(["wrap", str(model.with_name("none.tflite")), "--describe", str(description)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["wrap", str(model)])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("import time; time.sleep(60)", "still at work after 2 seconds"),
        ("limit_memory(); bytearray(16 << 30)", "MemoryError"),
        ("raise SystemExit('the reason')", "the reason"),
    ],
)
def test_what_a_guarded_process_dies_of_is_a_typed_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    (tmp_path / "doomed.py").write_text(f"from asma_converters.guarded import limit_memory\n{body}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConversionError) as caught:
        run_module("doomed", [], what="work", seconds=2 if "sleep" in body else 60)
    assert said in caught.value.got


@pytest.mark.parametrize("dequantized", [False, True])
def test_int8_models_keep_every_bit(
    make_bundle: Callable[..., Path], files: Callable[..., tuple[Path, Path]], dequantized: bool
) -> None:
    """A student's own int8 model, taken for somebody else's; other tools turn its answers into float32 at the end."""
    source = read_bundle(make_bundle("coco17", "int8", "clip", streams=("joint",)))
    model = schema.ModelT.InitFromPackedBuf(source.model, 0)
    model.buffers = [Buffer(None if b.data is None else bytes(bytearray(b.data))) for b in model.buffers]
    (logits,) = (entry for entry in model.signatureDefs[0].outputs if entry.name == b"logits_joint")
    model.subgraphs[0].outputs = np.array([logits.tensorIndex], np.int32)
    model.signatureDefs = []
    if dequantized:
        append(model, CODES.DEQUANTIZE, schema.BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT())
        model.subgraphs[0].tensors[-1].shape = [1, len(source.info.labels)]
    text = DESCRIPTION.replace('["sit", "stand", "walk", "wave"]', json.dumps(list(source.info.labels)))
    text = text.replace("window = 6", f"window = {source.info.window}").replace("fps = 15", "fps = 30")
    report = wrap(*files(pack_model(model), text))
    assert report.info.precision == "int8"
    assert report.difference == 0.0
    assert all(check.passed for check in verify(read_bundle(report.output)))
