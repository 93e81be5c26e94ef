"""What a TFLite file holds, as far as the bundles' models go: eleven operators, three types, one signature a graph.

Field numbers and codes are those of the TFLite schema (tensorflow/compiler/mlir/lite/schema/schema.fbs, version 3).
Reading checks the form only; `model_check` says whether the content makes sense.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from asma_edge.flatbuffer import Flatbuffer, Table

FLOAT32, INT32, INT8 = 0, 2, 9
ITEM_BYTES = {FLOAT32: 4, INT32: 4, INT8: 1}

MAX_GRAPHS = 4
MAX_RANK = 4
MAX_OPERATORS = 8192  # of one graph; three streams have some two hundred
MAX_TENSORS = 4 * MAX_OPERATORS
MAX_INPUTS = 1024  # of a graph or an operator
_MAX_CODES = 64
_MAX_CHANNELS = 1 << 16  # scales of one tensor
_MAX_ITEMS = 1 << 20  # numbers and entries in all, constants' own data aside
_IDENTIFIER = b"TFL3"
_ALIGNMENT = 16  # kernels read constants as vectors


class Code(IntEnum):
    """Operators, by their number in the schema."""

    ADD = 0
    CONCATENATION = 2
    CONV_2D = 3
    DEPTHWISE_CONV_2D = 4
    FULLY_CONNECTED = 9
    MUL = 18
    RESHAPE = 22
    TRANSPOSE = 39
    MEAN = 40
    SLICE = 65
    QUANTIZE = 114


class Tensor(NamedTuple):
    """An activation or, with data, a constant.

    Attributes:
        name: as in the file.
        shape: 1 to 4 sizes, each at least 1.
        type: FLOAT32, INT32 or INT8.
        data: position and length of a constant's bytes in the file; length 0 for an activation.
        scales, zero_points: of quantised numbers, one or one a channel.
        dimension: the axis of those channels.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    data: tuple[int, int]
    scales: Sequence[float]
    zero_points: Sequence[int]
    dimension: int


class Operator(NamedTuple):
    """A step of a graph; its inputs and outputs are numbers of tensors."""

    code: Code
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int]
    new_shape: tuple[int, ...]  # of a reshape


class Graph(NamedTuple):
    """One graph with its signature: {name: number of a tensor}."""

    signature: str
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: dict[str, int]
    output_names: dict[str, int]


def _fields(*numbers: int) -> frozenset[int]:
    return frozenset(numbers)


# Tables and their fields; names in the comments are the schema's.
_MODEL = _fields(0, 1, 2, 3, 4, 7)  # version operator_codes subgraphs description buffers signature_defs
_OPERATOR_CODE = _fields(0, 2, 3)  # deprecated_builtin_code version builtin_code
_SUBGRAPH = _fields(0, 1, 2, 3, 4)  # tensors inputs outputs operators name
_TENSOR = _fields(0, 1, 2, 3, 4)  # shape type buffer name quantization
_QUANTIZATION = _fields(2, 3, 6)  # scale zero_point quantized_dimension
_BUFFER = _fields(0)  # data
_OPERATOR = _fields(0, 1, 2, 3, 4)  # opcode_index inputs outputs builtin_options_type builtin_options
_SIGNATURE = _fields(0, 1, 2, 4)  # inputs outputs signature_key subgraph_index
_ENTRY = _fields(0, 1)  # name tensor_index

# {operator: (type of its options, {name: (field, code)})}; a field that is absent is 0.
_OPTIONS: dict[Code, tuple[int, dict[str, tuple[int, str]]]] = {
    Code.ADD: (11, {"activation": (0, "b")}),
    Code.CONCATENATION: (10, {"axis": (0, "i")}),
    Code.CONV_2D: (1, {"padding": (0, "b"), "stride_w": (1, "i"), "stride_h": (2, "i"), "activation": (3, "b")}),
    Code.DEPTHWISE_CONV_2D: (
        2,
        {
            "padding": (0, "b"),
            "stride_w": (1, "i"),
            "stride_h": (2, "i"),
            "multiplier": (3, "i"),
            "activation": (4, "b"),
        },
    ),
    Code.FULLY_CONNECTED: (8, {"activation": (0, "b")}),
    Code.MUL: (21, {}),
    Code.RESHAPE: (17, {}),
    Code.TRANSPOSE: (26, {}),
    Code.MEAN: (27, {"keep": (0, "b")}),
    Code.SLICE: (48, {}),
    Code.QUANTIZE: (89, {}),
}
_OPTION_FIELDS = {
    code: _fields(*(field for field, _ in names.values()), *([0] if code == Code.RESHAPE else []))
    for code, (_, names) in _OPTIONS.items()
}


def read_model(data: bytes) -> Iterator[Graph]:
    """The graphs of a TFLite file, one at a time: together they would take twice the memory.

    Raises:
        ValueError: it is malformed, or holds what no model of a bundle holds.
    """
    if data[4:8] != _IDENTIFIER:
        raise ValueError(f"no TFLite model: {data[:8]!r}")
    file = Flatbuffer(data, _MAX_ITEMS)
    model = file.root(_MODEL)
    if model.number(0, "I") != 3:
        raise ValueError(f"schema version {model.number(0, 'I')}, not 3")
    model.text(3)
    codes = [_read_code(table) for table in model.tables(1, _OPERATOR_CODE, _MAX_CODES)]
    buffers = [table.span(0) for table in model.tables(4, _BUFFER, MAX_TENSORS)]
    if not buffers or buffers[0][1]:
        raise ValueError("buffer 0 is not the empty one")
    for start, length in buffers:
        if length and start % _ALIGNMENT:
            raise ValueError(f"a constant at {start}, not a multiple of {_ALIGNMENT}")
    graphs = model.tables(2, _SUBGRAPH, MAX_GRAPHS)
    signatures = model.tables(7, _SIGNATURE, MAX_GRAPHS)
    if not 0 < len(graphs) == len(signatures):
        raise ValueError(f"{len(graphs)} graphs and {len(signatures)} signatures")
    for number, signature in enumerate(signatures):
        if signature.number(4, "I") != number:
            raise ValueError(f"signature {number} of graph {signature.number(4, 'I')}")
    for pair in zip(graphs, signatures, strict=True):
        yield _read_graph(*pair, codes, buffers)


def _read_code(table: Table) -> tuple[Code, int]:
    number, version = table.number(3, "i"), table.number(2, "i", 1)
    if table.number(0, "b") != min(number, 127):
        raise ValueError(f"operator {number}, which older runtimes would take for {table.number(0, 'b')}")
    if number not in _OPTIONS:
        raise ValueError(f"operator {number}, which no model of a bundle has")
    return Code(number), version


def _read_graph(graph: Table, signature: Table, codes: list[tuple[Code, int]], buffers: list[tuple[int, int]]) -> Graph:
    graph.text(4)
    return Graph(
        signature=signature.text(2),
        tensors=[_read_tensor(table, buffers) for table in graph.tables(0, _TENSOR, MAX_TENSORS)],
        operators=[_read_operator(table, codes) for table in graph.tables(3, _OPERATOR, MAX_OPERATORS)],
        inputs=graph.numbers(1, "i", MAX_INPUTS),
        outputs=graph.numbers(2, "i", MAX_INPUTS),
        input_names=_read_names(signature, 0),
        output_names=_read_names(signature, 1),
    )


def _read_names(signature: Table, field: int) -> dict[str, int]:
    entries = signature.tables(field, _ENTRY, MAX_INPUTS)
    names = {entry.text(0): entry.number(1, "I") for entry in entries}
    if len(names) != len(entries):
        raise ValueError("two inputs or outputs of one name")
    return names


def _read_tensor(table: Table, buffers: list[tuple[int, int]]) -> Tensor:
    buffer = table.number(2, "I")
    if buffer >= len(buffers):
        raise ValueError(f"buffer {buffer} of {len(buffers)}")
    if buffer and not buffers[buffer][1]:
        raise ValueError(f"a constant without data in buffer {buffer}")
    scales: Sequence[float] = ()
    zero_points: Sequence[int] = ()
    dimension = 0
    parameters = table.table(4, _QUANTIZATION)
    if parameters is not None:
        scales = parameters.view(2, "f", _MAX_CHANNELS)
        zero_points = parameters.view(3, "q", _MAX_CHANNELS)
        dimension = parameters.number(6, "i")
    return Tensor(
        name=table.text(3),
        shape=table.numbers(0, "i", MAX_RANK),
        type=table.number(1, "b"),
        data=buffers[buffer],
        scales=scales,
        zero_points=zero_points,
        dimension=dimension,
    )


def _read_operator(table: Table, codes: list[tuple[Code, int]]) -> Operator:
    index = table.number(0, "I")
    if index >= len(codes):
        raise ValueError(f"operator code {index} of {len(codes)}")
    code, version = codes[index]
    kind, names = _OPTIONS[code]
    options = table.table(4, _OPTION_FIELDS[code])
    if table.number(3, "B") != kind or options is None:
        raise ValueError(f"{code.name} with options of kind {table.number(3, 'B')}, not {kind}")
    return Operator(
        code=code,
        version=version,
        inputs=table.numbers(1, "i", MAX_INPUTS),
        outputs=table.numbers(2, "i", MAX_INPUTS),
        options={name: options.number(field, form) for name, (field, form) in names.items()},
        new_shape=options.numbers(0, "i", MAX_RANK) if code == Code.RESHAPE else (),
    )
