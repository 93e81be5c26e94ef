"""What a prepared data set holds: ``asma-data info``."""

from __future__ import annotations

from typing import Any

import numpy as np

from asma_edge.plain_text import brief
from asma_trainer.data.dataset import CORRECT, UNKNOWN, UNLABELLED, PreparedDataset

_COLUMNS = 6  # splits that fit beside each other
_NUMBERS = 40
_NO_LABEL = "(no label)"


def describe(dataset: PreparedDataset) -> dict[str, Any]:
    """Layout, classes, people and counts of a data set."""
    info, lengths = dataset.info, dataset.lengths
    parts = {"all": dataset.label} | {split: dataset.label[clips] for split, clips in dataset.splits.items()}

    def counts(label: int) -> dict[str, int]:
        return {part: int((labels == label).sum()) for part, labels in parts.items()}

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
            name: {"clips": len(clips), "subjects": int((np.unique(dataset.subject[clips]) >= 0).sum())}
            for name, clips in dataset.splits.items()
        },
        "classes": {name: counts(label) for label, name in enumerate(info.classes)},
        "unlabelled": counts(UNLABELLED),
        "correct": int((dataset.correctness == CORRECT).sum()),
        "incorrect": int(((dataset.correctness != CORRECT) & (dataset.correctness != UNKNOWN)).sum()),
        "mirror_labels": list(info.mirror_labels),
        "source": info.source,
        "licence": info.licence,
        "assumed_on_import": list(info.assumed),
    }


def describe_text(values: dict[str, Any]) -> str:
    """`describe` for people."""
    length, splits = values["length"], values["splits"]
    columns = ["all", *list(splits)[:_COLUMNS]]
    rows = values["classes"] | ({_NO_LABEL: values["unlabelled"]} if values["unlabelled"]["all"] else {})
    width = max(len(brief(name)) for name in [*rows, *splits, "class"])
    lines = [
        f"{values['path']}: {values['clips']} clips, {values['frames']} frames, {values['seconds']} s",
        f"layout    {values['layout']}, {values['joints']} joints, {values['units']}, {values['fps']:g} fps, "
        f"up to {values['people']} person(s) a frame",
        f"length    {length['min']} to {length['max']} frames, median {length['median']}",
        f"subjects  {len(values['subjects'])}: {_numbers(values['subjects'])}",
        f"cameras   {len(values['cameras'])}: {_numbers(values['cameras'])}",
        *([f"done      {values['correct']} correctly, {values['incorrect']} not"] if values["incorrect"] else []),
        f"source    {values['source'] or 'not stated'}",
        f"licence   {values['licence'] or 'not stated'}",
        *([f"assumed   {', '.join(values['assumed_on_import'])}"] if values["assumed_on_import"] else []),
        "",
        f"{'split':{width}}  clips  subjects",
        *(f"{brief(name):{width}}  {split['clips']:5}  {split['subjects']:8}" for name, split in splits.items()),
        "",
        f"{'class':{width}}  " + "  ".join(columns),
    ]
    lines += [
        f"{brief(name):{width}}  " + "  ".join(f"{counts[column]:{len(column)}}" for column in columns)
        for name, counts in rows.items()
    ]
    return "\n".join(lines)


def _numbers(values: list[int]) -> str:
    return " ".join(map(str, values[:_NUMBERS])) + (" ..." if len(values) > _NUMBERS else "") or "not stated"


def outcome_text(values: dict[str, Any]) -> str:
    """What was made, and what is to be known of it: left out, assumed, warnings."""
    lines = [describe_text(values), ""]
    lines += [f"left out  {omitted['name']}: {omitted['reason']}" for omitted in values["left_out"]]
    lines += [f"assumed   {assumed['text']}" for assumed in values.get("assumed", ())]
    lines += [f"warning   {text}" for text in values["warnings"]]
    return "\n".join(lines).rstrip()
