"""RUN/evaluate: the accuracies of every stage, and the student's scores of every test clip."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.files import atomic_file
from asma_edge.provenance import RESULTS_FORMAT, in_fractions
from asma_trainer.data.dataset import IntArray
from asma_trainer.errors import CheckpointError
from asma_trainer.evaluation.metrics import Accuracy
from asma_trainer.evaluation.scores import Scores


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    Attributes:
        accuracy: one row a stage and split, in the order of the pipeline.
        confusion: {"labels": class names, "counts": K rows} of the student in student.pt; empty without one.
    """

    accuracy: tuple[Accuracy, ...] = ()
    confusion: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write results.json whole, or not at all."""
        values = {"format": RESULTS_FORMAT, "accuracy": rows_of(self.accuracy), "confusion": self.confusion}
        with atomic_file(folder / "results.json") as temporary:
            temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read results.json; that of an older run, in per cent, as fractions.

        Raises:
            CheckpointError: it is missing or damaged, or of a version that is not known here.
        """
        path = folder / "results.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            found = values.get("format", 1)
            if found not in (1, RESULTS_FORMAT):
                raise ValueError(f"format {found}, this version reads 1 and {RESULTS_FORMAT}")
            rows = in_fractions(values["accuracy"]) if found == 1 else values["accuracy"]
            return cls(tuple(Accuracy(**row) for row in rows), values["confusion"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"cannot read results '{path}'",
                expected="what `asma-train evaluate` or `asma-train run` leaves there",
                got=f"{type(error).__name__}: {error}",
                hint="run `asma-train evaluate` with the run's recipe and data",
            ) from error


def rows_of(accuracies: Sequence[Accuracy]) -> list[dict[str, Any]]:
    """JSON-ready accuracies."""
    return [dataclasses.asdict(row) for row in accuracies]


def save_scores(folder: Path, names: npt.NDArray[np.str_], scores: Mapping[str, Scores]) -> None:
    """Write scores.npz: the (N,) names of the test clips, and {stream or "fused": (N, K)} scores."""
    arrays: dict[str, Any] = {"name": names, **scores}
    with atomic_file(folder / "scores.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def load_scores(folder: Path, names: npt.NDArray[np.str_]) -> tuple[IntArray, Scores]:
    """The (N,) numbers of the test clips in a data set with these clip names, and their (N, K) fused scores.

    Raises:
        CheckpointError: there is no such file, or it is of another data set.
    """
    path = folder / "scores.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            number = {name: index for index, name in enumerate(names)}
            return np.array([number[name] for name in arrays["name"]]), arrays["fused"]
    except (OSError, ValueError, LookupError) as error:
        raise CheckpointError(
            f"cannot read scores '{path}'",
            expected="the student's scores of this data set's test clips",
            got=f"{type(error).__name__}: {error}",
            hint="run `asma-train evaluate` with the run's recipe and data",
        ) from error
