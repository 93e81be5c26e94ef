"""The device API: a bundle in, poses in, results out.

>>> recognizer = Recognizer.load("home.tflite")
>>> stream = recognizer.stream()                      # one a person
>>> for timestamp, pose in camera:                    # seconds, (V, 3)
...     result = stream.update(pose, timestamp)
...     if result.event == "start":
...         print(result.label, result.score)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.builtin import builtin_path
from asma_edge.bundle import Bundle, read_bundle
from asma_edge.checks import is_number
from asma_edge.clips import ClipReader
from asma_edge.decision import Decision, DecisionSettings
from asma_edge.errors import AsmaError
from asma_edge.feature_space import FeatureSpace
from asma_edge.fusion import pool_windows
from asma_edge.poses import PoseReader
from asma_edge.result import Result, make_result
from asma_edge.runtime import Runtime, no_features
from asma_edge.scorer import (
    ClipScorer,
    Scorer,
    StreamScorer,
    TaughtScorer,
    join_taught,
    score_window,
    window_outputs,
)
from asma_edge.skeleton import FloatArray, Layout, get_layout
from asma_edge.stream import Stream
from asma_edge.taught import MAX_EXAMPLES, Taught
from asma_edge.taught_file import load_taught, save_taught
from asma_edge.teaching import Teacher
from asma_edge.tracker import MAX_PEOPLE, People

MAX_GAP = (
    1.0  # seconds that are bridged by default: on gestures, interpolating lost less than starting again at any length
)
_LONGEST_GAP = 60.0  # seconds: all the frames of a bridged pause are computed


class Recognizer:
    """A loaded bundle. Its streams share the weights; they may run in different threads, which take turns.

    Args:
        bundle: from `read_bundle`; `load` does both.
        num_threads: of the interpreter; small models are fastest with 1.
        layout: of the poses that will come, by name or as a `Layout`, where it differs from the bundle's: joints are
            matched by name, and one that the poses lack counts as missing. The units stay the bundle's.
        decision: thresholds and times of events, instead of the bundle's.

    Attributes:
        bundle: the file's contents.
        info: what the bundle says about itself; its labels are the model's and, behind them, those that were taught.
        runtime: the interpreter.
        poses: checks and converts what users pass; ``poses.source`` is the layout that the methods expect.

    Raises:
        BundleError: the model does not fit its description.
        RuntimeMissingError: no usable TFLite runtime is installed.
        LayoutError: the layout is unknown or shares no joint with the bundle's.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        num_threads: int = 1,
        layout: str | Layout | None = None,
        decision: DecisionSettings | None = None,
    ) -> None:
        self.bundle, self.info = bundle, bundle.info
        self._taught: Taught | None = None
        source = get_layout(layout) if isinstance(layout, str) else layout or self.info.layout
        self.poses = PoseReader(source, self.info.layout, self.info.preprocess.units)
        self._clips = ClipReader(self.poses, self.info)
        self.decision = decision or self.info.decision
        self.runtime = Runtime(bundle, num_threads)
        self.scorer()  # a graph that does not fit its description is refused now, not at the first pose

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        num_threads: int = 1,
        layout: str | Layout | None = None,
        decision: DecisionSettings | None = None,
    ) -> Recognizer:
        """Read a bundle and load its model; arguments and errors as for the class."""
        return cls(read_bundle(path), num_threads=num_threads, layout=layout, decision=decision)

    @classmethod
    def builtin(cls, name: str, **options: Any) -> Recognizer:
        """Load a model that is part of the package; ``options`` as for `load`.

        Raises:
            BundleError: there is no such model.
        """
        return cls.load(builtin_path(name), **options)

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names: the model's own, then those that were taught."""
        return self.info.labels

    @property
    def taught(self) -> tuple[str, ...]:
        """Names of the classes that were taught."""
        return self._taught.names if self._taught else ()

    @property
    def layout(self) -> Layout:
        """Layout of the poses that the methods expect."""
        return self.poses.source

    @property
    def window_seconds(self) -> float:
        """Seconds of movement that one recognition looks at."""
        return self.info.window / self.info.fps

    def __enter__(self) -> Recognizer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the model; its streams and the methods of this object refuse to work afterwards."""
        self.runtime.close()

    def stream(self, *, max_gap: float = MAX_GAP, warm_up: bool = True, repetitions: bool = False) -> Stream:
        """A stream of one person's poses.

        Args:
            max_gap: longest time in seconds, up to 60, for which the person may be unseen and the movement between is
                interpolated; after a longer one the action in progress has ended and a new sequence begins.
            warm_up: let a sequence's first pose stand still before it, so that there are scores from the first pose
                on; else there are none until a whole window has been seen.
            repetitions: count them: `Result.repetition`, `Stream.repetitions`.

        Raises:
            AsmaError: the model takes whole actions (sampling ``clip``), not a stream; or ``max_gap`` is out of range.
        """
        if self.info.sampling == "clip":
            raise AsmaError(
                f"model '{self.info.name}' cannot follow a stream",
                expected="a model with sampling 'window'",
                got="sampling 'clip': it sees a whole action, resampled to a fixed number of frames",
                hint="cut the actions yourself and call predict(clip, fps), or train a device-* recipe",
            )
        if not (is_number(max_gap) and 0 < max_gap <= _LONGEST_GAP):
            raise AsmaError(
                "unusable max_gap",
                expected=f"seconds above 0, at most {_LONGEST_GAP:g}",
                got=repr(max_gap),
                hint="leave it out",
            )
        hold = self.info.window - 1 if warm_up else 0
        return Stream(
            self.info,
            self.poses,
            self.scorer(),
            self.decision,
            max_gap=float(max_gap),
            hold=hold,
            repetitions=repetitions,
            quality=self.bundle.quality,
        )

    def people(
        self,
        *,
        ttl: float = 2.0,
        max_people: int = MAX_PEOPLE,
        max_gap: float = MAX_GAP,
        warm_up: bool = True,
        repetitions: bool = False,
    ) -> People:
        """Streams of several people, told apart by where and how they move.

        Args:
            ttl: seconds after which a person who is no longer seen is forgotten.
            max_people: how many are followed at once; see `People` for who is left out.
            max_gap: as for `stream`.
            warm_up: as for `stream`.
            repetitions: as for `stream`.

        Raises:
            AsmaError: the model cannot follow a stream, or a value is out of range.
        """
        self.stream(max_gap=max_gap)  # refuses now what could not work at the first person

        def make_stream() -> Stream:
            return self.stream(max_gap=max_gap, warm_up=warm_up, repetitions=repetitions)

        return People(self.poses, make_stream, ttl=ttl, max_people=max_people, max_gap=float(max_gap))

    def predict(self, clip: npt.ArrayLike, fps: float | None = None, *, whole: bool = False) -> Result:
        """Recognise a recorded clip.

        The result equals the last one of a stream that is fed the clip's poses at ``i / fps`` seconds. Frames before
        the person is first seen are skipped.

        Args:
            clip: (T', V, 3) poses; NaN marks missing joints.
            fps: of the clip; the model's own by default.
            whole: the clip is one cut action: pool the scores of all its windows (every frame since the window was
                full; a clip shorter than the window is preceded by its first pose held still), see `pool_windows`,
                and report no event. A model with sampling ``clip`` always sees the whole clip.

        Raises:
            PoseError: the clip is empty, has the wrong shape, or never shows the person.
            AsmaError: fps is not a usable number.
        """
        rate = self._clips.rate(fps)
        started = perf_counter()
        poses = self._clips.read(clip)
        seconds = (len(poses) - 1) / rate
        if self.info.sampling == "clip":
            scores = self._score_resampled(poses)
        else:
            hold, decision = self.info.window - 1, self.decision
            if whole:
                # The stream counts frames with this expression too; after the person was last seen it makes none.
                last = int(np.flatnonzero(self.poses.seen(poses))[-1])
                frames = math.floor(last / rate * self.info.fps + 1e-6) + 1
                hold = max(self.info.window - frames, 0)
                decision = replace(decision, still_after=0.0)  # every window has a score, whether or not anything moves
            reader = PoseReader(self.info.layout, self.info.layout, self.info.preprocess.units)
            stream = Stream(self.info, reader, self.scorer(), decision, max_gap=math.inf, hold=hold)
            results, parts = [], []
            for index, pose in enumerate(poses):
                results.append(stream.update(pose, index / rate))
                parts.append(stream.scores)
            if not whole:
                return next(result for result in reversed(results) if result)
            scores = pool_windows(np.concatenate(parts))
        latency = (perf_counter() - started) * 1e3
        return make_result(self.info, self.decision, "ready", scores, Decision(), seconds, latency)

    def teach(
        self,
        name: str,
        examples: Sequence[npt.ArrayLike],
        fps: float | None = None,
        *,
        ambient: Sequence[npt.ArrayLike] = (),
    ) -> None:
        """Teach a class that the model was not trained for; it competes with the others as `asma_edge.taught` says.

        The model's weights stay as they are. Streams that there are do not come to know it.

        Args:
            name: of the class.
            examples: 1 to 10 recordings (T', V, 3) of the movement, each from just before it to just after it.
            fps: of the examples and the ambient motion; the model's own by default.
            ambient: recordings (T', V, 3) in which it does not happen, from where the model will be used. They count
                for all taught classes, and are kept for those that are taught later.

        Raises:
            TeachError: the name, the number of examples or one of them is unusable; they are alike, or show a class
                that there is. Nothing has changed then.
            PoseError: a recording has the wrong shape or numbers, or never shows the person.
            BundleError: the bundle has no features.
        """
        known = self._known_by_features()
        teacher = Teacher(self.bundle.info, self.runtime.clip_model(features=True), known.space)
        if len(ambient):
            known = known.with_ambient(teacher.ambient_rows([self._clips.see(clip, fps) for clip in ambient]))
        rows = teacher.example_rows([self._clips.see(clip, fps) for clip in examples[: MAX_EXAMPLES + 1]])
        self._learn(known.with_class(name, rows))

    def forget(self, name: str) -> None:
        """Take a taught class away.

        Raises:
            TeachError: no such class was taught.
        """
        self._learn(self._known_by_features().without(name))

    def save_taught(self, path: str | Path) -> None:
        """Write the taught classes, and the ambient motion that they were taught with, to a file.

        Raises:
            OutputError: it cannot be written under this name.
            BundleError: the bundle has no features.
        """
        save_taught(path, self._known_by_features(), self.bundle.sha256)

    def load_taught(self, path: str | Path) -> None:
        """Take the taught classes of a file in place of those that there are.

        Raises:
            TeachError: it is no such file, damaged, or of another bundle.
            BundleError: the bundle has no features.
        """
        space = self._known_by_features().space
        self._learn(load_taught(path, space, self.bundle.info.labels, self.bundle.sha256))

    def scorer(self) -> Scorer:
        """What turns the preprocessed frames of one person into scores."""
        info, taught = self.bundle.info, self._competing
        features = taught is not None
        scorer = (
            StreamScorer(info, self.runtime.stream_model(features=features))
            if info.mode == "stream"
            else ClipScorer(info, self.runtime.clip_model(features=features))
        )
        return scorer if taught is None else TaughtScorer(info, scorer, taught)

    @property
    def _competing(self) -> Taught | None:
        return self._taught if self.taught else None

    def _known_by_features(self) -> Taught:
        """What was taught so far; the features are looked at when they are first asked for."""
        if self._taught is not None:
            return self._taught
        self.runtime.clip_model(features=True)  # refuses a model without
        if self.bundle.reference is None:
            raise no_features(self.bundle, "a part reference.npz", "none")
        return Taught(FeatureSpace(self.bundle.reference), self.bundle.info.labels)

    def _learn(self, taught: Taught) -> None:
        self._taught = taught
        self.info = replace(self.bundle.info, labels=self.bundle.info.labels + taught.names)

    def _score_resampled(self, poses: FloatArray) -> FloatArray:
        """Scores of a whole action."""
        info, window, taught = self.bundle.info, self._clips.resampled(poses), self._competing
        if taught is None:
            return score_window(info, self.runtime.clip_model(), window, None)
        outputs = window_outputs(info, self.runtime.clip_model(features=True), window, None)
        return np.asarray(join_taught(info, outputs[None], taught)[0])
