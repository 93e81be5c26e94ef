"""A TFLite file of any tool in the form that the device's checker vouches for, or a refusal by operator name.

`asma_edge.model_check` accepts what `asma-convert` writes and nothing else, and stays like that: a device never runs
what nobody vouches for. But converters write the same operators in many ways, with fields that mean nothing to the
interpreter (observed ranges, names, metadata, options at their defaults). Here a file is written anew, as the writer
would have written it: one signature, static shapes, the versions and scales that the checker expects. What changes is
exact; what cannot be said in the checker's operators is refused.

As a module, run in a process of its own: ``python -m asma_converters.wrap.canonical MODEL RENAMES.json OUT.tflite
OUT.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from asma_converters.guarded import limit_memory
from asma_converters.wrap.emit import Emitter
from asma_converters.wrap.operators import LAST, name_of, translate
from asma_converters.wrap.parts import Operator, RefusedError, Tensors, read_tensor, text


def canonical(data: bytes, names: Mapping[str, Mapping[str, str]]) -> tuple[bytes, dict[str, Any]]:
    """The file anew, with one signature ``clip``, and what there is to tell.

    Args:
        data: a TFLite file with one graph, and one signature or none.
        names: {"inputs" and "outputs": {name in the bundle: name in the file}}; a name may be missing where there is
            but one tensor, or where the file has it already.

    Returns:
        The file, and {"inputs", "outputs": {name in the bundle: name in the file}, "softmax": outputs whose last
        softmax was taken off, "parameters", "macs"}.

    Raises:
        RefusedError: the file is of another kind, or has operators that no bundle has.
    """
    return _Rewriter(_read(data), names).rewrite()


def _read(data: bytes) -> Any:
    if data[4:8] != b"TFL3":
        raise RefusedError(f"it is no TFLite model: {data[:8]!r}")
    try:
        return schema.ModelT.InitFromPackedBuf(data, 0)
    except Exception as error:  # whatever a malformed flatbuffer makes the generated reader raise
        raise RefusedError(f"it is malformed: {type(error).__name__}") from error


class NamingError(RefusedError):
    """The names of inputs and outputs are not those described."""


class _Rewriter:
    def __init__(self, model: Any, names: Mapping[str, Mapping[str, str]]) -> None:
        self._model, self._names = model, names
        signatures = model.signatureDefs or []
        if len(signatures) > 1:
            keys = ", ".join(text(signature.signatureKey) for signature in signatures)
            raise RefusedError(f"it has {len(signatures)} signatures ({keys}), not one")
        if not model.subgraphs or len(model.subgraphs) > 1:
            raise RefusedError(f"it has {len(model.subgraphs or [])} graphs, not one")
        self._graph = model.subgraphs[0]
        self._signature = signatures[0] if signatures else None
        self._tensors = Tensors(read_tensor(model, tensor) for tensor in self._graph.tensors)
        self._operators: list[Operator] = []
        self._refused: dict[int, str] = {}  # {output: operator that nobody can write}

    def rewrite(self) -> tuple[bytes, dict[str, Any]]:
        inputs = self._sides("inputs", self._graph.inputs)
        outputs = self._sides("outputs", self._graph.outputs)
        found = {"inputs": {ours: name for ours, (name, _) in inputs.items()}}
        found["outputs"] = {ours: name for ours, (name, _) in outputs.items()}
        for operator in self._graph.operators or []:
            self._translate(operator)
        lasts = {ours: self._last(index) for ours, (_, index) in outputs.items()}
        ends = {ours: index for ours, (index, _) in lasts.items()}
        ops = self._needed(set(ends.values()))
        reasons = {op.output: f"{name_of(op.code)} (not as the last)" for op in ops if op.code in LAST} | self._refused
        refused = sorted({reasons[op.output] for op in ops if op.output in reasons})
        if refused:
            raise RefusedError(f"operators that no bundle has: {', '.join(refused)}")
        emitter = Emitter(self._tensors)
        data = emitter.emit(ops, {ours: index for ours, (_, index) in inputs.items()}, ends)
        softmax = [ours for ours, (_, softmax) in lasts.items() if softmax]
        told = {"softmax": softmax, "parameters": emitter.parameters, "macs": emitter.macs}
        return data, found | told

    def _sides(self, side: str, indices: Sequence[int]) -> dict[str, tuple[str, int]]:
        """{name in the bundle: (name in the file, number of the tensor)}."""
        entries = getattr(self._signature, side) if self._signature is not None else None
        known = (
            {text(entry.name): int(entry.tensorIndex) for entry in entries}
            if entries
            else {self._tensors[index].name: int(index) for index in indices}
        )
        wanted, result = self._names[side], {}
        for ours, name in wanted.items():
            name = name or (ours if ours in known or len(known) != 1 or len(wanted) != 1 else next(iter(known)))
            if name not in known:
                raise NamingError(f"no {side[:-1]} '{name}' for '{ours}' among {', '.join(known)}: name it in [{side}]")
            result[ours] = (name, known[name])
        if side == "inputs" and len(result) != len(known):
            raise NamingError(f"it has the inputs {', '.join(known)}, more than the streams {', '.join(result)}")
        if len({index for _, index in result.values()}) != len(result):
            raise NamingError(f"two streams have one tensor among its {side}")
        return result

    def _translate(self, operator: Any) -> None:
        operators, reason = translate(self._tensors, self._model.operatorCodes[operator.opcodeIndex], operator)
        self._operators += operators
        if reason:
            self._refused |= {operator.output: reason for operator in operators}

    def _last(self, index: int) -> tuple[int, bool]:
        """The tensor whose numbers are the logits: before int8 becomes float32, and before a softmax, if it has one."""
        makers = {op.output: op for op in self._operators}
        softmax = False
        while index in makers and makers[index].code in LAST and index not in self._refused:
            softmax |= makers[index].code == schema.BuiltinOperator.SOFTMAX
            index = makers[index].inputs[0]
        return index, softmax

    def _needed(self, ends: set[int]) -> list[Operator]:
        wanted, kept = set(ends), []
        for op in reversed(self._operators):
            if op.output in wanted:
                kept.append(op)
                wanted |= set(op.inputs)
        return kept[::-1]


def main(arguments: list[str]) -> int:
    """The process: exit code 1 and the reason as its last line."""
    limit_memory()
    model, names, out, told = map(Path, arguments)
    try:
        data, values = canonical(model.read_bytes(), json.loads(names.read_text()))
    except NamingError as error:  # the description's fault, not the model's
        told.write_text(json.dumps({"naming": str(error)}))
        return 0
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 1
    except (AttributeError, IndexError, TypeError, ValueError, OverflowError, MemoryError, KeyError) as error:
        print(f"it is malformed: {type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return 1
    out.write_bytes(data)
    told.write_text(json.dumps(values))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
