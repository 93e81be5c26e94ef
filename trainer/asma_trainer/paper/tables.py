"""Tables 1 and 3 to 12 of the paper, and its Figure 4, as rows of settings.

All are on the data set and by the recipe that the user gives: streams, fusion, schedules, augmentation and networks are
the recipe's own, and a row changes what it is about. docs/paper.md says what the paper leaves open. Figures of the
paper are those of NTU RGB+D 60, cross-subject, as fractions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from asma_trainer.paper.definitions import Cell, Given, Row, Setting, Table
from asma_trainer.recipe.sections import AugmentConfig

LINEAR, FINE_TUNED = "Lin.", "FT."
_STREAM_NAMES = {"joint": "Joint (J)", "motion": "Motion (M)", "bone": "Bone (B)"}
JOINT_ONLY = {"streams": ["joint"], "fusion": [1.0], "student.fuse_after": 0}
ASMA = {"pretrain.method": "asma"}
_NOT_HERE = "not among the methods of this package"


def linear(given: Given, name: str = "", changes: Mapping[str, Any] | None = None, *more: str) -> Setting:
    """What the paper calls linear evaluation: the alignment and its classifier on frozen encoders.

    It is trained as long as fine-tuning is (both take 150 epochs in the paper), at the paper's rate.
    """
    own = given.recipe.finetune
    overrides = ASMA | {
        "stages": ["pretrain", "align", *more, "evaluate"],
        "align.steps": own.steps,
        "align.batch": own.batch,
        "align.lr": 1e-3,
    }
    return Setting("-".join(["asma-linear", *more, *filter(None, [name])]), overrides | dict(changes or {}))


def finetuned(name: str = "", changes: Mapping[str, Any] | None = None, *more: str) -> Setting:
    """The encoders end to end, then the alignment on them as the recipe has it."""
    overrides = ASMA | {"stages": ["pretrain", "finetune", "align", *more, "evaluate"]}
    return Setting("-".join(["asma-finetune", *more, *filter(None, [name])]), overrides | dict(changes or {}))


# Students, one a stream, learn from their own stream's teacher and nothing else.
_KL_ONLY = {
    "distill.teacher": "stream",
    "distill.label_weight": 0.0,
    "distill.feature_weight": 0.0,
    "student.fuse_after": 0,
}


def linear_distilled(given: Given) -> Setting:
    """Students of a teacher whose encoders are frozen ("linear-probed")."""
    return linear(given, "", _KL_ONLY, "distill")


def distilled(name: str = "", changes: Mapping[str, Any] | None = None) -> Setting:
    """Students of a teacher whose encoders are fine-tuned."""
    return finetuned(name, _KL_ONLY | dict(changes or {}), "distill")


def method(given: Given, name: str) -> Setting:
    """A method with one encoder: it is probed, and fine-tuned with a linear head."""
    overrides = {"pretrain.method": name, "stages": ["pretrain", "finetune", "evaluate"]}
    return Setting(f"{name}-finetune", overrides | queue(given, name))


def queue(given: Given, name: str) -> dict[str, Any]:
    """Of a method that contrasts with earlier keys: the largest queue that is shorter than the training split."""
    if name not in ("skeleton_clr", "aimclr", "crosclr"):
        return {}
    largest = 1 << max(given.clips - 1, 1).bit_length() - 1
    return {"contrast.queue": min(given.recipe.contrast.queue, largest)}


def _table_1(given: Given) -> Table:
    supervised = {"pretrain.method": "skeleton_bt", "stages": ["finetune", "evaluate"]}  # for its one encoder
    rows = [Row("3s-ST-GCN", {FINE_TUNED: Cell(Setting("supervised", supervised), "fine-tuned", 0.852)})]
    for name, key, lin, ft, size in (
        ("3s-SkeletonBT", "skeleton_bt", 0.693, None, None),
        ("3s-SkeletonCLR", "skeleton_clr", 0.750, None, None),
        ("3s-CrosSCLR", "crosclr", 0.778, 0.862, (26.6e6, 17.28e9)),
        ("3s-AimCLR", "aimclr", 0.789, 0.869, (2.85e6, 3.45e9)),
        ("3s-PSTL", "pstl", 0.791, 0.871, (2.85e6, 3.45e9)),
    ):
        setting = method(given, key)
        cells = {LINEAR: Cell(setting, "linear", lin), FINE_TUNED: Cell(setting, "fine-tuned", ft)}
        rows.append(Row(name, cells, paper_size=size))
    teacher = {LINEAR: Cell(linear(given), "teacher", 0.873), FINE_TUNED: Cell(distilled(), "teacher", 0.920)}
    rows.append(Row("3s-ASMa", teacher, paper_size=(6.3e6, 4.5e9)))
    student = {FINE_TUNED: Cell(distilled(), "student", 0.917)}
    rows.append(Row("3s-ASMa-Distill", student, paper_size=(0.54e6, 1.26e9)))
    absent = {
        "2s-AGCN, Shift-GCN, MS-G3D, PYSKL, CTR-GCN, BlockGCN, HiOD": "other supervised networks, " + _NOT_HERE,
        "SkeletonMAE, 3s-colorization, SCD-Net, IGM, ActCLR, STJD-CL": _NOT_HERE,
    }
    return Table("Linear evaluation and fine-tuning", tuple(rows), absent, sized=True)


def _table_3(given: Given) -> Table:
    setting = linear(given)
    rows = (
        ("f_φ only (ldhm)", "linear ldhm", 0.838),
        ("f_θ only (hdlm)", "linear hdlm", 0.841),
        ("f_φ + f_θ (w/o FA)", "linear average", 0.859),
        ("f_φ + f_θ (w/ FA)", "teacher", 0.873),
    )
    return Table(
        "Each encoder, and the feature alignment (FA); linear evaluation",
        tuple(Row(name, {LINEAR: Cell(setting, stage, paper)}) for name, stage, paper in rows),
    )


def _table_4(_given: Given) -> Table:
    rows = []
    for name, key, lin, ft in (
        ("GIN", "gin", 0.7523, 0.8243),
        ("DGCNN", "dgcnn", 0.7510, 0.8329),
        ("ST-GCN", "stgcn", 0.7584, 0.8408),
    ):
        overrides = ASMA | JOINT_ONLY | {"encoder.backbone": key, "stages": ["pretrain", "finetune", "evaluate"]}
        setting = Setting(f"backbone-{key}", overrides)
        cells = {LINEAR: Cell(setting, "linear ldhm", lin), FINE_TUNED: Cell(setting, "fine-tuned ldhm", ft)}
        rows.append(Row(name, cells))
    return Table("Backbones; encoder ldhm, joint stream", tuple(rows))


def _distillation(given: Given, streams: Mapping[str, tuple[float, float, float, float]]) -> tuple[Row, ...]:
    """Teacher and student of each stream: {stream: linear and fine-tuned teacher, linear and fine-tuned student}."""
    rows = []
    for stream, (lin, ft, lin_student, ft_student) in streams.items():
        for role, stage, papers in (
            ("ASMa", "teacher", (lin, ft)),
            ("ASMa-Distill", "student", (lin_student, ft_student)),
        ):
            settings = linear_distilled(given), distilled()
            cells = {
                column: Cell(setting, stage, paper, stream)
                for column, setting, paper in zip((LINEAR, FINE_TUNED), settings, papers, strict=True)
            }
            rows.append(Row(f"{_STREAM_NAMES[stream]}, {role}", cells, f"{_STREAM_NAMES[stream]}, ASMa"))
    return tuple(rows)


_STREAM_FIGURES = {
    "joint": (0.765, 0.849, 0.805, 0.841),
    "motion": (0.695, 0.829, 0.755, 0.818),
    "bone": (0.758, 0.855, 0.803, 0.846),
}


def _table_5(given: Given) -> Table:
    rows = _distillation(given, {"bone": _STREAM_FIGURES["bone"]})
    return Table("Distillation from linear-probed and fine-tuned teachers, bone stream", rows)


def _table_6(given: Given) -> Table:
    def cells(name: str, setting: Setting, stage: str, papers: tuple[float, float]) -> dict[str, Cell]:
        found = {}
        for number, source in enumerate(given.sources):
            stages = [entry for entry in setting.overrides["stages"] if entry != "pretrain"]
            moved = Setting(f"{name}-from-{source}", {**setting.overrides, "stages": stages}, source)
            found[f"from {source}"] = Cell(moved, stage, papers[0] if number == 0 else None)
        return found | {"from itself": Cell(setting, stage, papers[1])}

    asma = finetuned()
    floor = Setting(
        "asma-unpretrained", {"stages": [entry for entry in asma.overrides["stages"] if entry != "pretrain"]}
    )
    rows = (
        Row("not pretrained", {"from itself": Cell(floor, "teacher")}),
        Row("MS²L", cells("ms2l", method(given, "ms2l"), "fine-tuned", (0.458, 0.441))),
        Row("3s-PSTL", cells("pstl", method(given, "pstl"), "fine-tuned", (0.724, 0.691))),
        Row("3s-ASMa", cells("asma", asma, "teacher", (0.772, 0.768))),
    )
    absent = {"LongTGAN, ISC, CMD, SkeletonMAE, S-JEPA": _NOT_HERE}
    if not given.sources:
        absent["columns of other data sets"] = "none is given; --source names one"
    return Table(
        "Transfer: pretrained on other data, fine-tuned",
        rows,
        absent,
        "PKU-MMD II, first from NTU-60 xsub, last from PKU-MMD I",
    )


def _table_7(given: Given) -> Table:
    """The paper masks 7 to 10 of 25 joints, two fewer to one more than it settles on, and 7 to 11 of 50 frames."""
    joints, frames = given.recipe.mask.joints, given.recipe.mask.frames
    rows = []
    for key, name, middle, papers in (
        ("joints", "joints (n)", joints, {-2: 0.861, -1: 0.871, 0: 0.873, 1: 0.865}),
        ("frames", "frames (k)", frames, {-3: 0.852, -2: 0.861, -1: 0.868, 0: 0.873, 1: 0.870}),
    ):
        for change, paper in papers.items():
            count = middle + change
            setting = linear(given, f"{key}-{count}", {f"mask.{key}": count}) if change else linear(given)
            rows.append(Row(f"{count} masked {name}", {LINEAR: Cell(setting, "teacher", paper)}))
    return Table(f"How much is masked, about n = {joints} and k = {frames}; linear evaluation", tuple(rows))


def _table_8(given: Given) -> Table:
    return Table("Distillation from linear-probed and fine-tuned teachers", _distillation(given, _STREAM_FIGURES))


def masks(name: str, hdlm: tuple[str, str], ldhm: tuple[str, str], more: Mapping[str, Any] | None = None) -> Setting:
    """Joint stream, pretraining alone; (joints, frames) that each encoder does not see."""
    pairs = ASMA | {
        "mask.hdlm_joints": hdlm[0],
        "mask.hdlm_frames": hdlm[1],
        "mask.ldhm_joints": ldhm[0],
        "mask.ldhm_frames": ldhm[1],
    }
    return Setting(f"masks-{name}", JOINT_ONLY | {"stages": ["pretrain", "evaluate"]} | pairs | dict(more or {}))


def _table_9(_given: Given) -> Table:
    """Each row is one encoder; two are trained at a time, and do not see each other."""
    random = masks("random", ("random", "random"), ("random", "random"), {"mask.low_degree": "complement"})
    same = masks("symmetric", ("high", "high"), ("low", "low"))
    crossed = masks("asymmetric", ("high", "low"), ("low", "high"))
    rows = (
        ("Random, Random", random, "hdlm", 0.742),
        ("Low-Degree, Low-Motion", same, "ldhm", 0.7042),
        ("High-Degree, High-Motion", same, "hdlm", 0.741),
        ("High-Degree, Low-Motion", crossed, "hdlm", 0.7438),
        ("Low-Degree, High-Motion", crossed, "ldhm", 0.7584),
    )
    return Table(
        "Pairs of spatial and temporal masks; one encoder, joint stream, linear probe",
        tuple(Row(name, {LINEAR: Cell(setting, f"linear {encoder}", paper)}) for name, setting, encoder, paper in rows),
    )


def _table_10(given: Given) -> Table:
    rows = []
    no_augmentation = {f"pretrain.augment.{entry.name}": 0.0 for entry in dataclasses.fields(AugmentConfig)}
    for name, key, paper, paper_masked in (
        ("MS²L", "ms2l", 0.846, 0.860),
        ("3s-AimCLR", "aimclr", 0.869, 0.882),
        ("3s-CrosSCLR", "crosclr", 0.862, 0.872),
    ):
        plain = method(given, key)
        masked = Setting(f"{key}-masks", {**plain.overrides, **no_augmentation, "pretrain.masks": True})
        for row, setting, figure in ((name, plain, paper), (f"{name} + ASMa", masked, paper_masked)):
            cells = {LINEAR: Cell(setting, "linear"), FINE_TUNED: Cell(setting, "fine-tuned", figure)}
            rows.append(Row(row, cells, name))
    return Table("Other methods with ASMa's masks for their augmentation", tuple(rows))


def _table_11(given: Given) -> Table:
    """Features by their cosine, at a tenth of the rate of logits (as the paper), and at once the head by the labels."""
    features = {"distill.label_weight": 1.0, "distill.feature_weight": 1.0, "distill.lr": given.recipe.distill.lr / 10}
    rows = (
        ("Feature-level (cosine)", distilled("features", features), 0.8243),
        ("Logit-level (KL)", distilled(), 0.8469),
        (
            "Logit-level, KL(student, teacher) as in Eq. 14",
            distilled("reverse", {"distill.direction": "reverse"}),
            None,
        ),
    )
    return Table(
        "Distillation of features or of logits, bone stream",
        tuple(Row(name, {FINE_TUNED: Cell(setting, "student", paper, "bone")}) for name, setting, paper in rows),
    )


def _table_12(given: Given) -> Table:
    pstl = method(given, "pstl")
    rows = (
        Row("3s-PSTL", {LINEAR: Cell(pstl, "linear"), FINE_TUNED: Cell(pstl, "fine-tuned")}),
        Row(
            "3s-ASMa", {LINEAR: Cell(linear(given), "teacher", 0.872), FINE_TUNED: Cell(finetuned(), "teacher", 0.921)}
        ),
    )
    absent = {"SCD-Net, STJD-CL": _NOT_HERE + "; its ancestor PSTL stands in"}
    return Table("Mean and deviation over seeds", rows, absent, seeds=(0, 1, 2, 3, 4))


TEMPERATURES = (2.0, 4.0, 6.0, 8.0, 9.0, 10.0)
DEPTHS = (2, 3, 5, 7)


def _figure_4(given: Given) -> Table:
    """Left: the temperature. Right: how many blocks the student has, all but the last as the recipe's first."""
    student, rows = given.recipe.student, []
    lists = {
        key: value
        for key in ("channels", "kernel", "strides", "temporal")
        if isinstance(value := getattr(student, key), tuple)
    }
    for tau in TEMPERATURES:
        setting = distilled(f"tau-{tau:g}", {"distill.tau": tau})
        rows.append(Row(f"τ = {tau:g}", {FINE_TUNED: Cell(setting, "student", {8.0: 0.8469}.get(tau), "bone")}))
    for depth in DEPTHS:
        several = {f"student.{key}": [each[0]] * (depth - 1) + [each[-1]] for key, each in lists.items()}
        setting = distilled(f"depth-{depth}", several)
        papers = {5: 0.8469, 7: 0.8518}  # 7: "improves by only 0.49 %"
        rows.append(Row(f"{depth} layers", {FINE_TUNED: Cell(setting, "student", papers.get(depth), "bone")}))
    return Table("Temperature and depth of the student, bone stream", tuple(rows))


TABLES: dict[str, Callable[[Given], Table]] = {
    "1": _table_1,
    "3": _table_3,
    "4": _table_4,
    "5": _table_5,
    "6": _table_6,
    "7": _table_7,
    "8": _table_8,
    "9": _table_9,
    "10": _table_10,
    "11": _table_11,
    "12": _table_12,
}
SWEPT_FIGURES: dict[str, Callable[[Given], Table]] = {"4": _figure_4}
