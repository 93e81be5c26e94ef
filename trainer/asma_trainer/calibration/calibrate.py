"""``asma-train calibrate``: scores that mean something, and events that are worth having, from recordings.

In this order:

1. temperature: the one that makes the labels of the second halves of actions most likely (Guo et al., On Calibration of
   Modern Neural Networks, 2017);
2. familiarity: logistic regression of the logits' energy on "an action of the model, or something else";
3. decision settings: of those that give at most the wanted number of false events an hour, the ones that find the most
   actions: the first event must be right and come while the action lasts, the sooner the better, and better no other
   event follows;
4. thresholds of single classes, where they find more actions of people and negatives they were not chosen on;
5. the motion gate: the shortest rest that loses next to no action.

The weights are not touched. Use people on whom the model was not trained: it is too sure of the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge import Recognizer
from asma_edge.bundle import Bundle
from asma_edge.bundle_info import BundleInfo
from asma_edge.fusion import Familiarity, energy, fuse
from asma_edge.restamp import update_info
from asma_edge.skeleton import FloatArray
from asma_trainer.calibration.events import Scored, Tally, run_network, scores_of, starts, stillness
from asma_trainer.calibration.logistic import logistic
from asma_trainer.calibration.recordings import Recording, by_person, join
from asma_trainer.calibration.search import Search, hours_of
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.errors import DataError

Watch = Callable[[Sequence[Recording]], Iterator[Recording]]

STANDING = 2.0  # seconds between actions
_BETWEEN_NEGATIVES = 0.5  # seconds
_PRIOR = 0.2  # share of the time in which actions of the model are expected to take place
_TEMPERATURES = (0.2, 5.0)
_SMOOTH, _HOLD = (0.0, 0.15, 0.3), (0.15, 0.3, 0.6)  # one frame alone never starts an action
_OTHERS: dict[str, tuple[float, ...]] = {"release": (0.3, 0.5, 0.8), "refractory": (0.0, 1.0, 2.0)}
_LEAVE = (0.3, 0.5)  # shares of enter


@dataclass(frozen=True)
class Calibration:
    """What came out.

    Attributes:
        info: the bundle's description with the new temperature, familiarity and settings.
        before, after: {name: figure} on the recordings: detection and clean (shares of the actions, see `Tally`),
            false_per_hour on what counts as false, wrong_per_hour among the actions, delay (seconds), still (share
            of all frames for which the network is spared).
        likelihood: {"before", "after"}: negative log likelihood, see `likelihood`.
        hours: {"positives", "negatives"} of recordings.
    """

    info: BundleInfo
    before: dict[str, float]
    after: dict[str, float]
    likelihood: dict[str, float]
    hours: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = {name: value for name, value in asdict(self).items() if name != "info"}
        return {
            "temperature": self.info.temperature,
            "familiarity": self.info.familiarity.to_dict() if self.info.familiarity else None,
            "decision": self.info.decision.to_dict(),
            **values,
        }


def calibrate(
    recognizer: Recognizer,
    positives: Sequence[Scored],
    negatives: Sequence[Scored],
    per_hour: float,
    *,
    keep_temperature: bool = False,
    watch: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Choose everything that a bundle says about its scores and events; see the module's text.

    Args:
        recognizer: of the bundle.
        positives: recordings of the model's actions.
        negatives: recordings in which none of them happens; none: false events are counted among the positives.
        per_hour: false events an hour that are acceptable.
        keep_temperature: leave it as it is.
        watch: is told what is being done.

    Raises:
        DataError: the positives hold no action, or ``per_hour`` is not a positive number.
    """
    if not any(scored.actions for scored in positives):
        raise DataError(
            "nothing to calibrate on",
            expected="recordings with actions of the model",
            got="no action of any of its classes",
            hint="name a data set with the model's classes, and a split that is not empty",
        )
    if not (math.isfinite(per_hour) and per_hour > 0):
        raise DataError(
            "unusable number of false events an hour",
            expected="a number above 0",
            got=repr(per_hour),
            hint="2 is a good start for a home; the table shows what it costs",
        )
    old = recognizer.info
    watch("temperature and familiarity")
    info = old if keep_temperature else replace(old, temperature=fit_temperature(positives, old))
    info = replace(info, familiarity=fit_familiarity(positives, negatives, old) if negatives else old.familiarity)
    search = Search(positives, negatives, info, per_hour)
    watch("smooth, hold and enter")
    search.vary([{"smooth": smooth, "hold": hold} for smooth in _SMOOTH for hold in _HOLD])
    for name, values in _OTHERS.items():
        watch(name)
        search.vary([{name: value} for value in values])
    watch("leave")
    search.vary([{"leave": share} for share in _LEAVE])
    watch("thresholds of single classes")
    search.single_classes()
    watch("motion gate")
    search.gate()
    # More likely than not, where that is less than an event needs.
    unknown = 0.5 if info.familiarity and search.settings.enter > 0.5 else None
    info = replace(info, decision=replace(search.settings, unknown=unknown, allow=old.decision.allow))
    return Calibration(
        info=info,
        before=_figures(positives, negatives, old),
        after=_figures(positives, negatives, info),
        likelihood={"before": likelihood(positives, old), "after": likelihood(positives, info)},
        hours={"positives": hours_of(positives), "negatives": hours_of(negatives)},
    )


def record(
    recognizer: Recognizer,
    dataset: PreparedDataset,
    clips: IntArray,
    *,
    rest: float,
    negative: bool,
    seed: int = 0,
    watch: Watch = iter,
) -> list[Scored]:
    """Long recordings of a data set's people, through the network.

    Args:
        recognizer: for the data set's layout.
        clips: of the data set.
        rest: seconds of standing between them.
        negative: none of the clips is an action of the model, whatever it is called.
        watch: wraps the recordings, to show progress.

    Raises:
        DataError: the classes are not the model's, or the units differ.
    """
    check_units(dataset, recognizer.info)
    labels = {} if negative else model_labels(dataset, recognizer.info)
    random = np.random.default_rng(seed)
    groups = by_person(dataset, clips)
    recordings = [join(dataset, random.permutation(group), rest, random) for group in groups]
    return [run_network(recognizer, recording, labels) for recording in watch(recordings)]


def check_units(dataset: PreparedDataset, info: BundleInfo) -> None:
    """Raises DataError where a data set is not in the model's units."""
    if dataset.info.units != info.preprocess.units:
        raise DataError(
            f"'{dataset.path}' does not fit the model",
            expected=f"poses in {info.preprocess.units}",
            got=f"poses in {dataset.info.units}",
            hint="`asma-data project` makes pixels out of metres",
        )


def model_labels(dataset: PreparedDataset, info: BundleInfo) -> dict[int, int]:
    """{class of the data set: class of the model of the same name}.

    What the model calls idle is none of its actions: an event there is a false one.

    Raises:
        DataError: there is none.
    """
    names = [name for index, name in enumerate(info.labels) if index != info.idle]
    labels = {k: info.labels.index(name) for k, name in enumerate(dataset.info.classes) if name in names}
    if not labels:
        raise DataError(
            f"'{dataset.path}' has none of the model's classes",
            expected="some of " + ", ".join(names),
            got=", ".join(dataset.info.classes),
            hint="name the data set that the model was made for; one without its actions goes with --negatives",
        )
    return labels


def positive_recordings(
    recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray, **options: Any
) -> list[Scored]:
    """`record` for the model's actions, with two seconds of standing between them."""
    return record(recognizer, dataset, clips, rest=STANDING, negative=False, **options)


def negative_recordings(
    recognizer: Recognizer, dataset: PreparedDataset, clips: IntArray, **options: Any
) -> list[Scored]:
    """`record` for ambient motion: one thing after the other."""
    return record(recognizer, dataset, clips, rest=_BETWEEN_NEGATIVES, negative=True, **options)


def write(bundle: Bundle, calibration: Calibration, path: Path) -> None:
    """The bundle described anew: model, report and card stay; golden scores follow."""
    info = calibration.info
    update_info(
        bundle.path,
        path,
        temperature=info.temperature,
        familiarity=info.familiarity,
        decision=info.decision,
        provenance=info.provenance,
    )


def likelihood(positives: Sequence[Scored], info: BundleInfo) -> float:
    """Mean negative log likelihood of the label in the second halves of actions, given that it is one of the model's.

    Each action counts once.
    """
    logits, labels, weights = _windows(positives)
    scores = fuse(logits, info.fusion, info.temperature)[np.arange(len(labels)), labels]
    return float(-(np.log(np.maximum(scores, 1e-12)) * weights).sum())


def fit_temperature(positives: Sequence[Scored], info: BundleInfo) -> float:
    """The temperature of the least negative log likelihood, by golden section on its logarithm."""
    low, high = (math.log(value) for value in _TEMPERATURES)

    def loss(logarithm: float) -> float:
        return likelihood(positives, replace(info, temperature=math.exp(logarithm)))

    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    for _ in range(16):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(math.exp((low + high) / 2.0), 4)


def fit_familiarity(positives: Sequence[Scored], negatives: Sequence[Scored], info: BundleInfo) -> Familiarity | None:
    """Logistic regression of "known" on the energy; None where known windows do not have the higher one."""
    known = energy(_windows(positives)[0], info.fusion)
    other = np.concatenate([energy(scored.logits, info.fusion) for scored in negatives])
    x, y = np.concatenate([known, other]), np.repeat([1.0, 0.0], [len(known), len(other)])
    weight = np.repeat([_PRIOR / len(known), (1.0 - _PRIOR) / len(other)], [len(known), len(other)])
    if known.mean() <= other.mean():
        return None
    slope, offset = logistic(x, y, weight)
    if slope <= 0:
        return None
    return Familiarity(round(-offset / slope, 4), round(1.0 / slope, 4))


def _windows(positives: Sequence[Scored]) -> tuple[FloatArray, IntArray, npt.NDArray[np.float64]]:
    """(N, S, K) logits and (N,) labels of the second halves of actions, when it has become clear what they are.

    The weights (N,) sum to 1, equally much for each action.
    """
    logits, labels, lengths = [], [], []
    for scored in positives:
        for action in scored.actions:
            middle, end = (round(t * scored.fps) for t in ((action.start + action.end) / 2, action.end))
            window = scored.logits[middle : end + 1]
            if len(window):
                logits.append(window)
                labels.append(action.label)
                lengths.append(len(window))
    weights = np.repeat(1.0 / (len(lengths) * np.array(lengths)), lengths)
    return np.concatenate(logits), np.repeat(labels, lengths), weights


def _figures(positives: Sequence[Scored], negatives: Sequence[Scored], info: BundleInfo) -> dict[str, float]:
    result = {}
    still = {id(s): stillness(s, info, info.decision) for s in [*positives, *negatives]}
    tallies = []
    for recordings in (positives, negatives or positives):
        counted = Tally()
        for scored in recordings:
            counted.add(scored, starts(scores_of(scored, info), info, info.decision, still[id(scored)]))
        tallies.append(counted)
    frames = np.concatenate(list(still.values()))
    result = {
        "detection": tallies[0].detection,
        "false_per_hour": tallies[1].per_hour,
        "clean": tallies[0].clean / max(tallies[0].actions, 1),
        "wrong_per_hour": tallies[0].per_hour,
        "delay": tallies[0].delay,
        "still": float(frames.mean()),
    }
    return {name: round(value, 5) for name, value in result.items()}
