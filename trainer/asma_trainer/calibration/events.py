"""Scores and events of recordings whose truth is known: how many actions are found, and how many events are false.

A recording goes through the network once; what follows from its logits (`fuse`, the decision settings, the motion gate)
can then be tried again and again. The numbers are those of `Recognizer.stream(warm_up=True)`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from asma_edge import Recognizer
from asma_edge.buffer import resample
from asma_edge.bundle_info import BundleInfo
from asma_edge.clips import ClipReader
from asma_edge.decision import Decider, DecisionSettings
from asma_edge.fusion import fuse
from asma_edge.gate import MotionGate
from asma_edge.poses import PoseReader
from asma_edge.preprocess import Preprocessor
from asma_edge.repetitions import Repetition, RepetitionCounter
from asma_edge.skeleton import FloatArray
from asma_trainer.calibration.recordings import Action, Recording


@dataclass(frozen=True)
class Scored:
    """A recording as the network sees it, at the model's rate.

    Attributes:
        name: of the recording.
        frames: (T, V, 3) preprocessed.
        logits: (T, S, K) of the windows that end with each frame; a model that takes several frames a call has those
            of its last call.
        actions: labels are the model's.
        fps: of the model.
    """

    name: str
    frames: FloatArray
    logits: FloatArray
    actions: tuple[Action, ...]
    fps: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.frames) / self.fps


def run_network(recognizer: Recognizer, recording: Recording, labels: Mapping[int, int]) -> Scored:
    """Stream a recording, its first pose held still before it.

    Args:
        recognizer: of a model with sampling ``window``, for the recording's layout.
        labels: {class of the data set: class of the model}; other actions are none of the model's.

    Raises:
        PoseError: the poses do not fit, or never show anybody.
    """
    info = recognizer.info
    frames, actions = prepare(recording, info, recognizer.poses)
    held = np.concatenate([frames[:1].repeat(info.window - 1, axis=0), frames])
    known = [replace(action, label=labels[action.label]) for action in actions if action.label in labels]
    logits = recognizer.scorer().logits(held).repeat(info.hop, axis=0)[: len(frames)]
    return Scored(recording.name, frames, logits, tuple(known), info.fps)


def prepare(recording: Recording, info: BundleInfo, reader: PoseReader) -> tuple[FloatArray, list[Action]]:
    """What a stream makes of a recording before the network: preprocessed frames (T, V, 3) at the model's rate.

    The first frame is the first in which the person is seen; the actions' times count from it.

    Raises:
        PoseError: the poses do not fit, or never show anybody.
    """
    poses = ClipReader(reader, info).read(recording.poses)
    late = (len(recording.poses) - len(poses)) / recording.fps
    frames = Preprocessor(info.preprocess, info.layout)(resample(poses, recording.fps, info.fps))
    return frames, [replace(a, start=a.start - late, end=a.end - late) for a in recording.actions]


def count_repetitions(frames: FloatArray, info: BundleInfo, scores: FloatArray | None = None) -> list[Repetition]:
    """What a stream's counter says of preprocessed frames (T, V, 3); without scores (T, K) it can name none."""
    counter = RepetitionCounter(info.decision, info.labels, info.idle, info.fps, info.preprocess.dims)
    found = []
    for number, frame in enumerate(frames):
        row = np.empty((0, len(info.labels)), np.float32) if scores is None else scores[number : number + 1]
        repetition = counter.update(frame[None], row, number / info.fps)
        if repetition is not None:
            found.append(repetition)
    return found


def stillness(scored: Scored, info: BundleInfo, settings: DecisionSettings) -> npt.NDArray[np.bool_]:
    """(T,) the frames for which the motion gate spares the network."""
    if not settings.still_after:
        return np.zeros(len(scored.frames), dtype=bool)
    gate = MotionGate(info.fps, settings.still_after, settings.still_motion, info.preprocess.dims)
    return np.array([not gate.moving(frame[None]) for frame in scored.frames])


def starts(
    scores: FloatArray,
    info: BundleInfo,
    settings: DecisionSettings,
    still: npt.NDArray[np.bool_] | None = None,
) -> list[tuple[float, int]]:
    """(seconds, class) of each event "start" that the scores (T, K) of consecutive frames give."""
    decider = Decider(settings, info.labels, info.idle)
    silence = np.zeros(scores.shape[1], dtype=np.float32)
    if still is not None:
        scores = np.where(still[:, None], silence, scores)
    events = []
    for frame, row in enumerate(scores):
        decision = decider.update(row, frame / info.fps)
        if decision.event == "start" and decision.action is not None:
            events.append((frame / info.fps, decision.action))
    return events


@dataclass
class Tally:
    """What events were right and wrong, over any number of recordings.

    Attributes:
        actions: how many there were.
        found: of them, whose first event was right.
        clean: of those, whose first event was the only one.
        wrong: events of another class than the action's.
        false: events while none of the model's actions took place.
        seconds: of the recordings.
        delays: seconds from the start of each found action to its event.
        by_class: {class: [actions, found, wrong or false events of it]}.
    """

    actions: int = 0
    found: int = 0
    clean: int = 0
    wrong: int = 0
    false: int = 0
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    by_class: dict[int, list[int]] = field(default_factory=dict)

    @property
    def detection(self) -> float:
        """Share of the actions that were found."""
        return self.found / max(self.actions, 1)

    @property
    def quality(self) -> float:
        """From 0 to 1: an action that is found counts half, and whole if no other event follows while it lasts."""
        return 0.5 * (self.found + self.clean) / max(self.actions, 1)

    @property
    def per_hour(self) -> float:
        """Wrong and false events an hour."""
        return 3600.0 * (self.wrong + self.false) / max(self.seconds, 1e-9)

    @property
    def delay(self) -> float:
        """Median seconds from the start of a found action to its event."""
        return float(np.median(self.delays)) if self.delays else float("nan")

    def add(self, scored: Scored, events: Iterable[tuple[float, int]], late: float = 0.0) -> None:
        """Count a recording's events; one up to ``late`` seconds after an action still belongs to it."""
        self.seconds += scored.seconds
        first: dict[int, tuple[float, int]] = {}
        events_of: Counter[int] = Counter()
        begun = [action.start for action in scored.actions]
        for t, label in events:
            number = int(np.searchsorted(begun, t, side="right")) - 1
            if number < 0 or t > scored.actions[number].end + late:
                self.false += 1
                self._of(label)[2] += 1
            else:
                first.setdefault(number, (t, label))
                events_of[number] += 1
                if label != scored.actions[number].label:
                    self.wrong += 1
                    self._of(label)[2] += 1
        for number, action in enumerate(scored.actions):
            self.actions += 1
            counts = self._of(action.label)
            counts[0] += 1
            t, label = first.get(number, (0.0, -1))
            if label == action.label:
                self.found += 1
                self.clean += events_of[number] == 1
                counts[1] += 1
                self.delays.append(t - action.start)

    def _of(self, label: int) -> list[int]:
        return self.by_class.setdefault(label, [0, 0, 0])


def tally(
    recordings: Sequence[Scored],
    info: BundleInfo,
    settings: DecisionSettings,
    *,
    still: Sequence[npt.NDArray[np.bool_]] | None = None,
    scores: Sequence[FloatArray] | None = None,
    late: float = 0.0,
) -> Tally:
    """Count the events of recordings.

    Args:
        still: per recording, from `stillness`; None: computed from the settings.
        scores: per recording (T, K), where they are known already.
        late: see `Tally.add`.
    """
    result = Tally()
    for index, scored in enumerate(recordings):
        rows = scores[index] if scores is not None else scores_of(scored, info)
        rest = still[index] if still is not None else stillness(scored, info, settings)
        result.add(scored, starts(rows, info, settings, rest), late)
    return result


def scores_of(scored: Scored, info: BundleInfo) -> FloatArray:
    """(T, K)."""
    return fuse(scored.logits, info.fusion, info.temperature, info.familiarity)
