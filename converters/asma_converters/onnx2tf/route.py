"""student.pt to plain TFLite files by way of ONNX and onnx2tf; what comes back is believed only as far as it computes.

onnx2tf ends with success whether or not its files compute the same: it takes poses for pictures, swaps inputs, loses
the names of outputs. So every output of every file is compared with the student's logits on the golden clips.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asma_converters.compare import Comparison, Stage
from asma_converters.conversion import (
    MAX_DROP_POINTS,
    MIN_AGREEMENT,
    Progress,
    fold_student,
)
from asma_converters.deploy import DeployModel
from asma_converters.errors import ConversionError, GateError
from asma_converters.export_onnx import check_packages, export_onnx, onnx_logits
from asma_converters.gates import Gate
from asma_converters.onnx2tf.call import call
from asma_converters.onnx2tf.environment import DEFAULT_LINE, Line, Onnx2tfError, find, line_of
from asma_converters.report import Precision
from asma_converters.run_model import run_model
from asma_converters.settings import check_student, choose_mode
from asma_edge.files import atomic_file, check_output
from asma_edge.skeleton import FloatArray
from asma_trainer.student_file import StudentFile

TOLERANCE = 1e-4  # of float32 outputs, relative to the largest logit (at least 1)


@dataclass(frozen=True)
class WrittenFile:
    """A TFLite file that onnx2tf made.

    Attributes:
        path: of the file.
        size: bytes.
        outputs: {name of an output in the file's signature: ``logits_<stream>``}; matched by their numbers.
        differences: {``logits_<stream>``: largest difference from the student's, relative to its largest logit}.
    """

    path: Path
    size: int
    outputs: dict[str, str]
    differences: dict[str, float]


@dataclass(frozen=True)
class Onnx2tfReport:
    """What the other route made and measured.

    Attributes:
        version: of onnx2tf.
        stages: each form of the model against the one before, on the golden clips.
        float32: the float32 file.
        int8: the int8 file; None where it was not asked for, could not be made, or failed the gates.
        problem: why an int8 file that was asked for was not written.
        agreement: share of golden clips with the same top-1 class in the first stage and the last.
        gates: how much is lost from the first stage to the file that was written last, and how sure that is.
        calibration_clips, golden_clips: how many clips set the ranges and judged the stages.
    """

    version: str
    stages: tuple[Stage, ...]
    float32: WrittenFile
    int8: WrittenFile | None
    problem: str
    agreement: float
    gates: tuple[Gate, ...]
    calibration_clips: int
    golden_clips: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = {**asdict(self), "gates": [gate.to_dict() for gate in self.gates]}
        for kind in ("float32", "int8"):
            if values[kind] is not None:
                values[kind]["path"] = str(values[kind]["path"])
        return values


def convert_by_onnx2tf(
    student: StudentFile,
    output: Path,
    *,
    line: int = DEFAULT_LINE,
    precision: Precision = "int8",
    max_drop_points: float = MAX_DROP_POINTS,
    min_agreement: float = MIN_AGREEMENT,
    min_accuracy: float | None = None,
    progress: Progress | None = None,
) -> Onnx2tfReport:
    """Write NAME.onnx2tf_float32.tflite and, with precision ``int8``, NAME.onnx2tf_int8.tflite.

    These are plain TFLite files for other runtimes, not bundles: no device of ours runs them.

    Args:
        student: from `StudentFile.load`.
        output: NAME.tflite; not written itself.
        line: of onnx2tf.
        precision: ``float32`` leaves the int8 file out.
        max_drop_points, min_agreement, min_accuracy: gates of the int8 file, as in `asma_converters.convert`.
        progress: called with a line before each step.

    Raises:
        Onnx2tfError: its environment is missing or broken, or it fails.
        ConversionError: the student or an option is unusable, or the float32 file computes something else.
        GateError: the student does not recognise its own golden clips.
        OutputError: a file cannot be written under its name.
    """
    say = progress or (lambda text: None)
    release = line_of(line)
    paths = files_of(output)
    for path in paths.values():
        check_output(path)
    check_packages()
    check_student(student)
    choose_mode(student, precision, None, "arm", max_drop_points, min_agreement, min_accuracy)
    python = find(release)

    folded, comparison = fold_student(student, say)
    clips = student.inputs(student.golden)
    with tempfile.TemporaryDirectory(prefix="asma-onnx2tf-") as place:
        onnx = Path(place) / "student.onnx"
        say("export ONNX")
        export_onnx(DeployModel(folded), onnx, student.window, student.layout.num_joints)
        reference = onnx_logits(onnx, clips)
        comparison.add("onnx", reference, size=onnx.stat().st_size)
        calibration = student.inputs(student.calibration) if precision == "int8" else None
        files, problem = _call(release, python, onnx, student.streams, calibration, say)

    say("compare every output")
    float32 = _judge(comparison, "float32", files["float32"], clips, reference, paths["float32"])
    worst = max(float32.differences, key=lambda name: float32.differences[name])
    if not float32.differences[worst] <= TOLERANCE:
        raise Onnx2tfError(
            f"the float32 file of onnx2tf {release.version} computes something else; nothing was written",
            expected=f"every output within {TOLERANCE:g} of the largest logit",
            got=f"{worst}: {float32.differences[worst]:.1e}",
            hint="use the direct writer, or the other line",
        )
    gates = comparison.gate(max_drop_points, min_agreement, min_accuracy)
    int8 = None
    if "int8" in files:
        try:
            int8 = _judge(comparison, "int8", files["int8"], clips, reference, paths["int8"])
            gates = comparison.gate(max_drop_points, min_agreement, min_accuracy)
        except GateError as error:
            int8, problem = None, f"it fails the gates: {error.got}"
        except ConversionError as error:
            problem = f"{error.what}: {error.got}"
    for kind, written in (("float32", float32), ("int8", int8)):
        if written is not None:
            with atomic_file(written.path) as temporary:
                temporary.write_bytes(files[kind])
    return Onnx2tfReport(
        version=release.version,
        stages=tuple(comparison.stages),
        float32=float32,
        int8=int8,
        problem=problem,
        agreement=comparison.agreement_of(comparison.stages[-1].name),
        gates=gates,
        calibration_clips=len(student.calibration) if calibration is not None else 0,
        golden_clips=len(student.golden),
    )


def convert_file_by_onnx2tf(path: Path, output: Path | None = None, **options: Any) -> Onnx2tfReport:
    """`convert_by_onnx2tf` for a student file; the default NAME is its own.

    Raises:
        CheckpointError: the file is missing or is not a student.
        OutputError: an output would replace the student, or what is not a regular file.
    """
    output = path.with_suffix(".tflite") if output is None else output
    for written in files_of(output).values():
        check_output(written, [path])
    return convert_by_onnx2tf(StudentFile.load(path), output, **options)


def files_of(output: Path) -> dict[str, Path]:
    """{kind: path} of the files that the route writes for an output NAME.tflite."""
    return {kind: output.with_name(f"{output.stem}.onnx2tf_{kind}.tflite") for kind in ("float32", "int8")}


def _call(
    line: Line,
    python: Path,
    onnx: Path,
    streams: tuple[str, ...],
    calibration: Mapping[str, FloatArray] | None,
    say: Progress,
) -> tuple[dict[str, bytes], str]:
    """The files, and why there is no int8 one among them. Where int8 fails, float32 has a turn of its own."""
    problem = ""
    for given in [calibration, None] if calibration is not None else [None]:
        say(f"run onnx2tf {line.version}" + (" again, without int8" if problem else ""))
        with tempfile.TemporaryDirectory(prefix="asma-onnx2tf-") as folder:
            try:
                return call(line, python, onnx, Path(folder), streams, given), problem
            except Onnx2tfError as error:
                if given is None:
                    raise
                problem = f"onnx2tf {line.version} cannot make it: {error.got}"
    raise AssertionError("the last turn returns or raises")


def _judge(
    comparison: Comparison,
    kind: str,
    model: bytes,
    clips: Mapping[str, FloatArray],
    reference: Mapping[str, FloatArray],
    path: Path,
) -> WrittenFile:
    """A file run by LiteRT, its outputs told apart, added to the stages."""
    outputs = match_outputs(run_model(model, clips), reference)
    logits = {name.removeprefix("logits_"): values for name, (_, values) in outputs.items()}
    comparison.add(kind, logits, size=len(model), exact=False)
    differences = {
        f"logits_{stream}": float(np.abs(values - reference[stream]).max())
        / max(1.0, float(np.abs(reference[stream]).max()))
        for stream, values in logits.items()
    }
    return WrittenFile(path, len(model), {own: name for name, (own, _) in outputs.items()}, differences)


def match_outputs(
    found: Mapping[str, FloatArray], reference: Mapping[str, FloatArray]
) -> dict[str, tuple[str, FloatArray]]:
    """{``logits_<stream>``: (name in the file, (n, K))}, each output of the file once.

    Outputs that kept their names are taken by them. Where names were lost, the assignment with the least squared
    difference from the reference is; whether it is small enough is judged afterwards.

    Args:
        found: {name in the file: (n, K)}.
        reference: {stream: (n, K)}.

    Raises:
        ConversionError: outputs are missing or of another shape.
    """
    shapes = {name: values.shape for name, values in found.items()}
    expected = next(iter(reference.values())).shape
    if len(found) != len(reference) or set(shapes.values()) != {expected}:
        raise ConversionError(
            "the file has other outputs than the student",
            expected=f"{len(reference)} outputs {expected}",
            got=str(shapes),
            hint="use the direct writer",
        )
    names = {stream: f"logits_{stream}" for stream in reference}
    if set(names.values()) == set(found):
        return {name: (name, found[name]) for name in names.values()}

    def error(order: tuple[str, ...]) -> float:
        pairs = zip(order, reference.values(), strict=True)
        return sum(float(np.square(found[name] - values).sum()) for name, values in pairs)

    best = min(itertools.permutations(found), key=error)
    return {names[stream]: (name, found[name]) for stream, name in zip(reference, best, strict=True)}
