"""``openpose-json``: OpenPose's JSON output, one file a frame.

Files whose names differ in their last number only are one clip (``wave_000000000012_keypoints.json``,
``cam01.0012.json``): the number is the frame's, and frames without a file have nobody in them. ``pose_keypoints_2d``
of a person holds x, y, confidence of every joint, 0 0 0 for a joint that was not found. OpenPose does not say which
of its models wrote a file: 54 numbers are COCO's 18 joints, but 75 can be BODY_25 or BODY_25B, whose 25 joints come
in another order. They are told apart by where the joints are: BODY_25's second joint is the middle of its third and
sixth, the shoulders; BODY_25B's is an eye. Nothing says how many frames a second there are: ``--fps`` has to.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from asma_edge.skeleton import FloatArray, Layout, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Omitted, Source, measures, recordings
from asma_trainer.formats.parse.files import Entry, bad_file, read_bytes
from asma_trainer.formats.parse.json_text import MAX_JSON_BYTES, numbers, read_json
from asma_trainer.formats.parse.people import to_clip
from asma_trainer.formats.rates import asked_rate
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "OpenPose JSON files, one a frame (BODY_25, BODY_25B or COCO 18)"

_LIMBS = (
    "left_shoulder-left_elbow left_elbow-left_wrist right_shoulder-right_elbow right_elbow-right_wrist "
    "left_hip-left_knee left_knee-left_ankle right_hip-right_knee right_knee-right_ankle "
)
_JOINTS = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle upper_neck head_top left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel"
)
_BODY_25B_JOINTS = tuple(_JOINTS.split())
_BODY_25B_EDGES = _LIMBS + (
    "left_shoulder-nose right_shoulder-nose left_hip-left_shoulder right_hip-right_shoulder left_eye-nose "
    "right_eye-nose left_ear-left_eye right_ear-right_eye upper_neck-nose head_top-nose left_big_toe-left_ankle "
    "left_small_toe-left_big_toe left_heel-left_ankle right_big_toe-right_ankle right_small_toe-right_big_toe "
    "right_heel-right_ankle"
)
MODELS: dict[str, Layout] = {
    "BODY_25": get_layout("openpose25"),
    "BODY_25B": Layout(
        "openpose25b",
        _BODY_25B_JOINTS,
        tuple(
            (_BODY_25B_JOINTS.index(a), _BODY_25B_JOINTS.index(b))
            for a, b in (edge.split("-") for edge in _BODY_25B_EDGES.split())
        ),
        ("left_shoulder", "right_shoulder"),
    ),
    "COCO_18": get_layout("openpose18"),
}
_NUMBERED = re.compile(r"(?P<clip>.*?)[._-]?(?P<frame>[0-9]{1,15})(?:_keypoints)?")
_MAX_FRAMES = 1_000_000
_MAX_PEOPLE = 200
_PROBES = 200  # people to tell BODY_25 from BODY_25B by


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    parser.add_argument("--model", choices=MODELS, help="which model wrote the files (default: found out)")
    recordings.add_people_argument(parser)
    measures.add_arguments(parser)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a folder or zip archive of OpenPose JSON files.

    Raises:
        DataError: there are no such files, they are of different models, or nothing says what is performed.
    """
    fps = asked_rate(options, path)
    clips = _group(path)
    model = _model(clips, options.own.get("model"))
    labelled = label_recordings(path, clips, options)
    entries = (entry for files in clips.values() for entry in files)
    people, assumed = recordings.room_for_people(options, map(_count, entries))
    info = options.describe(MODELS[model], labelled.classes, fps, "pixels")
    found = measures.measures_of(options, info.layout, info.units)
    assumed += measures.assumed_scores(options, info.units)
    read = partial(_read, model=model, people=people, fps=fps, found=found)
    total = len(labelled.rows)
    return Source.of_items(info, labelled.rows, read, labelled.splits, people=people, total=total, assumed=assumed)


def _count(entry: Entry) -> int:
    """People in a frame; what is wrong with it is told when its clip is read."""
    try:
        return read_bytes(entry, MAX_JSON_BYTES).count(b'"pose_keypoints_2d"')
    except DataError:
        return 0


def _group(root: Path) -> dict[str, list[Entry]]:
    """{clip name: files in the order of their frames}."""
    clips: dict[str, dict[int, Entry]] = {}
    for name, entry in find_files(root, (".json",), "OpenPose JSON files").items():
        folder, _, stem = name.rpartition("/")
        match = _NUMBERED.fullmatch(stem)
        if match is None:
            raise bad_file(entry, "a frame number at the end of the name, such as walk_000012_keypoints.json", stem)
        clip = "/".join(part for part in (folder, match["clip"]) if part) or root.stem
        frames = clips.setdefault(clip, {})
        if int(match["frame"]) in frames:
            raise bad_file(entry, "one file a frame", f"frame {int(match['frame'])} of '{clip}' again")
        frames[int(match["frame"])] = entry
    return {clip: [frames[number] for number in sorted(frames)] for clip, frames in clips.items()}


def _frame_number(entry: Entry) -> int:
    match = _NUMBERED.fullmatch(entry.stem)
    return int(match["frame"]) if match else 0


def _read(
    recording: Recording, model: str, people: int, fps: float, found: measures.Measures
) -> Iterator[Clip | Omitted]:
    layout = MODELS[model]
    first = _frame_number(recording.files[0])
    count = _frame_number(recording.files[-1]) - first + 1
    if count > _MAX_FRAMES:
        raise bad_file(recording, f"at most {_MAX_FRAMES} frames", f"frame numbers {first} to {first + count - 1}")
    frames, evidence = {}, []
    for entry in recording.files:
        poses = [pose for pose in _people(entry, layout.num_joints) if not np.isnan(pose[:, 0]).all()]
        frames[_frame_number(entry) - first] = poses
        evidence += poses
    guess = _guess(evidence[:_PROBES])
    if layout.num_joints == 25 and guess not in (None, model):
        raise bad_file(recording, f"joints in the order of {model}", f"they lie as {guess}'s", hint=f"--model {guess}")
    kept = to_clip(frames, count, layout, "pixels", people, fps)
    yield from recording.with_people(found.apply(recording, kept.poses), kept.left_out)


def _people(entry: Entry, joints: int | None) -> list[FloatArray]:
    """(V, 3) of each person in a file; NaN for joints that were not found."""
    content = read_json(entry)
    listed = content.get("people") if isinstance(content, dict) else None
    if not isinstance(listed, list) or len(listed) > _MAX_PEOPLE:
        raise bad_file(entry, f"an object with a list 'people' of at most {_MAX_PEOPLE}", type(content).__name__)
    result = []
    for number, person in enumerate(listed):
        values = person.get("pose_keypoints_2d") if isinstance(person, dict) else None
        pose = numbers(entry, values, f"pose_keypoints_2d of person {number}", (-1,))
        allowed = {54, 75} if joints is None else {3 * joints}
        if len(pose) not in allowed:
            expected = " or ".join(f"{count} numbers ({count // 3} joints)" for count in sorted(allowed))
            raise bad_file(entry, expected, f"{len(pose)} of person {number}")
        triples = pose.reshape(-1, 3)
        triples[(triples[:, 2] <= 0) | np.isnan(triples).any(axis=1)] = np.nan
        result.append(triples.astype(np.float32))
    return result


def _model(clips: dict[str, list[Entry]], said: str | None) -> str:
    """The model that wrote the files: as the user says, or by the first people found.

    Raises:
        DataError: it cannot be told.
    """
    if said is not None:
        return said
    evidence: list[FloatArray] = []
    for entries in clips.values():
        for entry in entries:
            try:
                evidence += [pose for pose in _people(entry, None) if not np.isnan(pose[:, 0]).all()]
            except DataError:
                continue  # it is reported, or left out, when its clip is read
            if any(len(pose) == 18 for pose in evidence):
                return "COCO_18"
            if len(evidence) >= _PROBES:
                break
        if len(evidence) >= _PROBES:
            break
    found = _guess(evidence)
    if found is None:
        raise DataError(
            "cannot tell which OpenPose model wrote these files",
            expected="people with shoulders and eyes, or --model",
            got=f"{len(evidence)} people in the first files",
            hint="give --model " + " or --model ".join(MODELS),
        )
    return found


def _guess(poses: list[FloatArray]) -> str | None:
    """BODY_25 or BODY_25B by the geometry of people (25, 3); None where they do not tell."""
    if not poses or any(len(pose) != 25 for pose in poses):
        return None
    points = np.stack(poses)[..., :2].astype(np.float64)
    size = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
    scale = np.maximum(np.linalg.norm(size, axis=-1), 1.0)

    def off(middle: int, one: int, other: int) -> float:
        """How far one joint is from the middle of two others, in sizes of the body."""
        error = np.linalg.norm(points[:, middle] - (points[:, one] + points[:, other]) / 2, axis=-1) / scale
        return float(np.nanmedian(error)) if not np.isnan(error).all() else np.nan

    errors = {
        "BODY_25": np.nanmax([off(1, 2, 5), off(8, 9, 12)]) if not np.isnan(off(1, 2, 5)) else np.nan,
        "BODY_25B": np.nanmax([off(17, 5, 6), off(0, 1, 2)]) if not np.isnan(off(17, 5, 6)) else np.nan,
    }
    best = min(errors, key=lambda name: np.inf if np.isnan(errors[name]) else errors[name])
    other = next(name for name in errors if name != best)
    clear = errors[best] < 0.1 and (np.isnan(errors[other]) or errors[other] > 1.5 * errors[best])
    return best if clear else None
