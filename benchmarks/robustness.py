"""What the built-in model still recognises when poses are not as they should be.

    python benchmarks/robustness.py --data data/irds --json

People of IntelliRehabDS whom the model was not trained on. Every clip is one action, recognised whole; a case changes
the poses or their times, and what it loses is counted in percentage points of right clips against the same clips as
they were. "warned" is the share of clips of which the check of poses says that something is wrong.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge import PoseWarning, Recognizer, get_layout
from asma_edge.fusion import pool_windows
from asma_edge.pose_check import check_poses
from asma_edge.skeleton import FloatArray, Layout, convert
from asma_trainer.data.dataset import PreparedDataset

LAYOUTS = ("kinect20", "h36m17", "openpose25", "mediapipe33", "coco17", "body13")
GAP = 0.6  # seconds
_CHECKED = 20  # poses

Random = np.random.Generator
Change = Callable[[FloatArray, Random], FloatArray]
Timing = Callable[[int, float, Random], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Case:
    """One way in which poses differ from the recorded ones.

    Attributes:
        name: in the table.
        change: of a clip (T, V, 3).
        layout: of the poses that the recogniser is given.
        fps: of the clip after the change, as a share of the recorded one.
        timing: (frames, fps, random) -> (which frames arrive, when); None: the clip is recognised by `predict`.
        baseline: the case it is compared with.
    """

    name: str
    change: Change = lambda clip, random: clip
    layout: str | None = None
    fps: float = 1.0
    timing: Timing | None = None
    baseline: str = "as recorded"


def cases(layout: Layout) -> list[Case]:
    """All cases for poses of the model's layout; a baseline comes before what is compared with it."""

    def times(*factors: float) -> Change:
        return lambda clip, random: clip * np.array(factors, dtype=np.float32)

    def without(*names: str) -> Change:
        return lambda clip, random: _without(clip, list(layout.indices(names)))

    def lacking(count: int) -> Change:
        return lambda clip, random: _without(clip, random.permutation(layout.num_joints)[:count])

    def arm(side: str) -> Change:
        return without(*(f"{side}_{part}" for part in ("wrist", "hand", "hand_tip", "thumb")))

    def seen_as(name: str) -> Case:
        target = get_layout(name)
        return Case(f"layout {name}", lambda clip, random: convert(clip, layout, target), layout=name)

    return [
        Case("as recorded"),
        *map(seen_as, LAYOUTS),
        Case("3 random joints never seen", lacking(3)),
        Case("6 random joints never seen", lacking(6)),
        Case("left wrist and hand never seen", arm("left")),
        Case("right wrist and hand never seen", arm("right")),
        Case("hips never seen", without("left_hip", "right_hip")),
        Case("limbs lost for 0.3 to 1 s", lambda clip, random: _lose_limbs(clip, layout, random)),
        Case("half the frame rate", lambda clip, random: clip[::2], fps=0.5),
        Case("streamed", timing=_regular),
        Case("times jitter by 20 %, 5 % of frames dropped", timing=_jittered, baseline="streamed"),
        Case(f"a gap of {GAP:g} s", timing=_with_gap, baseline="streamed"),
        Case("y down", times(1, -1, 1)),
        Case("z negated", times(1, 1, -1)),
        Case("mirrored (x negated)", times(-1, 1, 1)),
        Case("millimetres", times(1000, 1000, 1000)),
        Case("missing joints at zero", lambda clip, random: np.nan_to_num(lacking(3)(clip, random))),
    ]


def _without(clip: FloatArray, joints: Iterable[int]) -> FloatArray:
    clip = clip.copy()
    clip[:, list(joints)] = np.nan
    return clip


def _lose_limbs(clip: FloatArray, layout: Layout, random: Random) -> FloatArray:
    """A joint and all beyond it, for a third of the time in several pieces."""
    clip = clip.copy()
    for _ in range(max(1, len(clip) // 60)):
        start, length, joint = (
            random.integers(len(clip)),
            random.integers(9, 31),
            int(random.integers(layout.num_joints)),
        )
        beyond = {joint}
        for _ in range(layout.num_joints):
            beyond |= {child for child, parent in layout.bones if parent in beyond}
        if layout.centre not in beyond:
            clip[start : start + length, list(beyond)] = np.nan
    return clip


def _regular(frames: int, fps: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(frames), np.arange(frames) / fps


def _jittered(frames: int, fps: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    stamps = (np.arange(frames) + random.normal(0, 0.2, frames).clip(-0.45, 0.45)) / fps
    kept = np.flatnonzero(random.random(frames) >= 0.05)
    return kept, stamps[kept]


def _with_gap(frames: int, fps: float, random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Some of the clip is seen before and after; of a clip that is short, half is lost."""
    gap = min(round(GAP * fps), frames // 2)
    start = int(random.integers(1, max(frames - gap, 2)))
    kept = np.array([frame for frame in range(frames) if not start <= frame < start + gap])
    return kept, kept / fps


def measure(data: Path, every: int, seed: int, only: str) -> dict[str, Any]:
    """{split: {case: {"right": share, "lost_points": number, "warned": share}}} of ``test`` and the correct ones."""
    dataset = PreparedDataset.open(data)
    fps, names = dataset.info.fps, [name for name in ("test", "test-correct") if name in dataset.splits]
    numbers = dataset.split("test")[::every]
    recognizer = Recognizer.builtin("irds9")
    hits: dict[str, np.ndarray] = {}
    results: dict[str, Any] = {name: {} for name in names}
    for case in cases(recognizer.layout):
        if only not in case.name and case.name not in ("as recorded", "streamed"):
            continue
        reader = recognizer if case.layout is None else Recognizer.builtin("irds9", layout=case.layout)
        right, warned = [], []
        for number in numbers.tolist():
            random = np.random.default_rng((seed, number))
            clip = case.change(np.asarray(dataset.clip(number)[:, 0]), random)
            scores = _scores(reader, clip, fps * case.fps, case.timing, random)
            right.append(scores.argmax() == dataset.label[number])
            warned.append(bool(check_poses(clip[:_CHECKED], reader.layout, "metres")))
        hits[case.name] = np.array(right)
        for name in names:
            chosen = np.isin(numbers, dataset.split(name))
            baseline = hits[case.baseline][chosen].mean()
            results[name][case.name] = {
                "right": round(float(hits[case.name][chosen].mean()), 4),
                "lost_points": round(100 * float(baseline - hits[case.name][chosen].mean()), 2),
                "warned": round(float(np.array(warned)[chosen].mean()), 4),
            }
    return {"clips": {name: int(np.isin(numbers, dataset.split(name)).sum()) for name in names}, **results}


def _scores(reader: Recognizer, clip: FloatArray, fps: float, timing: Timing | None, random: Random) -> FloatArray:
    """(K,) of a whole clip."""
    if timing is None:
        return reader.predict(clip, fps, whole=True).scores
    stream, scores = reader.stream(), []
    for frame, time in zip(*timing(len(clip), fps, random), strict=True):
        stream.update(clip[frame], 1.0 + time)
        scores.append(stream.scores)
    return pool_windows(np.concatenate(scores))


def _rows(results: dict[str, Any]) -> Iterator[str]:
    names = list(results["clips"])
    yield f"{'':46}" + "".join(f"{name + f' ({count})':>28}" for name, count in results["clips"].items())
    yield f"{'':46}" + "".join(f"{'right %':>10}{'lost':>8}{'warned %':>10}" for _ in names)
    for case in results[names[0]]:
        values = [results[name][case] for name in names]
        yield f"{case:46}" + "".join(
            f"{100 * v['right']:10.1f}{v['lost_points']:8.1f}{100 * v['warned']:10.1f}" for v in values
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/irds"), help="IntelliRehabDS as a prepared data set")
    parser.add_argument("--every", type=int, default=1, help="use every n-th clip")
    parser.add_argument("--seed", type=int, default=0, help="of joints, limbs and times")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds the text")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    warnings.simplefilter("ignore", PoseWarning)
    results = measure(options.data, options.every, options.seed, options.only)
    print(json.dumps(results, indent=1) if options.json else "\n".join(_rows(results)))


if __name__ == "__main__":
    main()
