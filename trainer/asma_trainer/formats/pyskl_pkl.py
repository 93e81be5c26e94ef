"""``pyskl-pkl``: the annotation pickles of PYSKL and MMAction2.

A dict {"split": {name: [frame_dir, ...]}, "annotations": [...]}, or the annotations alone, or a single one. An
annotation has ``frame_dir`` (its name), ``label``, ``keypoint`` (M, T, V, 2 or 3) and, for 2D, ``keypoint_score``
(M, T, V). 17 joints are taken for COCO's in pixels, 25 for Kinect v2's in metres, unless ``--joints`` and ``--units``
say otherwise. A split ``val`` is what these projects test on: it becomes ``test``, ``xsub_val`` becomes ``xsub-test``.
The pickle is read without running anything in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from asma_edge.preprocess import Units
from asma_edge.skeleton import Layout
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import Assumed, ImportOptions, Omitted, Source, containers, measures, recordings
from asma_trainer.formats.parse.files import Entry, Part, bad_file, file_entry, shown
from asma_trainer.formats.parse.safe_pickle import PickledArray, as_array, load_pickle

SUMMARY = "annotation pickle of PYSKL or MMAction2 (read without running it)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the format."""
    containers.add_arguments(parser)
    containers.add_joint_arguments(parser)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open an annotation pickle.

    Raises:
        DataError: it is not one, asks for code to be run, or its first annotations cannot be read.
    """
    entry = file_entry(path)
    splits, annotations = _content(entry)
    labels = [a["label"] for a in annotations if type(a.get("label")) is int]
    if not labels:
        raise bad_file(entry, "annotations with a label", "none")
    classes = containers.class_names(options, as_array(entry, labels, "the labels").astype(np.int64), entry)
    layout, units, assumed = _first(entry, annotations, options)
    people, more = recordings.room_for_people(options, (_count(annotation) for annotation in annotations))
    info = options.describe(layout, classes, options.rate(), units)
    scored = any(_has_scores(annotation) for annotation in annotations)
    assumed += more + measures.assumed_scores(options, units, scored) + containers.assumed_rate(options)

    def named(table: ClipTable) -> Splits:
        return {
            _split_name(name, splits): np.flatnonzero(np.isin(table.name, np.array(members, dtype=np.str_)))
            for name, members in splits.items()
        }

    items = [Part(entry, (index,)) for index in range(len(annotations))]
    read = partial(_read, found=measures.measures_of(options, layout, units), people=people, classes=len(classes))
    return Source.of_items(info, items, read, named, people=people, total=len(items), parallel=False, assumed=assumed)


def _split_name(name: str, names: Any) -> str:
    words = name.lower().replace("_", "-").split("-")
    tested = ["test" if word in ("val", "valid", "validation") else word for word in words]
    return "-".join(words if "_".join(tested) in names or "-".join(tested) in names else tested)


@lru_cache(maxsize=1)  # every clip is an item of its own, read from the same file
def _content(entry: Entry) -> tuple[dict[str, list[str]], list[dict[str, Any]]]:
    content = load_pickle(entry)
    splits: Any = {}
    if isinstance(content, dict) and "annotations" in content:
        splits, content = content.get("split", {}), content["annotations"]
    annotations = [content] if isinstance(content, dict) else content
    if not isinstance(annotations, list) or not annotations or not all(isinstance(a, dict) for a in annotations):
        raise bad_file(entry, "a dict with annotations, or a list of them", shown(content))
    if not isinstance(splits, dict) or not all(
        isinstance(name, str) and isinstance(members, list) and all(isinstance(member, str) for member in members)
        for name, members in splits.items()
    ):
        raise bad_file(entry, "a split that maps names to lists of frame_dir", shown(splits))
    return splits, annotations


def _count(annotation: dict[str, Any]) -> int:
    """People that an annotation has room for; what is wrong with it is told when it is read."""
    keypoint = annotation.get("keypoint")
    shape = keypoint.shape if isinstance(keypoint, PickledArray) else ()
    return shape[0] if len(shape) == 4 else 1


def _has_scores(annotation: dict[str, Any]) -> bool:
    keypoint = annotation.get("keypoint")
    third = isinstance(keypoint, PickledArray) and keypoint.shape[3:] == (3,)
    return third or isinstance(annotation.get("keypoint_score"), PickledArray | list)


def _first(
    entry: Entry, annotations: list[dict[str, Any]], options: ImportOptions
) -> tuple[Layout, Units, tuple[Assumed, ...]]:
    """Layout and units of the first annotation that can be read, and what of it was assumed."""
    problem: DataError | None = None
    for number, annotation in enumerate(annotations):
        try:
            if "keypoint" not in annotation:
                raise bad_file(
                    entry,
                    "annotations with keypoint",
                    f"annotation {number} with {shown(list(annotation))}",
                    hint="where keypoints are in files of their own (Kinetics), put them into the annotations first",
                )
            shape = as_array(entry, annotation["keypoint"], f"keypoint of annotation {number}").shape
            return containers.joints(entry, shape[2] if len(shape) == 4 else 0, options)
        except DataError as error:
            problem = problem or error
    assert problem is not None  # there is at least one annotation
    raise problem


def _read(part: Part[tuple[int]], found: measures.Measures, people: int, classes: int) -> Iterator[Clip | Omitted]:
    joints, units, (number,) = found.layout.num_joints, found.units, part.detail
    annotation = _content(part.entry)[1][number]
    name, label = annotation.get("frame_dir"), annotation.get("label")
    what = f"annotation {number}"
    if not isinstance(name, str) or not name or type(label) is not int:
        raise bad_file(part, f"a frame_dir and a whole label in {what}", f"{shown(name)}, {shown(label)}")
    keypoint = as_array(part, annotation.get("keypoint"), f"keypoint of {what}, '{name}'").astype(np.float32)
    wanted = (2, 3) if units == "pixels" else (3,)
    if keypoint.ndim != 4 or keypoint.shape[2] != joints or keypoint.shape[3] not in wanted or not keypoint.shape[0]:
        expected = f"keypoint (people, frames, {joints}, {' or '.join(map(str, wanted))}) in {what}"
        raise bad_file(part, expected, f"{keypoint.shape}")
    score = annotation.get("keypoint_score")
    if units == "pixels" and isinstance(score, PickledArray | list):
        confidence = as_array(part, score, f"keypoint_score of {what}").astype(np.float32)
        if confidence.shape != keypoint.shape[:3]:
            raise bad_file(part, f"keypoint_score {keypoint.shape[:3]} in {what}", f"{confidence.shape}")
        keypoint = np.concatenate([keypoint[..., :2], confidence[..., None]], axis=-1)
    elif keypoint.shape[3] == 2:
        keypoint = np.concatenate([keypoint, np.ones_like(keypoint[..., :1])], axis=-1)
    frames = annotation.get("total_frames", keypoint.shape[1])
    if type(frames) is not int or frames != keypoint.shape[1]:
        raise bad_file(part, f"total_frames {keypoint.shape[1]}, as keypoint has, in {what}", shown(frames))
    poses = containers.unpad(np.moveaxis(keypoint, 0, 1), units, frames)
    containers.check(part, poses, name, label, classes)
    made = Clip(found.apply(part, poses), label, name, **containers.numbers_of_name(name))
    yield from containers.with_people(made, people)
