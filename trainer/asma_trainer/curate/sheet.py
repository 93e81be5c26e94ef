"""A picture sheet of random clips, for a person to see at a glance whether the joint order is right.

A row is a clip: a few poses at equal times, the body's left side blue and its right side orange, as in
``asma-data view``. Joints in the wrong order show as bones that cross the body; exchanged sides, as colours that change
places from one pose to the next.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.errors import AsmaError
from asma_edge.files import atomic_file
from asma_edge.skeleton import FloatArray, Layout
from asma_trainer.curate.frames import is_absurd
from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError

MAX_CLIPS = 40
POSES = 8
_WIDTH, _WIDE, _ROW, _GAP, _HEAD = 12.0, 11.76, 2.3, 0.32, 0.5  # inches: sheet, row; row, title above it; top
_DPI = 100
_LEFT, _RIGHT, _TRUNK, _INK, _LINE = "#2f6fb7", "#c9711a", "#5c6773", "#1d242c", "#dde2e8"
_YAW = np.radians(20.0)  # a little from the side, so that depth shows
_OUTLIERS = 0.01  # share of the coordinates at either end that do not count for the scale
_TITLE = 110  # characters


class MissingMatplotlibError(AsmaError):
    """Pictures are drawn by matplotlib, which is not installed."""


@dataclass(frozen=True)
class SheetSettings:
    """Which clips are drawn.

    Attributes:
        clips: rows; of as many classes as possible.
        seed: the same seed chooses the same clips.

    Raises:
        DataError: a value is out of range.
    """

    clips: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.clips <= MAX_CLIPS or self.seed < 0:
            raise DataError(
                "cannot draw such a sheet",
                expected=f"1 to {MAX_CLIPS} clips, a seed of 0 or more",
                got=f"{self.clips} clips, seed {self.seed}",
                hint="change --sheet-clips or --seed",
            )


def require_matplotlib() -> None:
    """Say now, and not after minutes of work, that nothing can be drawn.

    Raises:
        MissingMatplotlibError: matplotlib is not installed.
    """
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise MissingMatplotlibError(
            "cannot draw a picture sheet",
            expected="matplotlib",
            got=str(error),
            hint="pip install matplotlib (or this package with its extra [viz]), or leave --sheet out",
        ) from error


def draw_sheet(dataset: PreparedDataset, out: str | Path, settings: SheetSettings | None = None) -> dict[str, Any]:
    """Write a PNG.

    Returns:
        its path and the names of the clips from top to bottom, JSON-ready.

    Raises:
        MissingMatplotlibError: matplotlib is not installed.
        DataError: the file's name does not end in ``.png``.
    """
    out = Path(out)
    settings = settings or SheetSettings()
    if out.suffix.lower() != ".png":
        raise DataError(
            f"cannot write the picture sheet '{out}'", expected="a name that ends in .png", got=out.name, hint="rename"
        )
    require_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    numbers = choose_clips(dataset.label, settings)
    height = _HEAD + _ROW * len(numbers)
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
    keys = [
        Line2D([], [], color=c, lw=2.5, label=t) for t, c in (("left", _LEFT), ("right", _RIGHT), ("trunk", _TRUNK))
    ]
    figure.legend(handles=keys, loc="upper right", ncols=3, frameon=False, fontsize=9)
    info = dataset.info
    head = f"{dataset.path.name}: {info.layout.name}, {info.layout.num_joints} joints, {info.units}, {info.fps:g} fps"
    figure.text(0.01, 1 - 0.15 / height, _shown(head), va="top", fontsize=10, color=_INK, parse_math=False)
    for row, number in enumerate(numbers):
        bottom = (len(numbers) - row - 1) * _ROW / height
        axes = figure.add_axes((0.01, bottom + 0.04 / height, _WIDE / _WIDTH, (_ROW - _GAP) / height))
        _draw_row(axes, dataset, number)
    with atomic_file(out) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in scripts that the font lacks
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return {"out": str(out), "clips": [str(dataset.name[number]) for number in numbers]}


def choose_clips(label: npt.NDArray[np.int64], settings: SheetSettings) -> list[int]:
    """Random clip numbers, in ascending order of their labels (N,): no class twice before each was taken once."""
    order = np.random.default_rng(settings.seed).permutation(len(label))
    taken: dict[int, int] = {}
    turn = []
    for number in order:
        turn.append(taken.get(int(label[number]), 0))
        taken[int(label[number])] = turn[-1] + 1
    chosen = order[np.argsort(turn, kind="stable")][: settings.clips]
    return [int(number) for number in chosen[np.argsort(label[chosen], kind="stable")]]


def flat_poses(poses: FloatArray, units: str) -> FloatArray:
    """(..., V, 2) right and up in the picture, from (..., V, 3) in metres (x, y up, z) or pixels (x, y down, score)."""
    if units == "pixels":
        return np.stack([poses[..., 0], -poses[..., 1]], axis=-1)
    right, ahead = -poses[..., 0], -poses[..., 2]  # as the camera sees it
    return np.stack([right * np.cos(_YAW) + ahead * np.sin(_YAW), poses[..., 1]], axis=-1)


def side_colours(layout: Layout) -> list[str]:
    """A colour a joint, by its name's side; a bone has that of its outer joint."""
    return [
        _LEFT if joint.startswith("left_") else _RIGHT if joint.startswith("right_") else _TRUNK
        for joint in layout.joints
    ]


def _draw_row(axes: Any, dataset: PreparedDataset, number: int) -> None:
    from matplotlib.collections import LineCollection

    info, clip = dataset.info, dataset.clip(number)
    frames = np.unique(np.linspace(0, len(clip) - 1, POSES).round().astype(int))
    subject = int(dataset.subject[number])
    title = f"{dataset.class_of(number) or 'no label'}   |   {dataset.name[number]}, {len(clip)} frames"
    title += f", subject {subject}" if subject >= 0 else ""
    axes.set_title(_shown(title), loc="left", fontsize=9, color=_INK, pad=3, parse_math=False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_LINE)
    flat = flat_poses(np.asarray(clip, dtype=np.float32), info.units)  # (T, M, V, 2)
    if is_absurd(clip) or np.isnan(flat[frames]).all():
        reason = "absurd coordinates" if is_absurd(clip) else "no joint is seen in these frames"
        axes.text(0.5, 0.5, reason, ha="center", color=_INK)
        return
    # Each pose is centred sideways, as walking would leave the row; up and down stay, as jumping is part of the action.
    flat[..., 0] -= _middle(flat[..., 0])[:, None, None]
    low, high = _frame_of(flat[frames])
    shape = _WIDE / (_ROW - _GAP) / POSES  # of the room for a pose, width / height
    tall = max(float(high[1] - low[1]) * 1.25, float(high[0] - low[0]) * 1.1 / shape, 1e-6)
    wide = tall * shape
    colours = side_colours(info.layout)
    bones = [bone for bone in info.layout.bones if bone[0] != bone[1]]
    for place, frame in enumerate(frames):
        shifted = flat[frame] + np.array([place * wide, 0], dtype=np.float32)  # (M, V, 2)
        for person in shifted:
            lines = [person[list(bone)] for bone in bones]
            axes.add_collection(LineCollection(lines, colors=[colours[child] for child, _ in bones], linewidths=1.8))
            axes.scatter(person[:, 0], person[:, 1], s=5, c=colours, zorder=3, linewidths=0)
        axes.text(
            (place + 0.5) / POSES, 0.02, f"{frame / info.fps:.1f} s", transform=axes.transAxes, fontsize=7, ha="center",
            color=_TRUNK,
        )  # fmt: skip
    axes.set_xlim(-wide / 2, wide * (POSES - 0.5))
    centre = float(low[1] + high[1]) / 2 - tall * 0.05  # the times stand below
    axes.set_ylim(centre - tall / 2, centre + tall / 2)


def _frame_of(flat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(2,) lowest and (2,) highest coordinates of poses (n, M, V, 2), but of single joints that fly off."""
    low, high = np.nanquantile(flat, [_OUTLIERS, 1 - _OUTLIERS], axis=(0, 1, 2))
    room = (high - low) / 4
    lowest, highest = np.nanmin(flat, axis=(0, 1, 2)), np.nanmax(flat, axis=(0, 1, 2))
    return np.maximum(lowest, low - room).astype(np.float32), np.minimum(highest, high + room).astype(np.float32)


def _middle(x: FloatArray) -> FloatArray:
    """(T,) middle of all joints (T, M, V) that are seen; 0 where none is."""
    seen = ~np.isnan(x)
    total = np.where(seen, x, 0).sum(axis=(1, 2))
    return np.asarray(total / np.maximum(seen.sum(axis=(1, 2)), 1), dtype=np.float32)


def _shown(text: str) -> str:
    """Text on one line, without what a font cannot draw."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text)
    return line if len(line) <= _TITLE else line[: _TITLE - 3] + "..."
