"""A 3D data set as 2D estimators would see it through random virtual cameras.

Clips of training splits are rendered through training cameras, clips of test splits through cameras that no
training clip was seen by; a clip in both kinds of split is rendered by both. Splits keep their names.

A change of reach, build or posture has to be made before the projection: afterwards an arm that is shorter cannot be
told from one that points at the camera. ``vary`` therefore gives every training view a body of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asma_edge.preprocess import Preprocessor, PreprocessSpec
from asma_edge.skeleton import Layout, get_layout
from asma_trainer.data.dataset import DatasetInfo, PreparedDataset
from asma_trainer.data.splits import is_training, with_validation
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder
from asma_trainer.recipe.sections import AugmentConfig
from asma_trainer.synthetic.camera import Array, VirtualCamera, draw_cameras, facing, in_front, project
from asma_trainer.synthetic.estimator import estimate, estimator_joints

SUMMARY = "render a 3D data set through virtual cameras into 2D poses, as an estimator would report them"
LAYOUTS = ("body13", "coco17")

_PLACE, _ESTIMATE, _CAMERA, _BODY = 1, 2, 3, 4  # streams of random numbers: (seed, stream, ...) never meet
_VARIED = AugmentConfig(amplitude=0.3, bone_length=0.12, bone_angle=6.0)
_PROBE = 500  # frames to judge the source's axes by


@dataclass(frozen=True)
class ProjectSettings:
    """What to render.

    Attributes:
        layout: of the 2D poses, one of `LAYOUTS`.
        cameras, test_cameras: how many cameras there are for training and for testing clips.
        views, test_views: by how many of them each clip is seen.
        azimuth: cameras stand within this many degrees to either side of where people face.
        elevation: lowest and highest degrees of the cameras above people's hips.
        vary: training views show changed bodies: amplitude of movement, lengths and directions of bones.
        steady: all clips of a person are seen by the same cameras from the same place, as those of one recording are:
            for what joins clips, such as `asma-train calibrate`.
        noise: False gives exact places with score 1, nothing lost.
        mirrored: the source's x axis is flipped, as in a mirror.
        seed: the same settings give the same bytes.

    Raises:
        DataError: a number is out of range.
    """

    layout: str = "coco17"
    cameras: int = 12
    test_cameras: int = 4
    views: int = 4
    test_views: int = 1
    azimuth: float = 45.0
    elevation: tuple[float, float] = (-10.0, 30.0)
    vary: bool = False
    steady: bool = False
    noise: bool = True
    mirrored: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.elevation
        for problem, bad in {
            f"layout {self.layout}": self.layout not in LAYOUTS,
            f"{self.cameras} and {self.test_cameras} cameras": not (
                1 <= self.cameras <= 1000 and 1 <= self.test_cameras <= 1000
            ),
            f"{self.views} of {self.cameras} views": not 1 <= self.views <= self.cameras,
            f"{self.test_views} of {self.test_cameras} test views": not 1 <= self.test_views <= self.test_cameras,
            f"azimuth {self.azimuth}": not 0 <= self.azimuth <= 180,
            f"elevation {low} to {high}": not -60 <= low <= high <= 80,
            f"seed {self.seed}": self.seed < 0,
        }.items():
            if bad:
                raise DataError(
                    f"cannot project with {problem}",
                    expected=f"layout {' or '.join(LAYOUTS)}; 1 to 1000 cameras; no more views than cameras; "
                    "azimuth 0 to 180; elevation from -60 to 80; seed >= 0",
                    got=problem,
                    hint="correct the option",
                )


def project_dataset(
    source: PreparedDataset,
    out: str | Path,
    settings: ProjectSettings,
    watch: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> None:
    """Render a data set in metres; ``out`` appears only when all of it is written.

    Beside the prepared data set, ``cameras.json`` describes the cameras; a clip's ``camera`` is its number there.

    Raises:
        DataError: the source is not in metres, is upside down or mirrored, or ``out`` exists.
        LayoutError: the source lacks shoulders or hips.
    """
    out = Path(out)
    target = get_layout(settings.layout)
    _check_source(source, settings)
    training = draw_cameras(
        "train", settings.cameras, settings.azimuth, settings.elevation, (settings.seed, _CAMERA, 0)
    )
    testing = draw_cameras(
        "test", settings.test_cameras, settings.azimuth, settings.elevation, (settings.seed, _CAMERA, 1)
    )
    cameras = [*training, *testing]
    carried = {name: clips for name, clips in source.splits.items() if name.split("-")[-1] not in ("fit", "val")}
    sides = {name: "train" if is_training(name) else "test" for name in carried}
    info = DatasetInfo(
        layout=target,
        fps=source.info.fps,
        units="pixels",
        classes=source.info.classes,
        mirror_labels=source.info.mirror_labels,
        source=f"{source.info.source} (projected by virtual cameras)".strip(),
        licence=source.info.licence,
        assumed=tuple(what for what in source.info.assumed if what == "frame rate"),
    )
    needed = [{sides[name] for name, clips in carried.items() if n in clips} or {"train"} for n in range(len(source))]
    rendered: dict[tuple[int, str], list[int]] = {}
    subjects: list[int] = []
    with atomic_folder(out) as folder:
        with DatasetWriter(folder, info, people=source.people) as writer:
            for number in watch(iter(range(len(source)))):
                for side in sorted(needed[number]):
                    for camera in _chosen(_scene(source, number, settings), side, settings):
                        clip = _view(source, number, camera, cameras[camera], target, settings, side)
                        rendered.setdefault((number, side), []).append(writer.add(clip))
                        subjects.append(clip.subject)
            splits = {
                name: np.array([new for old in clips.tolist() for new in rendered[old, sides[name]]], dtype=np.int64)
                for name, clips in carried.items()
            }
            for name, clips in with_validation(splits, np.array(subjects, dtype=np.int64)).items():
                writer.split(name, clips)
        description = json.dumps([camera.to_dict() for camera in cameras], indent=1)
        (folder / "cameras.json").write_text(description + "\n", encoding="utf-8")


def _scene(source: PreparedDataset, number: int, settings: ProjectSettings) -> tuple[int, ...]:
    """What cameras and place are drawn by: the clip, or where all is to be steady, its person, if that is known."""
    person = int(source.subject[number])
    return (number,) if not settings.steady or person < 0 else (person, 1)


def _chosen(scene: tuple[int, ...], side: str, settings: ProjectSettings) -> list[int]:
    """Numbers of the cameras that see a scene."""
    first, count, views = (
        (0, settings.cameras, settings.views)
        if side == "train"
        else (settings.cameras, settings.test_cameras, settings.test_views)
    )
    random = np.random.default_rng((settings.seed, _CAMERA, 2, *scene))
    return sorted((first + random.permutation(count)[:views]).tolist())


def _view(
    source: PreparedDataset,
    number: int,
    index: int,
    camera: VirtualCamera,
    target: Layout,
    settings: ProjectSettings,
    side: str,
) -> Clip:
    """One clip as one camera sees it."""
    poses: Array = np.asarray(source.clip(number), dtype=np.float64)
    if settings.mirrored:
        poses = poses * (-1, 1, 1)
    if settings.vary and side == "train":
        poses = _varied(poses, source.info.layout, np.random.default_rng((settings.seed, _BODY, number, index)))
    random = np.random.default_rng((settings.seed, _PLACE, *_scene(source, number, settings), index))
    joints = estimator_joints(poses, source.info.layout, target, random if settings.noise else None)
    pixels, depth = project(in_front(joints, target, random), camera)
    if settings.noise:
        noise = np.random.default_rng((settings.seed, _ESTIMATE, number, index))
        seen = estimate(pixels, depth, target, (camera.width, camera.height), noise)
    else:
        seen = np.concatenate([pixels, np.where(np.isnan(depth), np.nan, 1.0)[..., None]], axis=-1)
    name = f"{source.name[number]}@{camera.name}"
    return Clip.of(source, number, poses=seen.astype(np.float32), name=name, camera=index)


def _varied(poses: Array, layout: Layout, random: np.random.Generator) -> Array:
    """A clip (T, M, V, 3) in metres as other bodies would move; missing joints stay missing."""
    import torch  # here, so that asma-data starts without it

    from asma_trainer.data.batches import Batch
    from asma_trainer.views.augment import Augmenter

    fill = PreprocessSpec(("fill",), "metres")
    bodies = np.stack([Preprocessor(fill, layout)(body) for body in np.moveaxis(poses, 1, 0).astype(np.float32)])
    one = torch.zeros(1, dtype=torch.int64)
    batch = Batch(torch.from_numpy(bodies), one.expand(len(bodies)), one)
    generator = torch.Generator().manual_seed(int(random.integers(2**62)))
    varied = Augmenter(layout, "metres", (0,), _VARIED)(batch, generator).frames.numpy()
    return np.where(np.isnan(poses), np.nan, np.moveaxis(varied, 0, 1))


def _check_source(source: PreparedDataset, settings: ProjectSettings) -> None:
    """Refuse what cannot be seen right: pixels, y that points down, left and right exchanged."""
    layout = source.info.layout
    if source.info.units != "metres":
        raise _refuse(source, "a data set in metres", "pixels", "project the 3D original")
    whole = source.poses[:: max(1, len(source.poses) // _PROBE), 0].astype(np.float64)
    poses = whole[~np.isnan(whole).all(axis=(1, 2))]
    shoulders, hips = (list(layout.indices((f"left_{part}", f"right_{part}"))) for part in ("shoulder", "hip"))
    up = poses[:, shoulders, 1].mean(axis=1) - poses[:, hips, 1].mean(axis=1)
    if (up < 0).sum() > (up > 0).sum():
        raise _refuse(
            source, "y that points up", "shoulders below hips in most frames", "turn the source's y axis over"
        )
    feet = [
        (layout.joints.index(toe), layout.joints.index(f"{side}_ankle"))
        for side in ("left", "right")
        for toe in (f"{side}_foot", f"{side}_foot_index", f"{side}_big_toe")
        if toe in layout.joints and f"{side}_ankle" in layout.joints
    ]
    if not feet:
        return
    toes = np.stack([poses[:, toe] - poses[:, ankle] for toe, ankle in feet]).mean(axis=0)
    ahead = (toes * facing(poses, layout)).sum(axis=-1) * (-1 if settings.mirrored else 1)
    if (ahead < 0).sum() > 2 * (ahead > 0).sum():
        raise _refuse(
            source,
            "feet that point where the shoulders face",
            "the opposite in most frames: left and right are exchanged, as in a mirror",
            "leave --mirrored out" if settings.mirrored else "use --mirrored",
        )


def _refuse(source: PreparedDataset, expected: str, got: str, hint: str) -> DataError:
    return DataError(f"cannot project '{source.path}'", expected=expected, got=got, hint=hint)
