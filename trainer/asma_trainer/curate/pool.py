"""Several prepared data sets as one: the joints they share, classes and people kept apart, splits by person kept.

A set goes by the name of its folder. Its clips are ``SET/name``; its splits stay as ``SET-train``, ``SET-test``, beside
the pooled ``train`` and ``test`` of all sets. Numbers of people, cameras and setups are moved on, so that the 3 of one
set is not the 3 of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asma_edge.plain_text import brief
from asma_edge.preprocess import Units
from asma_edge.skeleton import FloatArray, Layout, convert
from asma_trainer.curate.pooled_labels import PooledLabels, pool_labels, read_label_map
from asma_trainer.curate.shared_joints import common_layout
from asma_trainer.data.dataset import UNLABELLED, DatasetInfo, IntArray, PreparedDataset
from asma_trainer.data.splits import Splits, with_validation
from asma_trainer.data.writer import Clip, DatasetWriter
from asma_trainer.errors import DataError
from asma_trainer.files import atomic_folder
from asma_trainer.formats.rates import at_rate, is_same_rate
from asma_trainer.licences import NOT_STATED, joined, may_ship, restriction

SUMMARY = "several prepared data sets as one"

_ROLES = ("all", "train", "test", "fit", "val")  # words that say what a split is for
_NUMBERED = ("subject", "camera", "setup")
Sets = Mapping[str, PreparedDataset]


@dataclass(frozen=True)
class PoolSettings:
    """How to pool.

    Attributes:
        layout: convert all sets to this one, all of whose joints they have; None: the joints that they share.
        fps: resample all clips to this rate; None: all sets have one rate.
        labels: file that merges classes, or leaves labels or clips out; None: classes are kept apart.
    """

    layout: Layout | None = None
    fps: float | None = None
    labels: Path | None = None


def pool_datasets(
    sources: Sequence[PreparedDataset],
    out: str | Path,
    settings: PoolSettings | None = None,
    watch: Callable[[Iterator[tuple[str, int]]], Iterator[tuple[str, int]]] = iter,
) -> list[str]:
    """Write the data sets as one, clip by clip; ``out`` appears only when all of it is written.

    Beside the prepared data set, ``card.md`` tells of which sets it is made, and of their credits and licences.

    Returns:
        sentences about what was done that the user should know.

    Raises:
        DataError: units, rates, joints or names do not go together, the file of labels does not fit, or ``out`` exists.
    """
    settings = settings or PoolSettings()
    sets = _by_name(sources)
    infos = {name: source.info for name, source in sets.items()}
    units = _units(infos)
    fps = _rate(infos, settings.fps)
    layout = common_layout({name: info.layout for name, info in infos.items()}, settings.layout)
    labels = pool_labels(infos, read_label_map(settings.labels, infos) if settings.labels is not None else None)
    info = DatasetInfo(
        layout=layout,
        fps=fps,
        units=units,
        classes=labels.classes,
        mirror_labels=labels.mirror_labels,
        source="; ".join(f"{name}: {info.source or NOT_STATED}" for name, info in infos.items()),
        licence=joined((name, info.licence) for name, info in infos.items()),
        assumed=tuple(dict.fromkeys(what for info in infos.values() for what in info.assumed)),
    )
    moved = _moved(sets)
    places = {name: np.full(len(source), -1, dtype=np.int64) for name, source in sets.items()}
    with atomic_folder(Path(out)) as folder:
        with DatasetWriter(folder, info, max(source.people for source in sources)) as writer:
            for name, number in watch((name, number) for name, source in sets.items() for number in range(len(source))):
                source = sets[name]
                label = _label(labels, source, name, number)
                if label is None:
                    continue
                poses = _poses(source, number, info, writer.people, settings.fps is not None)
                numbers = {field: _number(source, field, number, moved[name][field]) for field in _NUMBERED}
                clip = Clip.of(
                    source, number, poses=poses, label=label, name=f"{name}/{source.name[number]}", **numbers
                )
                places[name][number] = writer.add(clip)
            for split, clips in _splits(sets, places).items():
                writer.split(split, clips)
        (folder / "card.md").write_text(_card(sets, info, moved, places), encoding="utf-8")
    return _remarks(sets, info, labels, places, resampled=settings.fps is not None)


def _by_name(sources: Sequence[PreparedDataset]) -> dict[str, PreparedDataset]:
    """{name: data set}: its folder's name with dashes as underscores, one word in the names of splits."""
    sets: dict[str, PreparedDataset] = {}
    for source in sources:
        name = source.path.resolve().name.replace("-", "_")
        if name in sets or name in _ROLES:
            raise DataError(
                f"data set '{source.path}' cannot be called '{name}' in a pool",
                expected=f"folders of different names, and none of {', '.join(_ROLES)}",
                got=f"the name of '{sets[name].path}' as well" if name in sets else "a name that splits have",
                hint="rename the folder",
            )
        sets[name] = source
    return sets


def _units(infos: Mapping[str, DatasetInfo]) -> Units:
    found = {info.units for info in infos.values()}
    if len(found) > 1:
        raise DataError(
            "data sets of different units cannot be pooled",
            expected="all in metres, or all in pixels",
            got=", ".join(f"'{name}' in {info.units}" for name, info in infos.items()),
            hint="bring those in metres to pixels with `asma-data project`",
        )
    return found.pop()


def _rate(infos: Mapping[str, DatasetInfo], asked: float | None) -> float:
    """Frames per second of the pool."""
    first = next(iter(infos.values())).fps
    if asked is None and not all(is_same_rate(info.fps, first) for info in infos.values()):
        raise DataError(
            "data sets of different frame rates cannot be pooled as they are",
            expected="one rate, as a data set has one for all its clips",
            got=", ".join(f"'{name}' at {info.fps:g} frames a second" for name, info in infos.items()),
            hint=f"--fps {min(info.fps for info in infos.values()):g} resamples all of them to one rate",
        )
    return first if asked is None else asked


def _moved(sets: Sets) -> dict[str, dict[str, int]]:
    """{set: {subject, camera, setup: what is added to its numbers}}."""
    moved, free = {}, dict.fromkeys(_NUMBERED, 0)
    for name, source in sets.items():
        moved[name] = dict(free)
        for field in _NUMBERED:
            free[field] += max(int(getattr(source, field).max()) + 1, 0)
    return moved


def _number(source: PreparedDataset, field: str, clip: int, moved: int) -> int:
    number = int(getattr(source, field)[clip])
    return number + moved if number >= 0 else number


def _label(labels: PooledLabels, source: PreparedDataset, name: str, number: int) -> int | None:
    """The pooled label of a clip; None: it is left out."""
    label = int(source.label[number])
    return UNLABELLED if label == UNLABELLED else labels.of[name][label]


def _poses(source: PreparedDataset, number: int, info: DatasetInfo, people: int, asked: bool) -> FloatArray:
    """(T, people, V, 3) a clip in the pool's layout and at its rate; who is not there is NaN."""
    poses = convert(source.clip(number), source.info.layout, info.layout)
    poses = at_rate(source.name[number], poses, source.info.fps, info.fps, asked)
    absent = people - source.people
    return np.pad(poses, ((0, 0), (0, absent), (0, 0), (0, 0)), constant_values=np.nan) if absent else poses


def _own_splits(source: PreparedDataset) -> Splits:
    """The splits of a set; where nobody has defined any, all of it trains."""
    if source.splits:
        return dict(source.splits)
    return with_validation({"train": np.arange(len(source))}, source.subject)


def _splits(sets: Sets, places: Mapping[str, IntArray]) -> Splits:
    """The pooled splits, then those of each set, as numbers of pooled clips.

    The people whom a set holds out to choose settings by are held out in the pool. A set that holds out nobody, since
    it is not known who is who, is in ``train-fit`` as a whole.
    """
    own: dict[str, Splits] = {}
    for name, source in sets.items():
        placed = {split: places[name][clips] for split, clips in _own_splits(source).items()}
        own[name] = {split: clips[clips >= 0] for split, clips in placed.items()}
    pooled = {split: [splits[split] for splits in own.values() if split in splits] for split in ("train", "test")}
    if any("train-val" in splits for splits in own.values()):
        pooled["train-fit"] = [s.get("train-fit", s["train"]) for s in own.values() if "train" in s]
        pooled["train-val"] = [s["train-val"] for s in own.values() if "train-val" in s]
    result = {split: np.concatenate(clips) for split, clips in pooled.items() if clips}
    return result | {f"{name}-{split}": clips for name, splits in own.items() for split, clips in splits.items()}


def _remarks(
    sets: Sets, info: DatasetInfo, labels: PooledLabels, places: Mapping[str, IntArray], resampled: bool
) -> list[str]:
    remarks = [
        f"'{name}' was resampled from {source.info.fps:g} to {info.fps:g} frames a second"
        for name, source in sets.items()
        if resampled and source.info.fps != info.fps
    ]
    remarks += [f"'{name}' has no splits: all of it trains" for name, source in sets.items() if not source.splits]
    remarks += [
        f"'{name}' has no split 'train': its clips are in none of the pooled splits, only in its own"
        for name, source in sets.items()
        if source.splits and "train" not in source.splits
    ]
    remarks += [
        f"{(where < 0).sum()} clips of '{name}' were left out, as --labels says"
        for name, where in places.items()
        if (where < 0).any()
    ]
    if labels.prefixed:
        remarks.append(
            f"classes that several sets have were kept apart, with the set before them: {', '.join(labels.prefixed)}; "
            "--labels merges them"
        )
    names: dict[str, list[str]] = {}
    for name, source in sets.items():
        names.setdefault(source.info.source, []).append(name)
    remarks += [
        f"{' and '.join(same)} have one source ({brief(source)}): the same people may be on both sides of a split"
        for source, same in names.items()
        if source and len(same) > 1
    ]
    if not may_ship(info.licence):
        remarks.append(f"what is learnt from this pool may not be shipped: {info.licence}")
    return remarks


def _card(sets: Sets, info: DatasetInfo, moved: Mapping[str, Mapping[str, int]], places: Mapping[str, IntArray]) -> str:
    """What the pool is made of, for people."""
    licences = {name: source.info.licence or NOT_STATED for name, source in sets.items()}
    strictest = max(licences, key=lambda name: restriction(licences[name]))
    lines = [
        "# Several data sets as one",
        "",
        f"Layout `{info.layout.name}` ({info.layout.num_joints} joints), {info.units}, {info.fps:g} frames a second.",
        "",
        "| set | clips | people begin at | source | licence | may be shipped |",
        "|---|---|---|---|---|---|",
    ]
    for name, source in sets.items():
        cells = (
            name,
            str(int((places[name] >= 0).sum())),
            str(moved[name]["subject"]) if (source.subject >= 0).any() else "not stated",
            source.info.source or NOT_STATED,
            licences[name],
            "yes" if may_ship(licences[name]) else "no",
        )
        lines.append("| " + " | ".join(brief(cell.replace("|", "/"), 300) for cell in cells) + " |")
    verdict = (
        "may be shipped, with these credits and under these licences"
        if may_ship(info.licence)
        else "may not be shipped"
    )
    lines += [
        "",
        f"The most restrictive licence is that of `{strictest}`: {brief(licences[strictest], 300)}. "
        f"What is learnt from this pool {verdict}.",
    ]
    return "\n".join(lines) + "\n"
