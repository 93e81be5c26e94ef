"""``coco-json``: keypoints in COCO's format, one JSON file a clip.

Two forms are read. *Annotations*, as labelling tools export them: {"images": [...], "annotations": [...],
"categories": [...]}; the images, in the order of ``frame_id``, else of their file names, are the frames, and the
category may name its own keypoints. *Results*, as detectors write them: a list of {"image_id", "keypoints", "score"},
whose images in the order of their numbers are the frames. ``keypoints`` holds x, y and a third number for every joint:
a confidence, or, where any is 2, COCO's visibility (0 not labelled, 1 hidden, 2 seen), which become the scores
missing, 0.5 and 1. ``track_id`` or ``idx`` says who is who, where every person has one. Nothing says how many frames a
second there are: ``--fps`` has to.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import FloatArray, Layout, convert, get_layout
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import ImportOptions, Omitted, Source, measures, recordings
from asma_trainer.formats.parse.files import bad_file, shown
from asma_trainer.formats.parse.json_text import numbers, read_json
from asma_trainer.formats.parse.names import canonical_joints, known_layout
from asma_trainer.formats.parse.people import to_clip
from asma_trainer.formats.rates import asked_rate
from asma_trainer.formats.recordings import Recording, find_files, label_recordings

SUMMARY = "keypoints in COCO's JSON format (annotations or results), one file a clip"

_LAYOUT = get_layout("coco17")
_MAX_PEOPLE = 1_000_000
_HIDDEN, _SEEN = 1.0, 2.0  # COCO's visibility


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    recordings.add_arguments(parser)
    recordings.add_people_argument(parser)
    measures.add_arguments(parser)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open a file, folder or zip archive of COCO JSON files.

    Raises:
        DataError: there are no files, or nothing says what is performed.
    """
    fps = asked_rate(options, path)
    files = {name: [entry] for name, entry in find_files(path, (".json",), "COCO JSON files").items()}
    labelled = label_recordings(path, files, options)
    people, assumed = recordings.room_for_people(options, map(_count, labelled.rows))
    assumed += measures.assumed_scores(options, "pixels")
    info = options.describe(_LAYOUT, labelled.classes, fps, "pixels")
    read = partial(_read, people=people, fps=fps, found=measures.measures_of(options, _LAYOUT, "pixels"))
    total = len(labelled.rows)
    return Source.of_items(info, labelled.rows, read, labelled.splits, people=people, total=total, assumed=assumed)


def _count(recording: Recording) -> int:
    """People in a file: its tracks, or the most in one image; what is wrong with it is told when it is read."""
    try:
        content = read_json(recording.file)
    except DataError:
        return 0
    listed = content.get("annotations") if isinstance(content, dict) else content
    people = [person for person in listed if isinstance(person, dict)] if isinstance(listed, list) else []
    tracks = {_identity(person) for person in people}
    if None not in tracks:
        return len(tracks)
    return max(Counter(str(person.get("image_id")) for person in people).values(), default=0)


def _read(recording: Recording, people: int, fps: float, found: measures.Measures) -> Iterator[Clip | Omitted]:
    content = read_json(recording.file)
    if isinstance(content, dict):
        images, listed, layout = _frames(recording, content), content.get("annotations"), _layout(recording, content)
    else:
        images, listed, layout = None, content, _LAYOUT
    if not isinstance(listed, list) or not listed or len(listed) > _MAX_PEOPLE:
        raise bad_file(recording, "a list of people with keypoints", shown(listed))
    for number, person in enumerate(listed):
        if not isinstance(person, dict) or not isinstance(person.get("image_id"), int | str):
            raise bad_file(recording, "people with an image_id", f"person {number}: {shown(person)}")
    if images is None:
        ordered = sorted({person["image_id"] for person in listed}, key=_by_number)
        images = {name: frame for frame, name in enumerate(ordered)}
    poses = _poses(recording, listed, layout)
    frames: dict[int, list[FloatArray]] = {frame: [] for frame in range(len(images))}
    who: dict[int, list[int]] = {frame: [] for frame in range(len(images))}
    identified = all(_identity(person) is not None for person in listed)
    for number, (person, pose) in enumerate(zip(listed, poses, strict=True)):
        if person["image_id"] not in images:
            raise bad_file(recording, "an image_id of the images", f"{person['image_id']!r} of person {number}")
        frame = images[person["image_id"]]
        if np.isnan(pose[:, 0]).all():
            continue
        if identified:
            identity = int(_identity(person) or 0)
            if identity in who[frame]:
                raise bad_file(recording, "one pose a person and image", f"track {identity} again: person {number}")
            who[frame].append(identity)
        frames[frame].append(pose)
    kept = to_clip(frames, len(images), _LAYOUT, "pixels", people, fps, who if identified else None)
    yield from recording.with_people(found.apply(recording, kept.poses), kept.left_out)


def _frames(recording: Recording, content: dict[str, Any]) -> dict[Any, int]:
    """{image id: frame number} of annotations."""
    images = content.get("images")
    if not isinstance(images, list) or not all(isinstance(i, dict) and isinstance(i.get("id"), int) for i in images):
        raise bad_file(recording, "a list 'images' with an id each", shown(images))
    videos = [image.get("video_id") for image in images]
    if not all(isinstance(video, int | str | None) for video in videos):
        raise bad_file(recording, "a video_id that is a number or text", "another kind of value")
    if len(set(videos)) > 1:
        raise bad_file(recording, "the images of one video", "several video_ids", hint="write one file a video")
    if len({image["id"] for image in images}) != len(images):
        raise bad_file(recording, "images with ids of their own", "an id that occurs twice")
    if all(isinstance(image.get("frame_id"), int) for image in images):
        ordered = sorted(images, key=lambda image: image["frame_id"])
    else:
        ordered = sorted(images, key=lambda image: (_by_number(str(image.get("file_name", ""))), image["id"]))
    return {image["id"]: frame for frame, image in enumerate(ordered)}


def _by_number(name: int | str) -> tuple[list[tuple[str, int]], str]:
    """Sorts ``9.jpg`` before ``10.jpg``."""
    text = str(name)
    return [(word, int(digits[:18] or 0)) for word, digits in re.findall(r"([^0-9]*)([0-9]*)", text)], text


def _layout(recording: Recording, content: dict[str, Any]) -> Layout:
    """Joints in the order of the file: COCO's, unless its category names others."""
    categories = content.get("categories") or []
    if not isinstance(categories, list):
        raise bad_file(recording, "a list 'categories', or none", shown(categories))
    named = [c["keypoints"] for c in categories if isinstance(c, dict) and "keypoints" in c]
    if not named:
        return _LAYOUT
    names = named[0]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise bad_file(recording, "keypoint names in the category", shown(names))
    joints = canonical_joints(names)
    if len(named) > 1 or known_layout(joints) != _LAYOUT:
        raise bad_file(
            recording, "one category with COCO's 17 keypoints", ", ".join(joints), hint="use csv for other joints"
        )
    return Layout("source", joints, tuple((index, index + 1) for index in range(len(joints) - 1)))


def _poses(recording: Recording, listed: list[dict[str, Any]], layout: Layout) -> list[FloatArray]:
    """(17, 3) of each person: x, y, score; NaN where a joint is missing."""
    rows = [
        numbers(recording, person.get("keypoints"), f"keypoints of person {number}", (3 * layout.num_joints,))
        for number, person in enumerate(listed)
    ]
    values: npt.NDArray[np.float64] = np.stack(rows).reshape(len(rows), layout.num_joints, 3)
    third = values[..., 2]
    if (third > 1).any() and np.isin(third, (0.0, _HIDDEN, _SEEN)).all():
        values[..., 2] = third / _SEEN
    values[(third <= 0) | np.isnan(values).any(axis=-1)] = np.nan
    return list(convert(values.astype(np.float32), layout, _LAYOUT))


def _identity(person: dict[str, Any]) -> int | None:
    value = person.get("track_id", person.get("idx"))
    return value if isinstance(value, int) and not isinstance(value, bool) else None
