"""People's own recordings: which clips there are in a folder, what is performed in them, and by whom.

What is performed comes from the first of these that is given:

    --labels FILE     a CSV with the columns file and label, and if you like subject, camera, setup, correctness and
                      split; correctness is 1 where a clip shows its label done well, another number where not
    --pattern REGEX   with groups named label, subject, camera, setup or correctness, searched in each clip's name
    (neither)         the folder a file lies in: SRC/wave/anna_1.csv is a ``wave``
    --unlabelled      nothing yet: whole recordings, for ``asma-data label`` to cut

A clip's name is its file's path below SRC without the suffix, with slashes: ``wave/anna_1``. SRC may be a zip
archive, or one file.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from asma_edge.skeleton import FloatArray
from asma_trainer.data.splits import ClipTable, Splits
from asma_trainer.data.writer import Clip
from asma_trainer.errors import DataError
from asma_trainer.formats import Assumed, ImportOptions, Omitted
from asma_trainer.formats.parse.files import Entry, bad_file, file_entry, list_files, shown
from asma_trainer.formats.parse.text import plain_name, read_rows

UNLABELLED = "unlabelled"
_COLUMNS = ("subject", "camera", "setup", "correctness")
_LISTED = 5
_MOST_PEOPLE = 10
_LONGEST_NAME = 500  # of a clip, with its folders


@dataclass(frozen=True)
class Recording:
    """One clip to read.

    Attributes:
        name: of the clip.
        files: that it is in; most formats have one.
        label, subject, camera, setup, correctness: -1 where unknown.
    """

    name: str
    files: tuple[Entry, ...]
    label: int
    subject: int = -1
    camera: int = -1
    setup: int = -1
    correctness: int = -1

    def __str__(self) -> str:
        return str(self.files[0])

    @property
    def file(self) -> Entry:
        """The file, or the first one."""
        return self.files[0]

    def clip(self, poses: FloatArray) -> Clip:
        """The clip with these poses.

        Raises:
            DataError: nobody has said what is performed in it, or no joint is ever seen.
        """
        if self.label < 0:
            raise bad_file(
                self, "a label for every clip", f"none for '{self.name}'", hint="name it in the labels, or --skip-bad"
            )
        if not len(poses) or np.isnan(poses[..., :2]).any(axis=-1).all():
            raise bad_file(self, "a person in at least one frame", "no joint in any frame")
        plain_name(self, self.name, "a name", longest=_LONGEST_NAME)
        return Clip(poses, self.label, self.name, self.subject, self.camera, self.setup, self.correctness)

    def with_people(self, poses: FloatArray, left_out: str) -> Iterator[Clip | Omitted]:
        """The clip with these poses, and a note on who is not in it, if anybody."""
        yield self.clip(poses)
        if left_out:
            yield Omitted(self.name, left_out)


@dataclass(frozen=True)
class Recordings:
    """All clips to read.

    Attributes:
        rows: in the order of their names.
        classes: names of the labels.
        members: {split: names of its clips}, from the labels' column ``split``.
    """

    rows: tuple[Recording, ...]
    classes: tuple[str, ...]
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def splits(self, table: ClipTable) -> Splits:
        """The named splits of the clips that were imported."""
        return {
            split: np.flatnonzero([name in names for name in table.name.tolist()])
            for split, names in self.members.items()
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say what is performed in each clip."""
    parser.add_argument(
        "--labels", type=Path, metavar="CSV", help="columns file, label, [subject, camera, setup, correctness, split]"
    )
    parser.add_argument(
        "--pattern", metavar="REGEX", help="named groups label, subject, camera, setup, correctness in clips' names"
    )
    parser.add_argument("--unlabelled", action="store_true", help="whole recordings, to be cut by `asma-data label`")


def add_people_argument(parser: argparse.ArgumentParser) -> None:
    """``--people``, for formats whose clips can show several."""
    parser.add_argument(
        "--people",
        type=int,
        metavar="N",
        help=f"room for N people a clip: those who fill most of it (default: for everybody, up to {_MOST_PEOPLE})",
    )


def room_for_people(options: ImportOptions, counts: Iterable[int]) -> tuple[int, tuple[Assumed, ...]]:
    """How many people a clip has room for: ``--people``, else as many as any clip shows; and whether that was assumed.

    Args:
        options: of the import.
        counts: people that each clip shows; asked for only where nobody has said a number.

    Raises:
        DataError: not 1 to 10.
    """
    said = options.own.get("people")
    if said is not None:
        if not 1 <= int(said) <= _MOST_PEOPLE:
            hint = "most models see one person"
            raise DataError("unusable --people", expected=f"1 to {_MOST_PEOPLE}", got=str(said), hint=hint)
        return int(said), ()
    most = max(1, *counts, 1)
    if most == 1:
        return 1, ()
    people = min(most, _MOST_PEOPLE)
    because = f"as one clip shows {most}; models for the device watch one person at a time"
    return people, (Assumed("people", f"room for {people}", because, "--people"),)


def find_files(root: Path, suffixes: Sequence[str], what: str) -> dict[str, Entry]:
    """{clip name: file} of the files in a folder or zip archive with one of these suffixes, or of a single file.

    Raises:
        DataError: there is none, a folder cannot be read, or two files would give clips of the same name.
    """
    if root.is_file() and root.suffix.lower() in suffixes:
        return {root.stem: file_entry(root)}
    pattern = "[^.].*(?:" + "|".join(map(re.escape, suffixes)) + ")"
    files: dict[str, Entry] = {}
    for entry in list_files(root, pattern, what):
        inner = PurePosixPath(entry.path) if entry.archive else PurePosixPath(Path(entry.path).relative_to(root))
        name = inner.with_suffix("").as_posix()
        if name in files:
            raise bad_file(root, "one file a clip", f"'{files[name].name}' and '{entry.name}' are both clip '{name}'")
        files[name] = entry
    return files


def label_recordings(root: Path, files: Mapping[str, Sequence[Entry]], options: ImportOptions) -> Recordings:
    """What is performed in each of the clips {name: files}, by the options that the user gave.

    Args:
        root: what the user called SRC.
        files: the clips' names, and the files they are in.
        options: with the values of `add_arguments`.

    Raises:
        DataError: the labels file or the pattern is malformed, or nothing says what is performed.
    """
    labels: Path | None = options.own.get("labels")
    pattern: str | None = options.own.get("pattern")
    members: dict[str, set[str]] = {}
    if labels is not None:
        given, members = _from_table(labels, files)
    elif pattern is not None:
        given = _from_pattern(pattern, files)
    else:
        given = {name: {"label": name.split("/")[-2]} for name in files if "/" in name}
    if options.own.get("unlabelled"):
        given = {name: {**given.get(name, {}), "label": UNLABELLED} for name in files}
    classes = sorted({values["label"] for values in given.values() if values.get("label")})
    if not classes:
        raise DataError(
            f"nothing says what is performed in the {len(files)} clip(s) of '{root}'",
            expected="a folder for each class, --labels, --pattern or --unlabelled",
            got=", ".join(list(files)[:_LISTED]),
            hint="put the files into folders named as what is performed in them",
        )
    for name in classes:
        plain_name(labels or root, name, "a class name")
    _check_correctness(labels or root, given)
    numbers = {column: _numbered(values.get(column, "") for values in given.values()) for column in _COLUMNS}
    rows = []
    for name in sorted(files):
        values = given.get(name, {})
        label = values.get("label", "")
        extra = {column: numbers[column].get(values.get(column, ""), -1) for column in _COLUMNS}
        rows.append(Recording(name, tuple(files[name]), classes.index(label) if label else -1, **extra))
    return Recordings(tuple(rows), tuple(classes), {split: frozenset(names) for split, names in members.items()})


def _check_correctness(source: Path, given: Mapping[str, Mapping[str, str]]) -> None:
    """Words would be numbered in alphabetical order, so that none of them means 1."""
    for name, values in given.items():
        text = values.get("correctness", "")
        if text and not re.fullmatch(r"[1-9]", text):
            raise bad_file(source, "correctness 1 where done well, 2 to 9 where not", f"{shown(text)} for '{name}'")


def _numbered(values: Iterable[str]) -> dict[str, int]:
    """{text: number}: whole numbers stay as they are where all are; else texts are numbered in alphabetical order."""
    texts = sorted({value for value in values if value})
    if all(re.fullmatch(r"[0-9]{1,9}", text) for text in texts):
        return {text: int(text) for text in texts}
    return {text: number for number, text in enumerate(texts)}


def _from_pattern(pattern: str, files: Mapping[str, Sequence[Entry]]) -> dict[str, dict[str, str]]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(
            "unusable --pattern",
            expected="a regular expression, such as '(?P<label>[a-z]+)_s(?P<subject>[0-9]+)'",
            got=f"{pattern!r}: {error}",
            hint="try it on a clip's name",
        ) from error
    unknown = set(compiled.groupindex) - {"label", *_COLUMNS}
    if unknown or not compiled.groupindex:
        raise DataError(
            "unusable --pattern",
            expected="groups named label, subject, camera, setup or correctness",
            got=", ".join(sorted(unknown)) or "no named group",
            hint="write (?P<label>...)",
        )
    given = {}
    for name in files:
        match = compiled.search(name)
        values = {key: value for key, value in match.groupdict().items() if value} if match else {}
        if "label" not in compiled.groupindex and "/" in name:
            values["label"] = name.split("/")[-2]
        given[name] = values
    return given


def _from_table(
    path: Path, files: Mapping[str, Sequence[Entry]]
) -> tuple[dict[str, dict[str, str]], dict[str, set[str]]]:
    """({clip name: its values}, {split: clip names}) of a labels file."""
    by_file = {name: name for name in files}
    by_file |= {name + PurePosixPath(entries[0].path).suffix: name for name, entries in files.items()}
    given: dict[str, dict[str, str]] = {}
    members: dict[str, set[str]] = {}
    for line, values in read_rows(path, required=("file", "label"), optional=(*_COLUMNS, "split")):
        name = by_file.get(values["file"].replace("\\", "/"))
        if name is None:
            raise bad_file(path, "a file that exists", shown(values["file"]), line=line)
        if name in given:
            raise bad_file(path, "one row a file", f"{shown(values['file'])} again", line=line)
        if not values["label"]:
            raise bad_file(path, "a label", "an empty one", line=line)
        given[name] = values
        if values.get("split"):
            members.setdefault(values["split"], set()).add(name)
    return given, members
