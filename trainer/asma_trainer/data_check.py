"""What a prepared data set holds, and what is suspicious about it.

`describe` counts; `check` looks at every frame. Both return JSON-ready values; the ``*_text`` functions print them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray
from asma_trainer.dataset import PreparedDataset
from asma_trainer.splits import is_training, test_of

# Beyond these a finding becomes a warning. Joints of consumer sensors jitter; these are far above the jitter.
NAN_SHARE = 0.2  # of a joint's frames
FROZEN_SHARE = 0.2  # of all frames identical to the one before
TELEPORT_SHARE = 0.01  # of all frames
TELEPORT_STEP = 0.3  # of the body's extent in a thirtieth of a second: 15 m/s for an adult
BONE_VARIATION = 0.25  # standard deviation / mean of a bone's length within a clip
CLASS_RATIO = 10.0  # largest class / smallest class
_MAX_COORDINATE = 1e6
_LISTED = 10
_COLUMNS = 6  # splits that fit beside each other
_NUMBERS = 40


def describe(dataset: PreparedDataset) -> dict[str, Any]:
    """Layout, classes, people and counts of a data set."""
    info, lengths = dataset.info, dataset.lengths
    classes = {name: {"all": int((dataset.label == k).sum())} for k, name in enumerate(info.classes)}
    for split, clips in dataset.splits.items():
        for k, name in enumerate(info.classes):
            classes[name][split] = int((dataset.label[clips] == k).sum())
    return {
        "path": str(dataset.path),
        "layout": info.layout.name,
        "joints": info.layout.num_joints,
        "fps": info.fps,
        "units": info.units,
        "people": dataset.people,
        "clips": len(dataset),
        "frames": int(dataset.offsets[-1]),
        "seconds": round(float(dataset.offsets[-1]) / info.fps, 1),
        "length": {
            "min": int(lengths.min()),
            "median": int(np.median(lengths)),
            "max": int(lengths.max()),
        },
        "subjects": [int(subject) for subject in np.unique(dataset.subject) if subject >= 0],
        "cameras": [int(camera) for camera in np.unique(dataset.camera) if camera >= 0],
        "splits": {
            name: {"clips": len(clips), "subjects": len(np.unique(dataset.subject[clips]))}
            for name, clips in dataset.splits.items()
        },
        "classes": classes,
        "mirror_labels": list(info.mirror_labels),
        "source": info.source,
        "licence": info.licence,
    }


def describe_text(values: dict[str, Any]) -> str:
    """`describe` for people."""
    length, splits = values["length"], values["splits"]
    columns = ["all", *list(splits)[:_COLUMNS]]
    width = max(len(name) for name in [*values["classes"], *splits])
    lines = [
        f"{values['path']}: {values['clips']} clips, {values['frames']} frames, {values['seconds']} s",
        f"layout    {values['layout']}, {values['joints']} joints, {values['units']}, {values['fps']:g} fps, "
        f"up to {values['people']} person(s) a frame",
        f"length    {length['min']} to {length['max']} frames, median {length['median']}",
        f"subjects  {len(values['subjects'])}: {_numbers(values['subjects'])}",
        f"cameras   {len(values['cameras'])}: {_numbers(values['cameras'])}",
        f"source    {values['source'] or 'not stated'}",
        f"licence   {values['licence'] or 'not stated'}",
        "",
        f"{'split':{width}}  clips  subjects",
        *(f"{name:{width}}  {split['clips']:5}  {split['subjects']:8}" for name, split in splits.items()),
        "",
        f"{'class':{width}}  " + "  ".join(columns),
    ]
    lines += [
        f"{name:{width}}  " + "  ".join(f"{counts[column]:{len(column)}}" for column in columns)
        for name, counts in values["classes"].items()
    ]
    return "\n".join(lines)


def _numbers(values: list[int]) -> str:
    return " ".join(map(str, values[:_NUMBERS])) + (" ..." if len(values) > _NUMBERS else "") or "not stated"


def check(dataset: PreparedDataset) -> dict[str, Any]:
    """Look at every frame.

    Returns:
        the findings by name, and two lists of sentences: ``errors`` (the data set is unusable as it is) and
        ``warnings`` (it can be used, but know this).
    """
    findings = _frames(dataset) | {
        "shared_subjects": _shared_subjects(dataset),
        "duplicates": _duplicates(dataset),
        "class_counts": np.bincount(dataset.label, minlength=len(dataset.info.classes)).tolist(),
    }
    return {
        "path": str(dataset.path),
        "clips": len(dataset),
        **findings,
        "errors": _errors(findings),
        "warnings": _warnings(dataset, findings),
    }


def check_text(values: dict[str, Any]) -> str:
    """`check` for people."""
    lines = [f"{values['path']}: {values['clips']} clips checked"]
    lines += [f"error    {text}" for text in values["errors"]]
    lines += [f"warning  {text}" for text in values["warnings"]]
    if not values["errors"] and not values["warnings"]:
        lines.append("nothing suspicious")
    return "\n".join(lines)


def _frames(dataset: PreparedDataset) -> dict[str, Any]:
    """Everything that needs the coordinates; one clip in memory at a time."""
    layout = dataset.info.layout
    pixels = dataset.info.units == "pixels"
    bones = np.array([pair for pair in layout.bones if pair[0] != pair[1]])
    missing = np.zeros(layout.num_joints)
    seen_frames = frozen = teleports = steps = 0
    variation: list[FloatArray] = []
    absurd: list[str] = []
    empty: list[str] = []
    for number in range(len(dataset)):
        clip = dataset.clip(number)
        points = clip[..., :2] if pixels else clip
        gone: npt.NDArray[np.bool_] = np.asarray(np.isnan(points).any(axis=-1))
        present: npt.NDArray[np.bool_] = np.asarray(~gone.all(axis=-1))  # (T, M)
        if np.isinf(clip).any() or (np.abs(np.where(np.isnan(clip), 0, clip)) > _MAX_COORDINATE).any():
            absurd.append(str(dataset.name[number]))
            continue
        if not present.any():
            empty.append(str(dataset.name[number]))
            continue
        missing += gone[present].sum(axis=0)
        seen_frames += int(present.sum())
        if len(clip) > 1:
            both = present[1:] & present[:-1]
            steps += int(both.sum())
            same = (points[1:] == points[:-1]) | (np.isnan(points[1:]) & np.isnan(points[:-1]))
            frozen += int((same.all(axis=(-2, -1)) & both).sum())
            step = np.linalg.norm(np.diff(points, axis=0), axis=-1)
            limit = TELEPORT_STEP * _extent(points[present]) * 30.0 / dataset.info.fps
            teleports += int((np.nan_to_num(step).max(axis=-1) > limit).sum())
        if not pixels:
            length = np.linalg.norm(points[:, :, bones[:, 0]] - points[:, :, bones[:, 1]], axis=-1)[present]
            variation.append(_variation(length))
    return {
        "nan_share": dict(zip(layout.joints, (missing / max(seen_frames, 1)).round(4).tolist(), strict=True)),
        "frozen_share": round(frozen / max(steps, 1), 4),
        "teleport_share": round(teleports / max(steps, 1), 4),
        "bone_variation": {
            f"{layout.joints[child]}-{layout.joints[parent]}": round(float(value), 4)
            for (child, parent), value in zip(bones, _mean(variation, len(bones)), strict=True)
        },
        "absurd_clips": absurd,
        "empty_clips": empty,
        "short_clips": int((dataset.lengths < 2).sum()),
    }


def _extent(points: FloatArray) -> float:
    """Median diagonal of the box around a person; points (n, V, 2 or 3) with at least one joint each."""
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    return float(np.median(np.linalg.norm(high - low, axis=-1)))


def _variation(length: FloatArray) -> FloatArray:
    """(B,) standard deviation / mean of each bone's length (n, B); NaN where a bone was never seen."""
    seen = ~np.isnan(length)
    count = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, length, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(seen, (length - mean) ** 2, 0).sum(axis=0) / count)
    return np.where(seen.any(axis=0) & (mean > 0), spread / np.maximum(mean, 1e-9), np.nan).astype(np.float32)


def _mean(rows: list[FloatArray], width: int) -> FloatArray:
    """(width,) mean over rows, NaN apart; 0 where nothing was seen."""
    if not rows:
        return np.zeros(width, dtype=np.float32)
    values = np.stack(rows)
    seen = ~np.isnan(values)
    mean: FloatArray = np.where(seen, values, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    return mean


def _train_test_pairs(dataset: PreparedDataset) -> list[tuple[str, str]]:
    pairs = ((name, test_of(name, dataset.splits)) for name in dataset.splits if is_training(name))
    return [(train, test) for train, test in pairs if test is not None]


def _shared_subjects(dataset: PreparedDataset) -> dict[str, list[int]]:
    """{"train / test": subjects in both}."""
    shared = {}
    for train, test in _train_test_pairs(dataset):
        both = np.intersect1d(dataset.subject[dataset.splits[train]], dataset.subject[dataset.splits[test]])
        shared[f"{train} / {test}"] = [int(subject) for subject in both if subject >= 0]
    return shared


def _duplicates(dataset: PreparedDataset) -> dict[str, Any]:
    """Clips that equal another one number for number, in the whole set and across training and test."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number in range(len(dataset)):
        groups[hashlib.sha256(np.ascontiguousarray(dataset.clip(number)).tobytes()).digest()].append(number)
    same = [clips for clips in groups.values() if len(clips) > 1]
    across = {}
    for train, test in _train_test_pairs(dataset):
        training = set(dataset.splits[train].tolist())
        known = {n for clips in same if training.intersection(clips) for n in clips}
        leaked = [n for n in dataset.splits[test].tolist() if n in known]
        across[f"{train} / {test}"] = [str(dataset.name[n]) for n in leaked]
    return {"clips": sum(len(clips) - 1 for clips in same), "test_clips_in_training": across}


def _errors(findings: dict[str, Any]) -> list[str]:
    errors = []
    if findings["absurd_clips"]:
        errors.append(f"infinite or absurd coordinates in {_some(findings['absurd_clips'])}")
    if findings["empty_clips"]:
        errors.append(f"no joint is ever seen in {_some(findings['empty_clips'])}")
    return errors


def _warnings(dataset: PreparedDataset, findings: dict[str, Any]) -> list[str]:
    info = dataset.info
    warnings = []
    missing = [f"{joint} {share:.0%}" for joint, share in findings["nan_share"].items() if share > NAN_SHARE]
    if missing:
        warnings.append(f"often missing: {', '.join(missing)}")
    if findings["frozen_share"] > FROZEN_SHARE:
        warnings.append(f"{findings['frozen_share']:.1%} of frames repeat the frame before: is fps {info.fps:g} right?")
    if findings["teleport_share"] > TELEPORT_SHARE:
        warnings.append(f"in {findings['teleport_share']:.1%} of frames a joint jumps farther than a body can")
    loose = [f"{bone} {value:.0%}" for bone, value in findings["bone_variation"].items() if value > BONE_VARIATION]
    if loose:
        warnings.append(f"bones change their length: {', '.join(loose)}")
    if findings["short_clips"]:
        warnings.append(f"{findings['short_clips']} clip(s) have a single frame: no motion to learn from")
    for pair, subjects in findings["shared_subjects"].items():
        if subjects:
            warnings.append(f"{pair}: {len(subjects)} subject(s) on both sides, the test is not of unseen people")
    for pair, names in findings["duplicates"]["test_clips_in_training"].items():
        if names:
            warnings.append(f"{pair}: {len(names)} test clip(s) are exact copies of training clips: {_some(names)}")
    counts = findings["class_counts"]
    absent = [name for name, count in zip(info.classes, counts, strict=True) if not count]
    if absent:
        warnings.append(f"no clip of {_some(absent)}")
    present = [count for count in counts if count]
    if max(present) > CLASS_RATIO * min(present):
        warnings.append(f"classes are unbalanced: {min(present)} to {max(present)} clips")
    for name, clips in dataset.splits.items():
        lacking = set(np.flatnonzero(counts).tolist()) - set(dataset.label[clips].tolist())
        if lacking:
            warnings.append(f"split {name} has no clip of {_some([info.classes[k] for k in sorted(lacking)])}")
    if not dataset.splits:
        warnings.append("no splits: nothing can be tested; define one with --test-subjects on import")
    if not info.licence:
        warnings.append("no licence stated: do not publish what is trained on it")
    return warnings


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
