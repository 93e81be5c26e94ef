"""What is suspicious about a prepared data set: ``asma-data check``.

The measurements of frames are in `asma_trainer.curate.frames`; here is what concerns whole clips, and what of all this
becomes an error or a warning.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from asma_edge.plain_text import brief, is_label
from asma_edge.pose_check import check_poses
from asma_trainer.curate.frames import is_absurd, measure_frames
from asma_trainer.data.dataset import UNLABELLED, DatasetInfo, IntArray, PreparedDataset
from asma_trainer.data.splits import family_of, is_training, test_of
from asma_trainer.formats.base import count_remarks
from asma_trainer.formats.registry import published_of
from asma_trainer.licences import may_ship

# Beyond these a finding becomes a warning. Joints of consumer sensors jitter; these are far above the jitter.
NAN_SHARE = 0.2  # of a joint's frames
ABSENT_SHARE = 0.5  # of all frames that show nobody
SLOWEST, FASTEST = 5.0, 250.0  # frames a second
FROZEN_SHARE = 0.2  # of all frames identical to the one before
STILL_SHARE = 0.5  # of the frames in which most other joints move
TELEPORT_SHARE = 0.01  # of all frames
SWAP_SHARE = 0.002  # of all frames; the depth sensors of published sets stay below half of it
BONE_VARIATION = 0.25  # standard deviation / mean of a bone's length within a clip
POSE_SHARE = 0.1  # of all clips; of recorded sets as they should be, fewer than 1 in 1,000 have a finding
CLASS_RATIO = 10.0  # largest class / smallest class
_LISTED = 10
_SHARED = ("subjects", "cameras", "setups")
_WORST = 3


def check(dataset: PreparedDataset) -> dict[str, Any]:
    """Look at every frame.

    Returns:
        the findings by name, and two lists of sentences: ``errors`` (the data set is unusable as it is) and
        ``warnings`` (it can be used, but know this).
    """
    lengths, labels = dataset.lengths, dataset.label[dataset.label != UNLABELLED]
    findings = {
        "frames": int(dataset.offsets[-1]),
        "length": {"min": int(lengths.min()), "median": int(np.median(lengths)), "max": int(lengths.max())},
        **measure_frames(dataset),
        "shared_subjects": _shared(dataset, dataset.subject),
        "shared_cameras": _shared_throughout(dataset, dataset.camera),
        "shared_setups": _shared_throughout(dataset, dataset.setup),
        "duplicates": _duplicates(dataset),
        "pose_findings": _pose_findings(dataset),
        "class_counts": np.bincount(labels, minlength=len(dataset.info.classes)).tolist(),
        "unlabelled": len(dataset) - len(labels),
        "unlike_published": _unlike_published(dataset),
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
    length = values["length"]
    lines = [
        f"{values['path']}: {values['clips']} clips of {length['min']} to {length['max']} frames "
        f"(median {length['median']}) checked"
    ]
    lines += [f"error    {text}" for text in values["errors"]]
    lines += [f"warning  {text}" for text in values["warnings"]]
    if not values["errors"] and not values["warnings"]:
        lines.append("nothing suspicious")
    if "sheet" in values:
        lines.append(
            f"sheet    {values['sheet']['out']}: are the joints where they should be, left blue, right orange?"
        )
    return "\n".join(lines)


def _train_test_pairs(dataset: PreparedDataset) -> list[tuple[str, str]]:
    pairs = ((name, test_of(name, dataset.splits)) for name in dataset.splits if is_training(name))
    return [(train, test) for train, test in pairs if test is not None]


def _shared(dataset: PreparedDataset, number_N: IntArray) -> dict[str, list[int]]:
    """{"train / test": the clips' numbers, of subjects for example, that are in both}; -1, unknown, is none."""
    shared = {}
    for train, test in _train_test_pairs(dataset):
        both = np.intersect1d(number_N[dataset.splits[train]], number_N[dataset.splits[test]])
        shared[f"{train} / {test}"] = [int(number) for number in both if number >= 0]
    return shared


def _shared_throughout(dataset: PreparedDataset, number_N: IntArray) -> dict[str, list[int] | None]:
    """`_shared`; None where the number of some clip is not known, so that nothing can be said."""
    shared: dict[str, list[int] | None] = dict(_shared(dataset, number_N))
    for train, test in _train_test_pairs(dataset):
        clips = np.concatenate([dataset.splits[train], dataset.splits[test]])
        if (number_N[clips] < 0).any():
            shared[f"{train} / {test}"] = None
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


def _pose_findings(dataset: PreparedDataset) -> dict[str, dict[str, Any]]:
    """{kind: how many clips, a sentence} of what `asma_edge.pose_check` finds in each clip's first second."""
    layout, units = dataset.info.layout, dataset.info.units
    findings: dict[str, dict[str, Any]] = {}
    for number in range(len(dataset)):
        clip = dataset.clip(number)
        seen = np.asarray(~np.isnan(clip[..., 0]).all(axis=-1))  # (T, M)
        if is_absurd(clip) or not seen.any():
            continue
        person = int(seen.any(axis=0).argmax())
        first = clip[seen[:, person], person][: round(dataset.info.fps)]
        for finding in check_poses(first, layout, units):
            findings.setdefault(finding.kind, {"clips": 0, "text": str(finding)})["clips"] += 1
    return findings


def _unlike_published(dataset: PreparedDataset) -> list[str] | None:
    """Remarks on counts unlike the published ones; None: the source is of no set whose counts are known."""
    published = published_of(dataset.info)
    if published is None:
        return None
    counts = {"all": len(dataset)} | {name: len(clips) for name, clips in dataset.splits.items()}
    return count_remarks(published.counts, counts)


def _errors(findings: dict[str, Any]) -> list[str]:
    errors = []
    if findings["absurd_clips"]:
        errors.append(f"infinite or absurd coordinates in {_some(findings['absurd_clips'])}")
    if findings["empty_clips"]:
        errors.append(f"no joint is ever seen in {_some(findings['empty_clips'])}")
    return errors


def _warnings(dataset: PreparedDataset, findings: dict[str, Any]) -> list[str]:
    info = dataset.info
    warnings = _doubts(dataset.info, findings)
    missing = [f"{joint} {share:.0%}" for joint, share in findings["nan_share"].items() if share > NAN_SHARE]
    if missing:
        warnings.append(f"often missing: {', '.join(missing)}")
    if findings["frozen_share"] > FROZEN_SHARE:
        warnings.append(f"{findings['frozen_share']:.1%} of frames repeat the frame before: is fps {info.fps:g} right?")
    still = [f"{joint} {share:.0%}" for joint, share in findings["still_joints"].items() if share > STILL_SHARE]
    if still:
        warnings.append(f"do not move while the body does: {', '.join(still)}; were they filled in, or poses centred?")
    if findings["teleport_share"] > TELEPORT_SHARE:
        warnings.append(
            f"in {findings['teleport_share']:.1%} of frames a joint jumps farther than a body can: "
            f"{_largest(findings['teleport_joints'])}; most often in {_most(findings['teleport_clips'])}"
        )
    if findings["swap_share"] > SWAP_SHARE:
        warnings.append(
            f"in {findings['swap_share']:.1%} of frames left and right exchange places: "
            f"{_largest(findings['swap_pairs'])}; most often in {_most(findings['swap_clips'])}"
        )
    loose = [f"{bone} {value:.0%}" for bone, value in findings["bone_variation"].items() if value > BONE_VARIATION]
    if loose:
        warnings.append(f"bones change their length: {', '.join(loose)}")
    for found in findings["pose_findings"].values():
        if found["clips"] > POSE_SHARE * len(dataset):
            warnings.append(f"in {found['clips']} clip(s) {found['text']}")
    if findings["short_clips"]:
        warnings.append(f"{findings['short_clips']} clip(s) have a single frame: no motion to learn from")
    for pair in findings["shared_subjects"]:
        warnings += _shared_warning(pair, *(findings[f"shared_{name}"][pair] for name in _SHARED))
    for pair, names in findings["duplicates"]["test_clips_in_training"].items():
        if names:
            warnings.append(f"{pair}: {len(names)} test clip(s) are exact copies of training clips: {_some(names)}")
    counts = findings["class_counts"]
    if findings["unlabelled"]:
        warnings.append(
            f"{findings['unlabelled']} of {len(dataset)} clips have no label: they can be pretrained on only"
        )
    absent = [name for name, count in zip(info.classes, counts, strict=True) if not count]
    if absent:
        warnings.append(f"no clip of {_some(absent)}")
    present = [count for count in counts if count]
    if present and max(present) > CLASS_RATIO * min(present):
        warnings.append(f"classes are unbalanced: {min(present)} to {max(present)} clips")
    families: dict[str, set[int]] = defaultdict(set)
    for name, clips in dataset.splits.items():
        families[family_of(name)].update(dataset.label[clips].tolist())
    for name, clips in dataset.splits.items():
        lacking = families[family_of(name)] - set(dataset.label[clips].tolist()) - {UNLABELLED}
        if lacking:
            warnings.append(f"split {name} has no clip of {_some([info.classes[k] for k in sorted(lacking)])}")
    warnings += findings["unlike_published"] or []
    if not dataset.splits:
        warnings.append("no splits: nothing can be tested; define one with --test-subjects on import")
    if not info.licence:
        warnings.append("no licence stated: do not publish what is trained on it")
    elif not may_ship(info.licence):
        warnings.append(f"licence {info.licence}: is not known to allow that what is trained on it is shipped")
    return warnings


def _doubts(info: DatasetInfo, findings: dict[str, Any]) -> list[str]:
    """Warnings of what the import cannot have got right, or had to guess."""
    doubts = []
    if unfit := [name for name in info.classes if not is_label(name)]:
        doubts.append(f"class names that no model can carry, so none is trained: {_some(unfit)}")
    if not SLOWEST <= info.fps <= FASTEST:
        doubts.append(f"{info.fps:g} frames a second: were times in seconds, and is this the camera's rate?")
    if "frame rate" in info.assumed:
        doubts.append(
            f"nobody stated the frame rate, {info.fps:g} was assumed: with another one movements are too fast or too "
            "slow; import again with --fps"
        )
    if "joint order" in info.assumed:
        doubts.append(
            f"joints were taken for those of {info.layout.name} by their number alone: look at them with --sheet, and "
            "import again with --joints"
        )
    if findings["absent_share"] > ABSENT_SHARE:
        doubts.append(f"{findings['absent_share']:.1%} of frames show nobody: are times in seconds, and --fps right?")
    return doubts


def _shared_warning(
    pair: str, subjects: list[int], cameras: list[int] | None, setups: list[int] | None
) -> Iterator[str]:
    """What nobody would call a test: the same people, seen from where they were in training.

    Where no camera, or no setup, is on both sides, the split is cross-view or cross-setup, and people are on both.
    """
    if not subjects or cameras == [] or setups == []:
        return
    rest = (
        f"the same {name} ({_some([str(number) for number in shared])})" if shared else f"{name} are not stated"
        for name, shared in (("cameras", cameras), ("setups", setups))
    )
    yield (
        f"{pair}: {len(subjects)} subject(s) on both sides ({_some([str(subject) for subject in subjects])}), "
        f"{', '.join(rest)}: the test is not of unseen people, nor known to be of unseen views"
    )


def _some(names: list[str]) -> str:
    names = [brief(name) for name in names]
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _largest(shares: dict[str, float]) -> str:
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.1%}" for name, share in ordered[:_WORST] if share)


def _most(clips: dict[str, int]) -> str:
    return ", ".join(f"{brief(name)} ({count})" for name, count in list(clips.items())[:_WORST])
