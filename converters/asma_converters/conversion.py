"""student.pt to a bundle: fold, build, quantise, compare at every arrow, pass the gates, write."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asma_converters.activations import Layer, layers_of
from asma_converters.build import check_window, classifier, clip_graph, stream_graph
from asma_converters.calibrate import calibrate
from asma_converters.card import model_card
from asma_converters.compare import Comparison, torch_logits
from asma_converters.deploy import DeployModel, DeployStudent
from asma_converters.errors import ConversionError
from asma_converters.export_onnx import check_packages, export_onnx, onnx_logits
from asma_converters.few_clips import taken
from asma_converters.fold import FoldedStudent, fold
from asma_converters.gates import doubts
from asma_converters.golden import golden_poses
from asma_converters.interpreter import SignatureModel, clip_logits, delegated_nodes
from asma_converters.ir import Graph
from asma_converters.onnx_writer import write_onnx
from asma_converters.quantize import Scale, borrow, quantisation_of
from asma_converters.reference import reference_of
from asma_converters.report import REPORT_VERSION, ConversionReport, Mode, Precision, Target, versions
from asma_converters.settings import check_onnx_options, check_student, choose_mode
from asma_converters.speed import Speed, SpeedTest, speed_warnings
from asma_converters.tflite_writer import write_model
from asma_converters.whole_clips import HeldOut, check_held_out, judge_whole_clips
from asma_edge.bundle import Bundle, BundleInfo, write_bundle
from asma_edge.files import atomic_file, check_output
from asma_edge.restamp import golden_arrays
from asma_edge.verify import verify
from asma_trainer.models.count import count_macs, count_parameters
from asma_trainer.student_file import StudentFile

MAX_DROP_POINTS = 0.5
MIN_AGREEMENT = 0.985
_USUAL_CALIBRATION = 128  # clips

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
    dynamic_batch: bool = False,
    qdq: Path | None = None,
    held_out: HeldOut | None = None,
    speed_test: SpeedTest | None = None,
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
        max_drop_points: largest loss of accuracy on the golden clips, in percentage points; like the next, it is
            exceeded where the clips show so with 95 % confidence.
        min_agreement: smallest share of golden clips whose top-1 class stays.
        min_accuracy: smallest accuracy of the student itself on its golden clips; None: better than guessing.
        onnx: also write the folded float32 model here.
        dynamic_batch: of that file: it takes any number of clips a call.
        qdq: also write the int8 model here, as ONNX with the same scales.
        held_out: whole clips, to report clip accuracies too.
        speed_test: `compare_speed`, to report whether int8 is faster than float32 on this machine; None: not measured.
        progress: called with a line before each step.

    Raises:
        GateError: the converted model is worse than the gates allow; no file was written.
        ConversionError: the student is not one, the options do not fit it, or a stage does not reproduce the one
            before.
        OutputError: a file cannot be written under its name.
        ExtraMissingError: an ONNX file was asked for, and the packages for it are not installed.
        BundleError: the student's description cannot be written as a bundle.
        DataError: the whole clips are not for this student.
    """
    output, say = Path(output), progress or (lambda text: None)
    others = [path for path in (onnx, qdq) if path is not None]
    for number, path in enumerate([output, *others]):
        check_output(path, [output, *others][:number])
    if others:
        check_packages()
    check_student(student)
    if held_out is not None:
        check_held_out(student, held_out)
    mode = choose_mode(student, precision, mode, target, max_drop_points, min_agreement, min_accuracy)
    check_onnx_options(precision, onnx, dynamic_batch, qdq)
    info = _describe(student, output, precision, mode)

    with contextlib.ExitStack() as files:
        onnx_file, qdq_file = (path and files.enter_context(atomic_file(path)) for path in (onnx, qdq))
        found = _run_stages(student, precision, mode, target, onnx_file, dynamic_batch, qdq_file, say)
        comparison, warnings = found.comparison, found.warnings
        gates = comparison.gate(max_drop_points, min_agreement, min_accuracy)
        warnings += doubts(gates)
        if comparison.only_guesses:
            warnings += ("the student is no better than guessing on its golden clips",)
        if precision == "int8" and len(student.calibration) < _USUAL_CALIBRATION:
            warnings += (f"calibrated on {len(student.calibration)} clips; {_USUAL_CALIBRATION} or more are usual",)
        if not student.sealed:
            warnings += ("the student file has no digest, as older versions wrote it: damage would not be noticed",)
        say("verify and write the bundle")
        clip = SignatureModel(found.model, "clip")
        golden = golden_arrays(
            info, golden_poses(student), lambda inputs: np.stack(list(clip.logits(inputs).values()), axis=1)
        )
        bundle = Bundle(output, info, found.model, {}, golden, "", 0)
        _check_bundle(bundle)
        reference = reference_of(bundle, student.inputs(student.calibration))
        report = ConversionReport(
            output=output,
            precision=precision,
            mode=mode,
            target=target,
            stages=tuple(comparison.stages),
            agreement=comparison.agreement_of(precision),
            gates=gates,
            max_drop_points=float(max_drop_points),
            min_agreement=float(min_agreement),
            parameters=info.parameters,
            macs=info.macs,
            model_bytes=len(found.model),
            file_bytes=0,
            calibration_clips=len(student.calibration),
            golden_clips=len(student.golden),
            warnings=warnings,
            onnx=onnx,
            qdq=qdq,
            layers=found.layers,
            whole_clips=None if held_out is None else judge_whole_clips(student, bundle, held_out),
        )
        # The bundle's own copy has no local paths, nor the size of the file it is part of, nor times of this machine.
        own = ("output", "onnx", "qdq", "file_bytes", "speeds")
        values = {k: v for k, v in report.to_dict().items() if k not in own}
        values |= {"format": REPORT_VERSION, "versions": versions()}
        card = model_card(info, report)
        write_bundle(output, found.model, info, golden=golden, report=values, card=card, reference=reference)
    speeds: tuple[Speed, ...] = ()
    if speed_test is not None and precision == "int8":
        say("time int8 against float32")
        speeds = tuple(speed_test(found.model, found.float_model, found.signatures))
    return dataclasses.replace(
        report, file_bytes=output.stat().st_size, speeds=speeds, warnings=warnings + speed_warnings(speeds)
    )


class _Found(NamedTuple):
    """What the stages give: the model and its float32 form with the same signatures, and what was measured."""

    model: bytes
    float_model: bytes
    signatures: tuple[str, ...]
    comparison: Comparison
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...]


def _run_stages(
    student: StudentFile,
    precision: Precision,
    mode: Mode,
    target: Target,
    onnx_file: Path | None,
    dynamic_batch: bool,
    qdq_file: Path | None,
    say: Progress,
) -> _Found:
    """Every stage, compared with the one before."""
    folded, comparison = fold_student(student, say)
    clips = student.inputs(student.golden)
    few = taken(clips, comparison.few)
    if onnx_file is not None:
        say("export ONNX")
        export_onnx(DeployModel(folded), onnx_file, student.window, student.layout.num_joints, dynamic=dynamic_batch)
        size = onnx_file.stat().st_size
        comparison.add("onnx", onnx_logits(onnx_file, few), size=size, clips=comparison.few)

    say("write the float32 model")
    graphs: dict[str, Graph] = {"clip": clip_graph(folded, student.window, grouped=target == "x86")}
    if mode == "stream":
        graphs["stream"] = stream_graph(folded, student.window)
    model = float_model = write_model(graphs, None)
    say("logits of the float32 model")
    if precision == "int8":
        comparison.add("float32", clip_logits(model, few), size=len(model), clips=comparison.few)
    else:
        comparison.add("float32", clip_logits(model, clips), size=len(model))
    scales: dict[str, dict[Any, Scale]] | None = None
    layers: tuple[Layer, ...] = ()
    if precision == "int8":
        say(f"calibrate on {len(student.calibration)} clips")
        reference = clip_graph(folded, student.window, grouped=False)
        known = quantisation_of(reference, calibrate(reference, student.inputs(student.calibration)))
        say("measure the noise of the layers")
        layers = layers_of(reference, known, clips)
        say("write the int8 model")
        # The graphs take over the parameters found frame by frame.
        scales = {signature: borrow(graph, reference, known) for signature, graph in graphs.items()}
        model = write_model(graphs, scales)
        say("logits of the int8 model")
        comparison.add("int8", clip_logits(model, clips), size=len(model), exact=False)
        if qdq_file is not None:
            say("write the QDQ file")
            qdq_file.write_bytes(write_onnx(classifier(graphs["clip"]), scales["clip"]))
            comparison.add("qdq", onnx_logits(qdq_file, clips), size=qdq_file.stat().st_size, exact=False)
    say("check the delegate")
    return _Found(model, float_model, tuple(graphs), comparison, layers, _check_delegation(model, graphs, scales))


def fold_student(student: StudentFile, say: Progress) -> tuple[dict[str, FoldedStudent], Comparison]:
    """{network: its folded form}, and the comparison that begins with the student and its folded form.

    Raises:
        ConversionError: the student cannot be folded, or does not fit its own description.
    """
    say("fold BatchNorms")
    folded = {name: fold(model) for name, model in student.models.items()}
    _check_fit(student, folded)
    clips = student.network_inputs(student.golden)
    comparison = Comparison(student.golden_labels, student.fusion, student.temperature)
    say("reference logits in PyTorch")
    comparison.add("torch", torch_logits(student.models, clips))
    say("logits of the folded student")
    deploy = {name: DeployStudent(part).float() for name, part in folded.items()}
    comparison.add("deploy", torch_logits(deploy, taken(clips, comparison.few)), clips=comparison.few)
    return folded, comparison


def _check_fit(student: StudentFile, folded: dict[str, FoldedStudent]) -> None:
    """Labels and joints are those of the networks, and the clips are usable."""
    for name, part in folded.items():
        found = (part.joints, len(part.head))
        if found != (student.layout.num_joints, len(student.labels)):
            raise ConversionError(
                f"the {name} network does not fit its student file",
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


def _check_delegation(
    model: bytes, graphs: dict[str, Graph], scales: dict[str, dict[Any, Scale]] | None
) -> tuple[str, ...]:
    """Warnings; raises if the runtime's fast kernels would not take a graph as a whole."""
    warnings = []
    for number, (signature, graph) in enumerate(graphs.items()):
        # The runtime lists operators of a file's first graph only, so the others are written alone.
        if number:
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
        early_fusion=student.early is not None,
        macs=count_macs(
            student.layout, config, student.window, classes=len(student.labels), networks=len(student.models)
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
    for written in (output, options.get("onnx"), options.get("qdq")):
        if written is not None:
            check_output(written, [path])
    return convert(StudentFile.load(path), output, **options)
