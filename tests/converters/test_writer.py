"""Model files that LiteRT would accept and compute wrongly are refused by the writer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from asma_converters.errors import GraphError
from asma_converters.interpreter import SignatureModel, delegated_nodes
from asma_converters.ir import Graph
from asma_converters.quantize import (
    Scale,
    best_range,
    borrow,
    quantisation_of,
    quantise,
    quantise_weights,
    scale_of,
)
from asma_converters.tflite_writer import build_model, pack_model, write_model
from asma_edge.errors import BundleError
from asma_edge.model_check import check_model

RNG = np.random.default_rng(0)
CONV, TRANSPOSE = "conv", "transposed"


def small_graph() -> Graph:
    """One of each operator."""
    graph = Graph()
    x = graph.input("x", (1, 6, 5, 4), real=True)
    x = graph.multiply(graph.add(x, RNG.normal(size=(1, 1, 5, 4))), RNG.uniform(0.5, 2, size=(1, 1, 5, 4)))
    x = graph.quantize(x, role="x")
    y = graph.conv(x, RNG.normal(size=(4, 3, 1, 4)), RNG.normal(size=4), relu=True, role=CONV)
    y = graph.add(y, graph.frames(x, 1, 4))
    y = graph.add(y, RNG.normal(size=(1, 1, 5, 4)), relu=True)
    z = graph.transpose(y, (0, 1, 3, 2))
    z = graph.reshape(z, (1, 4, 20, 1))
    z = graph.concat([z, z], 1)
    z = graph.mean(z, (1, 2), keep=False)
    graph.output("y", graph.dense(z, RNG.normal(size=(3, 1)), RNG.normal(size=3), role="out"))
    return graph


def small_model() -> Any:
    graph = small_graph()
    return build_model({"main": graph}, {"main": quantisation_of(graph, dict.fromkeys(graph.tensors, (-2.0, 3.0)))})


def tensor(model: Any, name: str) -> Any:
    return next(t for t in model.subgraphs[0].tensors if t.name == name)


def set_bias_scale(model: Any) -> None:
    tensor(model, "conv/bias").quantization.scale = tensor(model, "conv/bias").quantization.scale * 1.5


def drop_bias_scale(model: Any) -> None:
    tensor(model, "conv/bias").quantization = None


def zero_weight_scale(model: Any) -> None:
    tensor(model, "conv/weight").quantization.scale[1] = 0.0


def weight_zero_point(model: Any) -> None:
    tensor(model, "conv/weight").quantization.zeroPoint[1] = 3


def wrong_dimension(model: Any) -> None:
    tensor(model, "conv/weight").quantization.quantizedDimension = 3


def conv_code(model: Any) -> Any:
    return next(c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.CONV_2D)


def version_one(model: Any) -> None:
    conv_code(model).version = 1


def no_builtin_code(model: Any) -> None:
    conv_code(model).deprecatedBuiltinCode = 0


def scale_change_in_transpose(model: Any) -> None:
    operators = model.subgraphs[0].operators
    codes = [model.operatorCodes[o.opcodeIndex].builtinCode for o in operators]
    output = operators[codes.index(schema.BuiltinOperator.TRANSPOSE)].outputs[0]
    model.subgraphs[0].tensors[output].quantization.scale = np.array([0.5], np.float32)


def short_buffer(model: Any) -> None:
    model.buffers[tensor(model, "conv/weight").buffer].data = b"\0\0"


def missing_buffer(model: Any) -> None:
    tensor(model, "conv/weight").buffer = 0


def infinite_scale(model: Any) -> None:
    tensor(model, "conv").quantization.scale = np.array([np.inf], np.float32)


def zero_point_outside(model: Any) -> None:
    tensor(model, "conv").quantization.zeroPoint = np.array([200])


def huge_rescale(model: Any) -> None:
    weight, bias = tensor(model, "conv/weight").quantization, tensor(model, "conv/bias").quantization
    weight.scale, bias.scale = weight.scale * 1e6, bias.scale * 1e6


def float_bias(model: Any) -> None:
    tensor(model, "conv/bias").type = schema.TensorType.FLOAT32


def int8_before_quantize(model: Any) -> None:
    model.subgraphs[0].tensors[0].type = schema.TensorType.INT8


def wrong_signature(model: Any) -> None:
    model.signatureDefs[0].outputs[0].tensorIndex = 0


def no_signature(model: Any) -> None:
    model.signatureDefs = []


@pytest.mark.parametrize(
    "damage",
    [
        set_bias_scale, drop_bias_scale, zero_weight_scale, weight_zero_point, wrong_dimension, version_one,
        no_builtin_code, scale_change_in_transpose, short_buffer, missing_buffer, infinite_scale, zero_point_outside,
        huge_rescale, float_bias, int8_before_quantize, wrong_signature, no_signature,
    ],
)  # fmt: skip
def test_damage_that_litert_may_accept_is_refused(damage: Callable[[Any], None]) -> None:
    model = small_model()
    check_model(pack_model(model))
    damage(model)
    with pytest.raises(BundleError):
        check_model(pack_model(model))


def test_the_writer_checks_what_it_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(*arguments: Any) -> Any:
        model = build_model(*arguments)
        version_one(model)
        return model

    monkeypatch.setattr("asma_converters.tflite_writer.build_model", damaged)
    graph = small_graph()
    with pytest.raises(GraphError, match="converter bug"):
        write_model({"main": graph}, {"main": quantisation_of(graph, dict.fromkeys(graph.tensors, (-2.0, 3.0)))})


def test_every_buffer_is_aligned_and_both_graphs_share_constants() -> None:
    graph = small_graph()
    one = write_model({"a": graph}, None)
    two = write_model({"a": graph, "b": graph}, None)
    for data in (one, two):
        model = schema.Model.GetRootAsModel(data, 0)
        starts = []
        for index in range(model.BuffersLength()):
            buffer = model.Buffers(index)
            if buffer.DataLength():
                starts.append(buffer._tab.Vector(buffer._tab.Offset(4)))
        assert starts
        assert not any(start % 16 for start in starts)
    assert schema.Model.GetRootAsModel(one, 0).BuffersLength() == schema.Model.GetRootAsModel(two, 0).BuffersLength()
    assert delegated_nodes(one) in (1, None)
    for signature in ("a", "b"):
        x = RNG.normal(size=(1, 6, 5, 4)).astype(np.float32)
        np.testing.assert_array_equal(
            SignatureModel(two, signature)({"x": x})["y"], SignatureModel(one, "a")({"x": x})["y"]
        )


def test_a_graph_that_xnnpack_splits_is_noticed() -> None:
    whole = write_model({"a": small_graph()}, None)
    if delegated_nodes(whole) is None:
        pytest.skip("this runtime does not tell what XNNPACK takes")
    graph = Graph()
    x = graph.input("x", (1, 8, 8, 4))
    y = graph.add(x, x)
    y = graph.reshape(y, (1, 2, 2, 2, 2, 4, 4))  # too many axes for its transpose
    y = graph.reshape(graph.transpose(y, (0, 6, 5, 4, 3, 2, 1)), (1, 8, 8, 4))
    graph.output("y", graph.add(y, y))
    nodes = delegated_nodes(pack_model(build_model({"a": graph}, None)))  # unchecked: no bundle may hold it
    assert nodes is not None
    assert nodes > 1


def test_the_writer_is_deterministic() -> None:
    graph = small_graph()
    assert write_model({"a": graph}, None) == write_model({"a": graph}, None)


def test_small_graph_against_numpy() -> None:
    graph = small_graph()
    x = RNG.normal(size=(1, 6, 5, 4)).astype(np.float32)
    shift, gain, _, conv, _, _, add = graph.ops[:7]
    dense = graph.ops[-1]
    standard = ((x + shift.other) * gain.factor)[0]
    windows = np.stack([standard[tap : tap + 4] for tap in range(3)])  # (taps, 4, 5, C)
    y = np.maximum(np.einsum("tfvc,otc->fvo", windows, conv.weight[:, :, 0]) + conv.bias, 0) + standard[1:5]
    y = np.maximum(y + add.other[0], 0)
    expected = y.mean() * dense.weight[:, 0] + dense.bias
    found = SignatureModel(write_model({"a": graph}, None), "a")({"x": x})["y"][0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_weights_stay_within_half_a_step_and_biases_fit() -> None:
    weight, bias = RNG.normal(size=(5, 9, 1, 16)), RNG.normal(size=5) * 3
    weight[2] = 0.0
    bias[3] = 1e9
    packed = quantise_weights(weight, bias, 0.02, 0.1)
    steps = packed.scales.astype(np.float64).reshape(-1, 1, 1, 1)
    assert (np.abs(packed.values * steps - weight) <= steps * 0.5001).all()
    assert np.abs(packed.values).max() <= 127
    assert (packed.scales > 0).all()
    np.testing.assert_allclose(packed.bias * packed.bias_scales.astype(np.float64), bias, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 2.0), (0.5, 3.0), (-4.0, -1.0), (0.0, 0.0), (0.0, 1e-12)])
def test_a_scale_covers_its_range_and_shows_zero_exactly(low: float, high: float) -> None:
    scale = scale_of(low, high)
    assert -128 <= scale.zero_point <= 127
    assert (-128 - scale.zero_point) * scale.scale <= min(low, 0) + scale.scale
    assert (127 - scale.zero_point) * scale.scale >= max(high, 0) - scale.scale


def test_the_best_range_shows_the_clips_at_least_as_well_as_the_whole_range() -> None:
    def error(values: npt.NDArray[np.float32], low: float, high: float) -> float:
        scale = scale_of(low, high)
        shown = (quantise(values, scale).astype(np.float32) - scale.zero_point) * scale.scale
        return float(np.square(shown - values).mean())

    uniform = RNG.uniform(-1, 2, (20, 1000)).astype(np.float32)
    assert best_range(uniform) == (float(uniform.min()), float(uniform.max()))
    heavy = RNG.laplace(size=(300, 1000)).astype(np.float32)  # best 8-bit range: about 10 of 13
    whole = (float(heavy.min()), float(heavy.max()))
    low, high = best_range(heavy)
    assert whole[0] < low < 0 < high < whole[1]
    assert error(heavy, low, high) < error(heavy, *whole)


def test_one_glitch_does_not_take_the_range_from_all_other_clips() -> None:
    clips = RNG.normal(size=(128, 500)).astype(np.float32)
    usual = best_range(clips)
    clips[7, 100] = 184.0  # standard deviations, as one frame of a real recording had
    low, high = best_range(clips)
    assert 3 * usual[0] < low < 0
    assert high < 184 / 5
    assert best_range(np.zeros((3, 4), np.float32)) == (0.0, 0.0)


def test_borrowing_needs_a_counterpart_of_one_scale() -> None:
    source, target = Graph(), Graph()
    x = source.input("x", (1, 2), "x")
    y = target.input("y", (1, 2), "unknown")
    with pytest.raises(GraphError, match="counterpart"):
        borrow(target, source, {x: Scale(0.1, 0)})
    assert borrow(source, source, {x: Scale(0.1, 0)}) == {x: Scale(0.1, 0)}
    assert y.shape == (1, 2)


def test_shapes_that_do_not_fit_are_refused_while_building() -> None:
    graph = Graph()
    x = graph.input("x", (1, 6, 5, 4))
    with pytest.raises(GraphError):
        graph.conv(x, np.zeros((4, 7, 1, 4)), np.zeros(4))
    with pytest.raises(GraphError):
        graph.conv(x, np.zeros((4, 3, 1, 3)), np.zeros(4))
    with pytest.raises(GraphError):
        graph.dense(x, np.zeros((4, 7)), np.zeros(4))
    with pytest.raises(GraphError):
        graph.frames(x, 4, 3)
    with pytest.raises(GraphError):
        graph.add(x, np.zeros((1, 1, 4, 4)))
    with pytest.raises(GraphError):
        graph.reshape(x, (1, 7))
    with pytest.raises(GraphError, match="one name"):
        graph.input("x", (1, 2))


def test_a_model_that_litert_refuses_has_a_typed_error() -> None:
    with pytest.raises(GraphError, match="refuses"):
        SignatureModel(b"TFL3 but no model at all", "clip")
    with pytest.raises(GraphError):
        SignatureModel(write_model({"a": small_graph()}, None), "clip")


def test_plain_interpreter_runs_the_first_graph() -> None:
    interpreter = Interpreter(model_content=write_model({"a": small_graph()}, None), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).shape == (1, 3)


def test_equal_scales_and_names_are_written_once() -> None:
    """The file means what the generated objects would have written, and is smaller."""
    model = small_model()
    packed = pack_model(model)
    plain = [schema.ModelT.InitFromObj(schema.Model.GetRootAs(packed, 0))]  # generated objects, without our classes
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(plain[0].Pack(builder), file_identifier=b"TFL3")
    assert len(packed) < 0.95 * len(builder.Output())
    plain.append(schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytes(builder.Output()), 0)))
    ours, theirs = (whole.subgraphs[0].tensors for whole in plain)
    for a, b, meant in zip(ours, theirs, model.subgraphs[0].tensors, strict=True):
        assert a.name == b.name == meant.name.encode()
        if meant.quantization is not None:
            for field in ("scale", "zeroPoint"):
                np.testing.assert_array_equal(getattr(a.quantization, field), getattr(meant.quantization, field))
                np.testing.assert_array_equal(getattr(b.quantization, field), getattr(meant.quantization, field))
