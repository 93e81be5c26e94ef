"""The classes of several data sets as one list: kept apart, or merged as a file says.

Classes of two sets are never merged because they have the same name: one set's ``throw`` is not another's. A name that
one set alone has stays; one that several have gets the set's name before it, ``SET/throw``. A file says otherwise, for
the classes that it names: a TOML file with a table a set, or a CSV file with the columns set, class and pooled.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asma_trainer.data.dataset import UNLABELLED, DatasetInfo
from asma_trainer.errors import DataError
from asma_trainer.formats import recordings
from asma_trainer.formats.parse.files import bad_file, file_entry, read_text, shown
from asma_trainer.formats.parse.names import mirror_labels
from asma_trainer.formats.parse.text import plain_name, read_rows

NO_LABEL = ""  # for a pooled class: the clips stay, without a label
LEFT_OUT = "-"  # the clips do not go into the pool
ALL_OTHERS = "*"  # for a class: all of the set that the file does not name

LabelMap = Mapping[tuple[str, str], str]  # {(set, class): pooled class}


@dataclass(frozen=True)
class PooledLabels:
    """Pooled classes, and what the labels of each set become.

    Attributes:
        classes: names, in the order of the sets and their classes.
        mirror_labels: label of each pooled class once left and right are swapped.
        of: {set: the pooled label of each of its labels}; -1 where the clips have none, None where they are left out.
        prefixed: class names that several sets have and that are kept apart.
    """

    classes: tuple[str, ...]
    mirror_labels: tuple[int, ...]
    of: Mapping[str, tuple[int | None, ...]]
    prefixed: tuple[str, ...]


def read_label_map(path: Path, sets: Mapping[str, DatasetInfo]) -> LabelMap:
    """What a file says of classes.

    Args:
        sets: {name: description} of the data sets.

    Raises:
        DataError: it is malformed, or names a set or class that there is not.
    """
    said: dict[tuple[str, str], str] = {}
    for line, name, label, pooled in _rows(path):
        if name not in sets:
            raise bad_file(path, f"a data set among {', '.join(sets)}", shown(name), line=line)
        if label != ALL_OTHERS and label not in sets[name].classes:
            expected = f"a class of '{name}' ({', '.join(sets[name].classes)}) or {ALL_OTHERS}"
            raise bad_file(path, expected, shown(label), line=line)
        if (name, label) in said:
            raise bad_file(path, "one line for each class", f"'{label}' of '{name}' again", line=line)
        if pooled not in (NO_LABEL, LEFT_OUT):
            plain_name(path, pooled, "a class", line=line)
        said[name, label] = pooled
    spread = dict(said)
    for name, info in sets.items():
        pooled_others = spread.pop((name, ALL_OTHERS), None)
        if pooled_others is not None:
            spread |= {(name, label): pooled_others for label in info.classes if (name, label) not in said}
    return spread


def _rows(path: Path) -> Iterator[tuple[int | None, str, str, str]]:
    """(line, set, class, pooled class)."""
    if path.suffix.lower() == ".csv":
        for line, row in read_rows(path, required=("set", "class", "pooled")):
            yield line, row["set"], row["class"], row["pooled"]
        return
    expected = 'a table a data set, such as [irds], with lines such as "side tap left" = "side step left"'
    try:
        tables: dict[str, Any] = tomllib.loads(read_text(file_entry(path)))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise bad_file(path, expected, f"{type(error).__name__}: {str(error)[:200]}") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise bad_file(path, expected, shown(table))
        for label, pooled in table.items():
            if not isinstance(pooled, str):
                raise bad_file(path, f"a text for '{label}' of '{name}'", shown(pooled))
            yield None, name, label, pooled


def pool_labels(sets: Mapping[str, DatasetInfo], said: LabelMap | None = None) -> PooledLabels:
    """Pooled classes of data sets {name: description}; a class for which nothing is ``said`` is kept apart.

    Raises:
        DataError: a name would stand for two classes, or mirror images contradict each other.
    """
    said = {(name, recordings.UNLABELLED): NO_LABEL for name in sets} | dict(said or {})
    owners = Counter(label for name, info in sets.items() for label in info.classes if (name, label) not in said)
    owners.update(set(said.values()))
    names: dict[str, int] = {}
    apart: dict[str, tuple[str, str]] = {}
    of: dict[str, list[int | None]] = {}
    for name, info in sets.items():
        of[name] = []
        for label in info.classes:
            pooled = said.get((name, label))
            if pooled is None:
                pooled = label if owners[label] == 1 else f"{name}/{label}"
                if pooled in names or (pooled in owners and pooled != label):
                    raise _ambiguous(pooled, apart.get(pooled), (name, label))
                apart[pooled] = (name, label)
            if pooled == LEFT_OUT:
                of[name].append(None)
            else:
                of[name].append(UNLABELLED if pooled == NO_LABEL else names.setdefault(pooled, len(names)))
    classes = tuple(names)
    prefixed = tuple(dict.fromkeys(label for pooled, (_, label) in apart.items() if pooled != label))
    return PooledLabels(classes, _mirrored(classes, sets, of), {name: tuple(own) for name, own in of.items()}, prefixed)


def _ambiguous(pooled: str, one: tuple[str, str] | None, other: tuple[str, str]) -> DataError:
    first = f"'{one[1]}' of '{one[0]}'" if one else "a class that is called so"
    return DataError(
        f"'{pooled}' would be the name of two pooled classes",
        expected="a name for each class",
        got=f"'{other[1]}' of '{other[0]}' and {first}",
        hint="name them with --labels",
    )


def _mirrored(
    classes: tuple[str, ...], sets: Mapping[str, DatasetInfo], of: Mapping[str, list[int | None]]
) -> tuple[int, ...]:
    """Label of each pooled class once left and right are swapped, as its sets say; where they differ, as its name."""
    votes: list[set[int]] = [set() for _ in classes]
    for name, info in sets.items():
        for label, mirror in enumerate(info.mirror_labels):
            here, there = of[name][label], of[name][mirror]
            if here not in (None, UNLABELLED) and there not in (None, UNLABELLED):
                votes[here].add(there)
    by_name = mirror_labels(classes)
    result = []
    for label, voted in enumerate(votes):
        if len(voted) > 1 and by_name[label] not in voted:
            raise _contradiction(classes, label, voted)
        result.append(by_name[label] if len(voted) > 1 else voted.pop() if voted else label)
    for label, mirror in enumerate(result):
        if result[mirror] != label:
            raise _contradiction(classes, mirror, {label, result[mirror]})
    return tuple(result)


def _contradiction(classes: tuple[str, ...], label: int, mirrors: set[int]) -> DataError:
    return DataError(
        f"the mirror image of '{classes[label]}' is not one class",
        expected="left and right merged alike in all sets",
        got=" and ".join(sorted(f"'{classes[mirror]}'" for mirror in mirrors)),
        hint="merge the classes of the other side as well, or keep these apart, with --labels",
    )
