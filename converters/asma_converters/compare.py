"""Each stage of a conversion against the one before, on the golden clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from asma_converters.errors import ConversionError, GateError
from asma_converters.few_clips import evenly
from asma_converters.gates import Gate, describe, judge
from asma_converters.parallel import in_parts
from asma_edge.fusion import fuse
from asma_edge.skeleton import FloatArray
from asma_trainer.data.dataset import IntArray

Logits = Mapping[str, FloatArray]  # {network: (n, K)}

_BATCH = 32  # larger ones fall out of the caches of small processors
# Stages before quantisation only reorder the same arithmetic.
_EXACT = 1e-3  # largest logit difference, relative to the largest logit (at least 1)
_EXACT_CLIPS = 32  # for that: a wrong weight or operator shows in whatever moves


@dataclass(frozen=True)
class Stage:
    """One form of the model, judged on the golden clips.

    Attributes:
        name: ``torch``, ``deploy``, ``onnx``, ``float32``, ``int8`` or ``qdq``.
        clips: golden clips that it was run on, see `Comparison.few`.
        difference: largest |logit difference| from the last stage before it that ran on all these clips, over all
            streams; 0 for the first stage.
        agreement: share of these clips whose fused top-1 class is that of the stage that ``difference`` is from; 1 for
            the first stage.
        accuracy: window accuracy: share of golden clips whose fused top-1 class is the label, each judged by one
            window; None where not all were run. `WholeClips` has the accuracy of whole clips.
        size: bytes of the file of this stage, where it has one.
    """

    name: str
    clips: int
    difference: float
    agreement: float
    accuracy: float | None
    size: int | None = None

    @property
    def accuracy_text(self) -> str:
        """The window accuracy in per cent, for people."""
        return "-" if self.accuracy is None else f"{100 * self.accuracy:.2f}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def torch_logits(models: Mapping[str, nn.Module], clips: Logits) -> dict[str, FloatArray]:
    """{network: (n, K)} of PyTorch modules that map their own clips (n, T, V, 3 S) to (n, K)."""
    for model in models.values():
        model.eval()

    def some(part: slice) -> dict[str, FloatArray]:
        result: dict[str, FloatArray] = {}
        with torch.inference_mode():
            for stream, model in models.items():
                values = torch.from_numpy(clips[stream][part])
                rows = [model(values[start : start + _BATCH]) for start in range(0, len(values), _BATCH)]
                result[stream] = torch.cat(rows).numpy()
        return result

    parts = in_parts(some, len(next(iter(clips.values()))))
    return {stream: np.concatenate([logits[stream] for logits in parts]) for stream in models}


class _Judged(NamedTuple):
    """A stage's logits on the golden clips of these numbers, which ascend."""

    stage: Stage
    clips: IntArray
    logits: Logits

    def on(self, clips: IntArray) -> Logits:
        """The same on some of them."""
        rows = np.searchsorted(self.clips, clips)
        return {stream: values[rows] for stream, values in self.logits.items()}


class Comparison:
    """Collects stages; each is compared with the last one before it that ran on all of its clips.

    Args:
        labels: (n,) of the golden clips.
        fusion, temperature: of the student.

    Attributes:
        few: numbers of up to 32 golden clips, evenly spaced: enough to see that a stage reproduces the one before.
            What the gates judge runs on all.
    """

    def __init__(self, labels: IntArray, fusion: Sequence[float], temperature: float) -> None:
        self._labels, self._fusion, self._temperature = labels, fusion, temperature
        self._judged: list[_Judged] = []
        self._inexact: list[_Judged] = []  # the stages that gates judge
        self.few = evenly(len(labels), _EXACT_CLIPS)

    @property
    def stages(self) -> list[Stage]:
        """Those added, in order."""
        return [judged.stage for judged in self._judged]

    def add(
        self, name: str, logits: Logits, *, size: int | None = None, exact: bool = True, clips: IntArray | None = None
    ) -> Stage:
        """Judge a stage.

        Args:
            name: of the stage.
            logits: {stream: (n, K)} on the golden clips.
            size: bytes of its file.
            exact: it must reproduce the stage before up to rounding.
            clips: numbers of the golden clips that it was run on, such as ``few``; None: all of them.

        Raises:
            ConversionError: the numbers are not finite, or an exact stage differs from the one before.
        """
        broken = [stream for stream, values in logits.items() if not np.isfinite(values).all()]
        if broken:
            raise ConversionError(
                f"stage '{name}' gives logits that are not finite",
                expected="finite numbers on the golden clips",
                got=f"stream {broken[0]}",
                hint="check the student's weights and its golden clips",
            )
        everything = clips is None
        clips = np.arange(len(self._labels)) if clips is None else clips
        top, difference, agreement = self._top(logits), 0.0, 1.0
        if self._judged:
            past = next(judged for judged in reversed(self._judged) if np.isin(clips, judged.clips).all())
            before = past.on(clips)
            difference = max(float(np.abs(values - before[stream]).max()) for stream, values in logits.items())
            agreement = float((top == self._top(before)).mean())
            limit = _EXACT * max(1.0, *(float(np.abs(values).max()) for values in before.values()))
            if exact and difference > limit:
                raise ConversionError(
                    f"stage '{name}' does not reproduce stage '{past.stage.name}'",
                    expected=f"logits within {limit:.1e}",
                    got=f"a difference of {difference:.1e}",
                    hint="this is a converter bug: please report it with the student file",
                )
        stage = Stage(
            name=name,
            clips=len(clips),
            difference=difference,
            agreement=agreement,
            accuracy=float((top == self._labels).mean()) if everything else None,
            size=size,
        )
        self._judged.append(_Judged(stage, clips, logits))
        if not exact:
            self._inexact.append(self._judged[-1])
        return stage

    def agreement_of(self, name: str) -> float:
        """Share of the clips of a stage with the same fused top-1 class in the first stage."""
        judged = next(judged for judged in self._judged if judged.stage.name == name)
        return float((self._top(judged.logits) == self._top(self._judged[0].on(judged.clips))).mean())

    def _top(self, logits: Logits) -> IntArray:
        top: IntArray = fuse(np.stack(list(logits.values()), axis=1), self._fusion, self._temperature).argmax(axis=1)
        return top

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the K classes; 0 where there is nothing to guess."""
        classes = next(iter(self._judged[0].logits.values())).shape[1]
        return 1.0 / classes if classes > 1 else 0.0

    @property
    def accuracy(self) -> float:
        """Of the student itself."""
        return float((self._top(self._judged[0].logits) == self._labels).mean())

    @property
    def only_guesses(self) -> bool:
        """Whether the student itself is no better than guessing: its labels or its golden clips are wrong."""
        return self.accuracy <= self.chance and self.chance > 0

    def gate(self, max_drop_points: float, min_agreement: float, min_accuracy: float | None = None) -> tuple[Gate, ...]:
        """Judge every stage that is not exact (or the last) against the first, and the first against the labels.

        Args:
            max_drop_points: largest loss of accuracy, in percentage points.
            min_agreement: smallest share of clips with the same top-1 class.
            min_accuracy: smallest accuracy of the student itself; None: better than guessing.

        Returns:
            What the clips show of both for each stage.

        Raises:
            GateError: they show that one of them is exceeded.
        """
        if self.only_guesses if min_accuracy is None else self.accuracy < min_accuracy - 1e-9:
            guessing = f"better than guessing, which gives {100 * self.chance:.2f} %"
            raise GateError(
                "the student does not recognise its own golden clips; nothing was written",
                expected=guessing if min_accuracy is None else f"an accuracy of at least {100 * min_accuracy:g} %",
                got=f"{100 * self.accuracy:.2f} % on {len(self._labels)} golden clips",
                hint="check the order of its labels and its golden clips, train it longer, or set --min-accuracy 0",
            )
        return tuple(
            gate
            for judged in self._inexact or self._judged[-1:]
            for gate in self._gates(judged, max_drop_points, min_agreement)
        )

    def _gates(self, judged: _Judged, max_drop_points: float, min_agreement: float) -> tuple[Gate, Gate]:
        name, count = judged.stage.name, len(judged.clips)
        labels = self._labels[judged.clips]
        before, now = self._top(self._judged[0].on(judged.clips)), self._top(judged.logits)
        worse = int(((before == labels) & (now != labels)).sum())
        better = int(((before != labels) & (now == labels)).sum())
        gates = (
            judge(name, "accuracy", count, worse, better, max_drop_points / 100),
            judge(name, "agreement", count, int((before != now).sum()), 0, 1 - min_agreement),
        )
        failed = [describe(gate) for gate in gates if gate.failed]
        if failed:
            raise GateError(
                f"the {name} model is too far from the student; nothing was written",
                expected=f"at most {max_drop_points:g} points of accuracy lost, "
                f"at least {100 * min_agreement:g} % agreement",
                got="; ".join(failed),
                hint="give the student more calibration clips, use --precision float32, or relax the gates",
            )
        return gates
