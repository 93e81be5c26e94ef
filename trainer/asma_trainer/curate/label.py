"""Labelled windows, and idle ones between them, cut from continuous recordings.

The recordings are the clips of a prepared data set (``asma-data import ... --unlabelled``). Their labels are one CSV
file for all, with the columns recording, start, end and label, or a folder with a file for each recording,
``NAME.csv`` (or .txt) with the columns start, end and label, which need no header in this order, or
``NAME.timeline.json`` as ``asma-data synth`` writes it. Times are seconds from the recording's first frame, or frame
numbers counted from 1 with ``--frames``, both ends included (as in PKU-MMD).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asma_trainer.data.dataset import UNKNOWN, DatasetInfo, PreparedDataset
from asma_trainer.data.splits import with_validation
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.formats.parse.files import bad_file, file_entry, is_inside, read_text, shown
from asma_trainer.formats.parse.json_text import MAX_JSON_BYTES
from asma_trainer.formats.parse.names import mirror_labels
from asma_trainer.formats.parse.text import plain_name, plain_number, read_rows

SUMMARY = "cut labelled windows, and idle ones between them, from continuous recordings"

_MAX_TIME = 1e9  # seconds, or frames
_RECORDED = (".csv", ".jsonl", ".json")
_SUFFIXES = (".csv", ".txt", ".timeline.json", ".json")


@dataclass(frozen=True)
class LabelSettings:
    """How to cut.

    Attributes:
        idle: name of the class of windows between actions; empty: cut none.
        idle_seconds: about how long an idle window is.
        min_idle: a shorter pause gives no idle window.
        guard: seconds beside each action that belong to no idle window, as nobody labels to the frame.
        margin: seconds before and after each action that are cut with it, where no other action begins or ends.
        frames: starts and ends are frame numbers from 1, both included, instead of seconds.

    Raises:
        DataError: a number is out of range.
    """

    idle: str = "idle"
    idle_seconds: float = 3.0
    min_idle: float = 1.0
    guard: float = 0.3
    margin: float = 0.0
    frames: bool = False

    def __post_init__(self) -> None:
        lengths = (self.idle_seconds, self.min_idle, self.guard, self.margin)
        if not all(0 <= length < 3600 for length in lengths) or not self.idle_seconds or not self.min_idle:
            raise DataError(
                "cannot cut windows of these lengths",
                expected="seconds from 0 (windows: above 0) to 3600",
                got=", ".join(f"{length:g}" for length in lengths),
                hint="correct the option",
            )


@dataclass(frozen=True)
class _Segment:
    """Frames [start, end) of a recording, and the file and line that say so."""

    start: int
    end: int
    label: str
    file: Path
    line: int | None


def cut_recordings(
    source: PreparedDataset,
    labels: str | Path,
    out: str | Path,
    settings: LabelSettings,
    *,
    skip_bad: bool = False,
    watch: Callable[[Iterator[str]], Iterator[str]] = iter,
) -> list[DataError]:
    """Write the windows of all recordings as a prepared data set; ``out`` appears only when all is written.

    Returns:
        what was left out (``skip_bad``): malformed lines, recordings without labels.

    Raises:
        DataError: labels are malformed, do not fit the recordings, or there is nothing to cut.
    """
    labels = Path(labels)
    out = Path(out)
    left_out: list[DataError] = []

    def bad(error: DataError) -> None:
        if not skip_bad:
            raise error
        left_out.append(error)

    numbers = {name: number for number, name in enumerate(source.name.tolist())}
    found: dict[str, list[_Segment]] = {name: [] for name in numbers}
    for name, row in _rows(labels, numbers, bad):
        try:
            segment = _segment(row, source.info.fps, int(source.lengths[numbers[name]]), settings)
            _refuse_overlap(segment, found[name], settings.idle)
            found[name].append(segment)
        except DataError as error:
            bad(error)
    for name in [name for name, segments in found.items() if not segments]:
        bad(bad_file(labels, "labels for every recording", f"none for '{name}'"))
        del found[name]
    actions = sorted({segment.label for segments in found.values() for segment in segments} - {settings.idle})
    if not actions:
        raise bad_file(labels, "at least one labelled action", "none", hint="check the labels")
    classes = (*actions, settings.idle) if settings.idle else tuple(actions)
    info = DatasetInfo(
        layout=source.info.layout,
        fps=source.info.fps,
        units=source.info.units,
        classes=classes,
        mirror_labels=mirror_labels(classes),
        source=source.info.source,
        licence=source.info.licence,
        assumed=source.info.assumed,
    )
    made: dict[int, list[int]] = {}
    subjects: list[int] = []
    with DatasetWriter(out, info, people=source.people) as writer:
        for name in watch(iter(found)):
            number = numbers[name]
            for clip in _windows(source, number, found[name], classes, settings):
                made.setdefault(number, []).append(writer.add(clip))
                subjects.append(clip.subject)
        splits = {
            split: np.array([new for old in clips.tolist() for new in made.get(old, [])], dtype=np.int64)
            for split, clips in source.splits.items()
            if split.split("-")[-1] not in ("fit", "val")
        }
        for split, clips in with_validation(splits, np.array(subjects, dtype=np.int64)).items():
            writer.split(split, clips)
    return left_out


@dataclass(frozen=True)
class _Row:
    """A labelled span as it is written."""

    start: Any
    end: Any
    label: Any
    file: Path
    line: int | None


def _rows(labels: Path, recordings: Mapping[str, int], bad: Callable[[DataError], None]) -> Iterator[tuple[str, _Row]]:
    """(recording, row) of everything labelled."""
    if not labels.is_dir():
        for line, values in read_rows(labels, required=("recording", "start", "end", "label")):
            name = _recording(values["recording"], recordings)
            if name is None:
                bad(bad_file(labels, "a recording of the data set", shown(values["recording"]), line=line))
            else:
                yield name, _Row(values["start"], values["end"], values["label"], labels, line)
        return
    for name in recordings:
        files = [path for suffix in _SUFFIXES if (path := labels / f"{name}{suffix}").exists()]
        if any(not is_inside(path, labels) for path in files):
            bad(bad_file(labels, "files of labels in this folder", f"one for {shown(name)} outside of it"))
            continue
        if len(files) > 1:
            bad(bad_file(labels, f"one file of labels for '{name}'", ", ".join(path.name for path in files)))
        elif files:
            try:
                rows = _timeline(files[0]) if files[0].suffix == ".json" else _lines(files[0])
            except DataError as error:
                bad(error)
                continue
            yield from ((name, row) for row in rows)


def _recording(said: str, recordings: Mapping[str, int]) -> str | None:
    """The recording that a table means: by its name, or by the file that it was imported from, as on import."""
    said = said.replace("\\", "/")
    names = (said, *(said.removesuffix(suffix) for suffix in _RECORDED if said.endswith(suffix)))
    return next((name for name in names if name in recordings), None)


def _lines(path: Path) -> list[_Row]:
    first = read_text(file_entry(path)).lstrip("\ufeff").split(",", 1)[0].strip()
    columns = ("start", "end", "label")
    rows = read_rows(path, required=columns, header=columns if _is_number(first) else None)
    return [_Row(values["start"], values["end"], values["label"], path, line) for line, values in rows]


def _timeline(path: Path) -> list[_Row]:
    try:
        segments = json.loads(read_text(file_entry(path), MAX_JSON_BYTES))["segments"]
        return [_Row(part["start"], part["end"], part["label"], path, None) for part in segments]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        got = f"{type(error).__name__}: {str(error)[:200]}"
        raise bad_file(path, "an object with segments, each with start, end and label", got) from error


def _is_number(value: object) -> bool:
    """Whether it can be a time or frame: beyond the limit not even the number of a frame could be computed."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    try:
        return abs(plain_number(value) if isinstance(value, str) else float(value)) <= _MAX_TIME
    except (ValueError, OverflowError):
        return False


def _segment(row: _Row, fps: float, length: int, settings: LabelSettings) -> _Segment:
    """The row as frames [start, end) of a recording of ``length`` frames."""
    if not isinstance(row.label, str) or not row.label.strip():
        raise bad_file(row.file, "a label", shown(row.label), line=row.line)
    plain_name(row.file, row.label.strip(), "a label", line=row.line)
    if not _is_number(row.start) or not _is_number(row.end):
        got = f"{shown(row.start)}, {shown(row.end)}"
        raise bad_file(row.file, f"start and end as numbers within ±{_MAX_TIME:.0e}", got, line=row.line)
    start, end = float(row.start), float(row.end)
    if settings.frames:
        first, last = round(start) - 1, round(end)
    else:
        first, last = round(start * fps), round(end * fps)
    # Whoever labels often ends with the recording, give or take a frame.
    if first < 0 or last <= first or last > length + 1 or first >= length:
        unit = "frames from 1" if settings.frames else "seconds from 0"
        limit = length if settings.frames else length / fps
        raise bad_file(
            row.file, f"{unit} to {limit:g}, start before end", f"{start:g} to {end:g} ('{row.label}')", line=row.line
        )
    return _Segment(first, min(last, length), row.label.strip(), row.file, row.line)


def _refuse_overlap(segment: _Segment, others: list[_Segment], idle: str) -> None:
    for other in others:
        if idle not in (segment.label, other.label) and segment.start < other.end and other.start < segment.end:
            place = f" of line {other.line}" if other.line is not None else ""
            raise bad_file(
                segment.file,
                f"one action at a time: '{other.label}'{place} is still going on",
                f"'{segment.label}'",
                line=segment.line,
            )


def _windows(
    source: PreparedDataset, number: int, segments: list[_Segment], classes: tuple[str, ...], settings: LabelSettings
) -> Iterator[Clip]:
    """The clips of one recording, in the order of time, without frames at their ends in which nobody is seen."""
    actions = sorted((s for s in segments if s.label != settings.idle), key=lambda segment: segment.start)
    length, fps = int(source.lengths[number]), source.info.fps
    spans = [(start, end, settings.idle) for start, end in _pauses(actions, length, fps, settings)]
    margin = round(settings.margin * fps)
    for index, action in enumerate(actions):
        before = actions[index - 1].end if index else 0
        after = actions[index + 1].start if index + 1 < len(actions) else length
        start, end = max(action.start - margin, before), min(action.end + margin, after)
        spans.append((start, end, action.label))
    clip = source.clip(number)
    for index, (start, end, label) in enumerate(sorted(spans)):
        missing = np.asarray(np.isnan(clip[start:end, ..., :2]).any(axis=-1))
        seen = np.flatnonzero(~missing.all(axis=(1, 2)))
        if not len(seen):
            continue
        poses = clip[start + int(seen[0]) : start + int(seen[-1]) + 1]
        if label == settings.idle and len(poses) < settings.min_idle * fps:
            continue
        name = f"{source.name[number]}/{index:04d}"
        yield Clip.of(source, number, poses=poses, label=classes.index(label), name=name, correctness=UNKNOWN)


def _pauses(actions: list[_Segment], length: int, fps: float, settings: LabelSettings) -> Iterator[tuple[int, int]]:
    """Frames [start, end) of the idle windows between the actions."""
    if not settings.idle:
        return
    guard = round(settings.guard * fps)
    begin = 0
    for start, end in [*((action.start - guard, action.end + guard) for action in actions), (length, length)]:
        seconds = (start - begin) / fps
        if seconds >= settings.min_idle:
            count = max(1, round(seconds / settings.idle_seconds))
            edges = np.linspace(begin, start, count + 1).round().astype(int).tolist()
            yield from itertools.pairwise(edges)
        begin = max(begin, end)
