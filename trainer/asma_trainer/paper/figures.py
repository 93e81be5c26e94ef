"""Figures 1 and 3 to 7 of the paper on a data set, as SVG files; `asma_trainer.paper.make` trains what they show."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asma_edge.files import atomic_file
from asma_edge.fusion import FUSED
from asma_edge.preprocess import Preprocessor
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.labels import labelled_clips
from asma_trainer.data.windows import bodies, preprocess_spec, whole_clip
from asma_trainer.errors import DataError, look_up
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import class_accuracies
from asma_trainer.evaluation.scores import Scores, student_features, teacher_features
from asma_trainer.pages.axes import Floats
from asma_trainer.pages.charts import curve_plots
from asma_trainer.pages.figure import Bar, Panel, bars, curve_panel, figure, key, lines, scatter, skeleton
from asma_trainer.paper.definitions import Figures, Plan, Setting
from asma_trainer.paper.embedding import in_the_plane, require_tsne
from asma_trainer.paper.make import Order, make, plan, plan_figure, runs_of_setting
from asma_trainer.paper.tables import FINE_TUNED, LINEAR, distilled, linear, linear_distilled
from asma_trainer.recipe.sections import DataConfig
from asma_trainer.report.curves import read_curves
from asma_trainer.run import Run
from asma_trainer.stages.align import trained_teacher
from asma_trainer.stages.pretrain import pretrained_encoders

Rows = list[list[Panel]]

_ACTIONS = 4  # that Figure 1 shows
_LEAST = 0.05  # below the smallest accuracy, where the bars of Figure 3 begin


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        title: what it shows.
        trains: the runs that it is drawn from; None: it shows the data alone.
        rows: its panels, once the runs are finished.
    """

    title: str
    trains: Callable[[Order], Plan] | None
    rows: Callable[[Order, list[Figures]], Rows]


def drawing(number: str) -> Drawing:
    """Figure ``number`` of the paper.

    Raises:
        RecipeError: there is none.
    """
    return look_up(FIGURES, number, f"no figure {number}", "Figure 2 is a drawing of the method")


def runs_behind(order: Order, number: str) -> Plan | None:
    """What figure ``number`` is drawn from; None: the data alone. Their figures go to OUT/figure-<n>.md and .json.

    Raises:
        RecipeError: there is no such figure, or the recipe allows none of it.
        ExtraMissingError: it takes scikit-learn, which is not installed.
    """
    trains = drawing(number).trains
    return dataclasses.replace(trains(order), name=f"figure-{number}") if trains else None


def draw(order: Order, number: str) -> Path:
    """Train what figure ``number`` shows as far as it is not trained, and draw it; the file, OUT/figure-<n>.svg.

    Raises:
        RecipeError: there is no such figure, or the recipe allows none of it.
        ExtraMissingError: it takes scikit-learn, which is not installed.
        DataError, CheckpointError: as `asma_trainer.sweep.sweep`.
    """
    wanted, planned = drawing(number), runs_behind(order, number)
    trained = make(order, planned) if planned else []
    rows, path = wanted.rows(order, trained), order.out / f"figure-{number}.svg"
    if order.compute.main:
        _write(path, f"Figure {number}: {wanted.title}", rows)
    return path


def draw_curves(run: Path, path: Path) -> None:
    """Draw the training curves of a run, a row a stage.

    Raises:
        DataError: it is no run's folder, has no curves, or one that cannot be read.
    """
    stages = curve_plots(read_curves(run))
    if not stages:
        raise DataError(
            f"'{run}' has no training curves",
            expected=f"'{run}/<stage>/<stream>/metrics.jsonl'",
            got="none, or without numbers",
            hint="give the folder of a run that has begun",
        )
    rows = []
    for stage, plots in stages.items():
        panels = [curve_panel(plot) for plot in plots]
        rows.append([Panel(f"{stage}: {p.title}", p.width, p.height, p.parts) for p in panels])
    _write(path, f"Training curves of {run.resolve().name}", rows)


def _write(path: Path, title: str, rows: Sequence[Sequence[Panel]]) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(figure(title, rows), encoding="utf-8")


def _degree_and_motion(order: Order, _trained: Sequence[Figures]) -> Rows:
    """Joints by their degree, and how much each moves in some actions."""
    recipe, info = order.base, order.dataset.info
    data, train = recipe.data, order.dataset.split(recipe.data.train, "data.train")
    clips = labelled_clips(order.dataset, train, recipe.labels)
    classes = np.unique(order.dataset.label[clips])
    shown = classes[np.linspace(0, len(classes) - 1, min(_ACTIONS, len(classes))).round().astype(int)]
    kinds = sorted({int(degree) for degree in info.layout.degrees})
    groups = [kinds.index(int(degree)) for degree in info.layout.degrees]
    frames = _whole(order.dataset, train[:1], data)[0]
    graph = skeleton("Joints by degree", info.layout, frames[0, :, :2], groups, info.units == "metres")
    unit, motion = "torso lengths" if "scale" in data.preprocess else info.units, []
    for number in shown:
        moved = joint_motion(_whole(order.dataset, clips[order.dataset.label[clips] == number], data))
        names = [f"{index + 1} {name}" for index, name in enumerate(info.layout.joints)]
        several = [Bar(name, float(value), group) for name, value, group in zip(names, moved, groups, strict=True)]
        motion.append(bars(f"{info.classes[number]}: motion a frame, {unit}", several, "{:.3f}".format))
    return [[graph, key([f"degree {kind}" for kind in kinds])], motion]


def joint_motion(several: Sequence[Floats]) -> Floats:
    """(V,) how far each joint moves from a frame to the next, in the units of the poses: the mean over clips.

    Args:
        several: (T, V, C) positions of each clip's person.
    """
    moved_NV = np.stack([np.linalg.norm(np.diff(x_TVC, axis=0), axis=2).mean(axis=0) for x_TVC in several])
    mean: Floats = moved_NV.mean(axis=0)
    return mean


def _whole(dataset: PreparedDataset, clips: IntArray, data: DataConfig) -> list[Floats]:
    """(T, V, C) of every person in every clip: the whole action in T frames, prepared as for training."""
    spec, layout = preprocess_spec(dataset, data), dataset.info.layout
    channels = 3 if dataset.info.units == "metres" else 2
    return [
        whole_clip(Preprocessor(spec, layout)(person), data.frames)[1:, :, :channels].astype(np.float64)
        for clip in clips
        for person in bodies(dataset.clip(int(clip)))
    ]


def _mask_pairs(_order: Order, trained: Sequence[Figures]) -> Rows:
    """Table 9 as bars; lines across are the paper's."""
    splits = dict.fromkeys(row.split for row in trained)
    return [[_accuracy_bars(split, [row for row in trained if row.split == split])] for split in splits]


def _accuracy_bars(split: str, rows: Sequence[Figures]) -> Panel:
    several = [
        Bar(row.row.name, statistics.mean(row.values[LINEAR]), index, row.row.cells[LINEAR].paper)
        for index, row in enumerate(rows)
    ]
    least = min(value for bar in several for value in (bar.value, bar.mark) if value is not None)
    title = f"Linear probe, {split}, per cent (across: the paper, NTU-60 xsub)"
    return bars(title, several, lambda value: f"{100 * value:.1f}", max(0.0, least - _LEAST))


def _student_sweeps(_order: Order, trained: Sequence[Figures]) -> Rows:
    """The student's accuracy over the temperature, and over its depth."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {"distill.tau": {}, "student.channels": {}}
    for row in trained:
        for swept, by_split in found.items():
            value = row.row.cells[FINE_TUNED].setting.overrides.get(swept)
            if value is not None:
                x = float(len(value) if isinstance(value, list) else value)
                by_split.setdefault(row.split, []).append((x, 100 * statistics.mean(row.values[FINE_TUNED])))
    titles = {"distill.tau": ("Temperature", "τ"), "student.channels": ("Depth of the student", "layers")}
    return [[lines(*titles[swept], by_split) for swept, by_split in found.items() if by_split]]


def _class_differences(order: Order, _trained: Sequence[Figures]) -> Rows:
    """Linear probes of both encoders, class by class: where bars go to the right, ldhm (f_φ) is better."""
    run = _first_run(order, linear(order.given()))
    evaluator = Evaluator(order.dataset, run.recipe, order.compute)
    encoders = {stream: pretrained_encoders(run, stream) for stream in run.recipe.streams}
    scores = evaluator.probe_scores(encoders, "linear")
    split = run.recipe.data.test[0]
    chosen = np.isin(evaluator.clips, evaluator.splits[split])
    first, second = (
        class_accuracies(scores[f"linear {name}"][FUSED][chosen], evaluator.label[chosen]) for name in ("hdlm", "ldhm")
    )
    names = order.dataset.info.classes
    several = [Bar(names[label], second[label] - first[label], int(second[label] < first[label])) for label in first]
    title = f"Accuracy of ldhm (f_φ) less that of hdlm (f_θ), {split}, percentage points"
    return [[bars(title, several, lambda value: f"{100 * value:+.1f}")]]


def _projections(order: Order, _trained: Sequence[Figures], classes: int, sets: int) -> Rows:
    """t-SNE of teachers and students, fine-tuned and linear-probed, of the test clips of random classes."""
    found = {
        "fine-tuned": _first_run(order, distilled()),
        "linear-probed": _first_run(order, linear_distilled(order.given())),
    }
    run = found["fine-tuned"]
    stream = "bone" if "bone" in run.recipe.streams else run.recipe.streams[0]
    clips = order.dataset.split(run.recipe.data.test[0])
    labels = np.unique(order.dataset.label[clips])
    random = np.random.default_rng(run.recipe.seed)
    rows: Rows = []
    for _ in range(sets):
        chosen = np.sort(random.choice(labels, min(classes, len(labels)), replace=False))
        shown = clips[np.isin(order.dataset.label[clips], chosen)]
        colours = np.searchsorted(chosen, order.dataset.label[shown]).tolist()
        panels = []
        for kind, trained in found.items():
            for role, features in _features(order, trained, stream, shown).items():
                places = in_the_plane(features, run.recipe.seed)
                panels.append(scatter(f"{role}, {kind}", places, colours))
        names = key([order.dataset.info.classes[label] for label in chosen])
        rows += [[*panels[:2], names], panels[2:]]
    return rows


def _features(order: Order, run: Run, stream: str, clips: IntArray) -> dict[str, Scores]:
    """{"teacher" or "student": (N, D)} of clips."""
    evaluator, info = Evaluator(order.dataset, run.recipe, order.compute), order.dataset.info
    teacher = trained_teacher(run, stream).to(order.compute.device)
    student = run.students("distill")[stream].to(order.compute.device)
    return {
        "teacher": evaluator.features(clips, teacher_features(teacher, info, stream)),
        "student": evaluator.features(clips, student_features(student, info, (stream,))),
    }


def _first_run(order: Order, setting: Setting) -> Run:
    """The run of a setting with the first seed."""
    return runs_of_setting(order, setting, [order.first_seed])[0][1]


def _table_of_one_seed(order: Order, number: str) -> Plan:
    return plan(dataclasses.replace(order, seeds=(order.first_seed,)), number)


def _students(order: Order) -> Plan:
    require_tsne()  # rather now than after the training
    return _table_of_one_seed(order, "8")


FIGURES: dict[str, Drawing] = {
    "1": Drawing("degree and motion of joints", None, _degree_and_motion),
    "3": Drawing("pairs of masking strategies", lambda order: plan(order, "9"), _mask_pairs),
    "4": Drawing("temperature and depth of the student", lambda order: plan_figure(order, "4"), _student_sweeps),
    "5": Drawing("t-SNE of teachers and students", _students, functools.partial(_projections, classes=9, sets=1)),
    "6": Drawing("encoders class by class", lambda order: _table_of_one_seed(order, "3"), _class_differences),
    "7": Drawing(
        "t-SNE of teachers and students, two sets of classes",
        _students,
        functools.partial(_projections, classes=10, sets=2),
    ),
}
