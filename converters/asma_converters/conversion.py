"""student.pt to a bundle: fold, build, quantise, compare at every arrow, pass the gates, write."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from asma_converters.build import check_window, clip_graph, stream_graph
from asma_converters.calibrate import calibrate
from asma_converters.card import model_card
from asma_converters.compare import Comparison, torch_logits
from asma_converters.deploy import DeployModel, DeployStudent
from asma_converters.errors import ConversionError
from asma_converters.export_onnx import check_packages, export_onnx, onnx_logits
from asma_converters.fold import FoldedStudent, fold
from asma_converters.golden import golden_poses
from asma_converters.interpreter import SignatureModel, delegated_nodes
from asma_converters.ir import Graph
from asma_converters.quantize import Scale, borrow, quantisation_of
from asma_converters.report import REPORT_VERSION, ConversionReport, Mode, Precision, Target, versions
from asma_converters.tflite_writer import write_model
from asma_edge.bundle import Bundle, BundleInfo, write_bundle
from asma_edge.files import atomic_file, check_output
from asma_edge.restamp import golden_arrays
from asma_edge.verify import verify
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.student_file import StudentFile

MAX_DROP_POINTS = 0.5
MIN_AGREEMENT = 0.985

Progress = Callable[[str], None]


def convert(
    student: StudentFile,
    output: Path,
    *,
    precision: Precision = "int8",
    mode: Mode | None = None,
    target: Target = "arm",
    max_drop_points: float = MAX_DROP_POINTS,
    min_agreement: float = MIN_AGREEMENT,
    min_accuracy: float | None = None,
    onnx: Path | None = None,
    progress: Progress | None = None,
) -> ConversionReport:
    """Convert a student and write its bundle.

    Args:
        student: from `StudentFile.load`.
        output: of the bundle, by convention NAME.tflite; NAME becomes the bundle's name.
        precision: of the model.
        mode: ``stream`` adds a frame-by-frame graph; None chooses it wherever the student allows it.
        target: ``x86`` treats groups of frames as channels in the clip graph, which suits wide vector units; the
            numbers are the same.
        max_drop_points: largest loss of accuracy on the golden clips, in percentage points.
        min_agreement: smallest share of golden clips whose top-1 class stays.
        min_accuracy: smallest accuracy of the student itself on its golden clips; None: better than guessing.
        onnx: also write the folded float32 model here.
        progress: called with a line before each step.

    Raises:
        GateError: the converted model is worse than the gates allow; no file was written.
        ConversionError: the student is not one, the options do not fit it, or a stage does not reproduce the one
            before.
        OutputError: a file cannot be written under its name.
        ExtraMissingError: an ONNX file was asked for, and the packages for it are not installed.
        BundleError: the student's description cannot be written as a bundle.
    """
    output, say = Path(output), progress or (lambda text: None)
    check_output(output)
    if onnx is not None:
        check_output(onnx, [output])
        check_packages()
    _check_student(student)
    mode = _choose_mode(student, precision, mode, target, max_drop_points, min_agreement, min_accuracy)

    with contextlib.nullcontext() if onnx is None else atomic_file(onnx) as onnx_file:
        model, comparison, warnings = _run_stages(student, precision, mode, target, onnx_file, say)
        comparison.gate(max_drop_points, min_agreement, min_accuracy)
        if comparison.only_guesses:
            warnings += ("the student is no better than guessing on its golden clips",)
        if not student.sealed:
            warnings += ("the student file has no digest, as older versions wrote it: damage would not be noticed",)
        say("verify and write the bundle")
        info = _describe(student, output, precision, mode)
        report = ConversionReport(
            output=output,
            precision=precision,
            mode=mode,
            target=target,
            stages=tuple(comparison.stages),
            agreement=comparison.agreement(-1, 0),
            max_drop_points=float(max_drop_points),
            min_agreement=float(min_agreement),
            parameters=info.parameters,
            macs=info.macs,
            model_bytes=len(model),
            file_bytes=0,
            calibration_clips=len(student.calibration),
            golden_clips=len(student.golden),
            warnings=warnings,
            onnx=onnx,
        )
        # The bundle's own copy has no local paths, nor the size of the file it is part of.
        values = {k: v for k, v in report.to_dict().items() if k not in ("output", "onnx", "file_bytes")}
        values |= {"format": REPORT_VERSION, "versions": versions()}
        card = model_card(info, comparison.stages, len(student.golden))
        clip = SignatureModel(model, "clip")
        golden = golden_arrays(
            info, golden_poses(student), lambda inputs: np.stack(list(clip.logits(inputs).values()), axis=1)
        )
        _check_bundle(Bundle(output, info, model, values, golden, card, 0))
        write_bundle(output, model, info, golden=golden, report=values, card=card)
    return dataclasses.replace(report, file_bytes=output.stat().st_size)


def _run_stages(
    student: StudentFile, precision: Precision, mode: Mode, target: Target, onnx_file: Path | None, say: Progress
) -> tuple[bytes, Comparison, tuple[str, ...]]:
    """The model's bytes, every stage compared with the one before, and warnings."""
    say("fold BatchNorms")
    folded = {stream: fold(model) for stream, model in student.models.items()}
    _check_fit(student, folded)
    clips = student.inputs(student.golden)
    comparison = Comparison(student.golden_labels, student.fusion, student.temperature)
    comparison.add("torch", torch_logits(student.models, clips))
    deploy = {stream: DeployStudent(part).float() for stream, part in folded.items()}
    comparison.add("deploy", torch_logits(deploy, clips))

    if onnx_file is not None:
        say("export ONNX")
        export_onnx(DeployModel(folded), onnx_file, student.window, student.layout.num_joints)
        comparison.add("onnx", onnx_logits(onnx_file, clips), size=onnx_file.stat().st_size)

    say("write the float32 model")
    graphs: dict[str, Graph] = {"clip": clip_graph(folded, student.window, grouped=target == "x86")}
    if mode == "stream":
        graphs["stream"] = stream_graph(folded, student.window)
    model = write_model(graphs, None)
    comparison.add("float32", SignatureModel(model, "clip").logits(clips), size=len(model))
    scales: dict[str, dict[Any, Scale]] | None = None
    if precision == "int8":
        say(f"calibrate on {len(student.calibration)} clips")
        scales = _quantise(student, folded, graphs)
        model = write_model(graphs, scales)
        comparison.add("int8", SignatureModel(model, "clip").logits(clips), size=len(model), exact=False)
    return model, comparison, _check_delegation(graphs, scales)


def _check_student(student: StudentFile) -> None:
    problem = student.problem()
    if problem:
        raise ConversionError(
            f"this student cannot be converted: {problem}",
            expected="a student as `asma-train` writes it",
            got=problem,
            hint="distil the student again",
        )


def _choose_mode(
    student: StudentFile,
    precision: Precision,
    mode: Mode | None,
    target: Target,
    max_drop_points: float,
    min_agreement: float,
    min_accuracy: float | None,
) -> Mode:
    """The mode, after checking the options."""
    problem = (
        f"precision '{precision}'" if precision not in ("int8", "float32")
        else f"mode '{mode}'" if mode not in (None, "clip", "stream")
        else f"target '{target}'" if target not in get_args(Target)
        else f"max_drop_points {max_drop_points}" if not (math.isfinite(max_drop_points) and max_drop_points >= 0)
        else f"min_agreement {min_agreement}" if not 0 <= min_agreement <= 1
        else f"min_accuracy {min_accuracy}" if min_accuracy is not None and not 0 <= min_accuracy <= 1
        else ""
    )  # fmt: skip
    if problem:
        raise ConversionError(
            "unusable conversion settings",
            expected="precision int8 or float32, mode clip or stream, target arm or x86, max_drop_points >= 0, "
            "the others from 0 to 1",
            got=problem,
            hint="see asma-convert --help",
        )
    streams = student.kind == "device" and student.sampling == "window"
    if mode == "stream" and not streams:
        raise ConversionError(
            "this student cannot be streamed",
            expected="a `device` student (valid convolutions) trained with sampling `window`",
            got=f"a `{student.kind}` student with sampling `{student.sampling}`",
            hint="convert it with --mode clip, or distil a `device` student",
        )
    return mode or ("stream" if streams else "clip")


def _check_fit(student: StudentFile, folded: dict[str, FoldedStudent]) -> None:
    """Labels and joints are those of the networks, and the clips are usable."""
    for stream, part in folded.items():
        found = (part.joints, len(part.head))
        if found != (student.layout.num_joints, len(student.labels)):
            raise ConversionError(
                f"the {stream} network does not fit its student file",
                expected=f"{student.layout.num_joints} joints and {len(student.labels)} classes",
                got=f"{found[0]} joints and {found[1]} classes",
                hint="distil the student again",
            )
        check_window(part, student.window)
    if not (np.isfinite(student.calibration).all() and np.isfinite(student.golden).all()):
        raise ConversionError(
            "the student's calibration or golden clips are not finite",
            expected="preprocessed frames without NaN",
            got="NaN or infinity",
            hint="put `fill` first in [preprocess] and distil again",
        )


def _quantise(
    student: StudentFile, folded: dict[str, FoldedStudent], graphs: dict[str, Graph]
) -> dict[str, dict[Any, Scale]]:
    """{signature: parameters}: ranges from the calibration clips, frame by frame, taken over by every graph."""
    reference = clip_graph(folded, student.window, grouped=False)
    ranges = calibrate(reference, student.inputs(student.calibration))
    known = quantisation_of(reference, ranges)
    return {signature: borrow(graph, reference, known) for signature, graph in graphs.items()}


def _check_delegation(graphs: dict[str, Graph], scales: dict[str, dict[Any, Scale]] | None) -> tuple[str, ...]:
    """Warnings; raises if the runtime's fast kernels would not take a graph as a whole."""
    warnings = []
    for signature, graph in graphs.items():
        # The runtime lists operators of a file's first graph only, so each graph is written alone.
        model = write_model({signature: graph}, None if scales is None else {signature: scales[signature]})
        nodes = delegated_nodes(model)
        if nodes is None:
            warnings.append(f"graph '{signature}': this runtime does not tell whether XNNPACK runs it")
        elif nodes != 1:
            raise ConversionError(
                f"XNNPACK does not take the graph '{signature}' as a whole",
                expected="one delegate node from inputs to outputs",
                got=f"{nodes} parts",
                hint="this is a converter bug, or the runtime is too old: use ai-edge-litert 2.1 or newer",
            )
    return tuple(warnings)


def _describe(student: StudentFile, output: Path, precision: Precision, mode: Mode) -> BundleInfo:
    config = next(iter(student.models.values())).backbone.config
    return BundleInfo(
        name=output.stem,
        mode=mode,
        hop=config.stride if mode == "stream" else 1,
        sampling=student.sampling,
        precision=precision,
        streams=student.streams,
        fusion=tuple(float(weight) for weight in student.fusion),
        layout=student.layout,
        fps=float(student.fps),
        window=student.window,
        preprocess=student.preprocess,
        labels=student.labels,
        idle_label=student.idle_label,
        temperature=float(student.temperature),
        parameters=count_parameters(list(student.models.values())),
        macs=count_macs(
            student.layout, config, student.window, classes=len(student.labels), streams=len(student.models)
        ),
        provenance={**student.provenance, "student": student.kind},
    )


def _check_bundle(bundle: Bundle) -> None:
    """The device runtime reproduces the golden vectors, frame by frame too."""
    failed = [check for check in verify(bundle) if not check.passed]
    if failed:
        raise ConversionError(
            f"the device runtime does not reproduce the golden vectors: {failed[0].name}",
            expected=f"a difference of at most {failed[0].tolerance:g}",
            got=f"{failed[0].difference:g}",
            hint="this is a converter bug: please report it with the student file",
        )


def convert_file(path: Path, output: Path | None = None, **options: Any) -> ConversionReport:
    """`convert` a student file; the default output is its name with .tflite.

    Raises:
        CheckpointError: the file is missing or is not a student.
        OutputError: an output would replace the student, or what is not a regular file.
    """
    output = path.with_suffix(".tflite") if output is None else output
    for written in (output, options.get("onnx")):
        if written is not None:
            check_output(written, [path])
    return convert(StudentFile.load(path), output, **options)
