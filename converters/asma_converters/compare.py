"""Each stage of a conversion against the one before, on the golden clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from asma_converters.errors import ConversionError, GateError
from asma_converters.parallel import in_parts
from asma_edge.fusion import fuse
from asma_edge.skeleton import FloatArray

IntArray = npt.NDArray[np.int64]
Logits = Mapping[str, FloatArray]  # {network: (n, K)}

_BATCH = 32  # larger ones fall out of the caches of small processors
# Stages before quantisation only reorder the same arithmetic.
_EXACT = 1e-3  # largest logit difference, relative to the largest logit (at least 1)


@dataclass(frozen=True)
class Stage:
    """One form of the model, judged on the golden clips.

    Attributes:
        name: ``torch``, ``deploy``, ``onnx``, ``float32``, ``int8`` or ``qdq``.
        difference: largest |logit difference| from the stage before, over all streams; 0 for the first stage.
        agreement: share of clips whose fused top-1 class is that of the stage before; 1 for the first stage.
        accuracy: window accuracy: share of golden clips whose fused top-1 class is the label, each judged by one
            window. `WholeClips` has the accuracy of whole clips.
        size: bytes of the file of this stage, where it has one.
    """

    name: str
    difference: float
    agreement: float
    accuracy: float
    size: int | None = None

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


class Comparison:
    """Collects stages; each is compared with the one added before it.

    Args:
        labels: (n,) of the golden clips.
        fusion, temperature: of the student.
    """

    def __init__(self, labels: IntArray, fusion: Sequence[float], temperature: float) -> None:
        self._labels, self._fusion, self._temperature = labels, fusion, temperature
        self._logits: list[Logits] = []
        self._inexact: list[int] = []  # positions of the stages that gates judge
        self.stages: list[Stage] = []

    def add(self, name: str, logits: Logits, *, size: int | None = None, exact: bool = True) -> Stage:
        """Judge a stage.

        Args:
            name: of the stage.
            logits: {stream: (n, K)} on the golden clips.
            size: bytes of its file.
            exact: it must reproduce the stage before up to rounding.

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
        difference = 0.0
        if self._logits:
            before = self._logits[-1]
            difference = max(float(np.abs(values - before[stream]).max()) for stream, values in logits.items())
            limit = _EXACT * max(1.0, *(float(np.abs(values).max()) for values in before.values()))
            if exact and difference > limit:
                raise ConversionError(
                    f"stage '{name}' does not reproduce stage '{self.stages[-1].name}'",
                    expected=f"logits within {limit:.1e}",
                    got=f"a difference of {difference:.1e}",
                    hint="this is a converter bug: please report it with the student file",
                )
        if not exact:
            self._inexact.append(len(self._logits))
        self._logits.append(logits)
        stage = Stage(
            name=name,
            difference=difference,
            agreement=self.agreement(-1, max(len(self._logits) - 2, 0)),
            accuracy=float((self._top(-1) == self._labels).mean()),
            size=size,
        )
        self.stages.append(stage)
        return stage

    def agreement(self, a: int, b: int) -> float:
        """Share of clips with the same fused top-1 class in the stages of two positions."""
        return float((self._top(a) == self._top(b)).mean())

    def agreement_of(self, name: str) -> float:
        """Share of clips with the same fused top-1 class in the first stage and the one of a name."""
        return self.agreement([stage.name for stage in self.stages].index(name), 0)

    def _top(self, position: int) -> IntArray:
        stacked = np.stack(list(self._logits[position].values()), axis=1)
        top: IntArray = fuse(stacked, self._fusion, self._temperature).argmax(axis=1)
        return top

    @property
    def chance(self) -> float:
        """Accuracy of guessing among the K classes; 0 where there is nothing to guess."""
        classes = next(iter(self._logits[0].values())).shape[1]
        return 1.0 / classes if classes > 1 else 0.0

    @property
    def only_guesses(self) -> bool:
        """Whether the student itself is no better than guessing: its labels or its golden clips are wrong."""
        return self.stages[0].accuracy <= self.chance and self.chance > 0

    def gate(self, max_drop_points: float, min_agreement: float, min_accuracy: float | None = None) -> None:
        """Judge every stage that is not exact (or the last) against the first, and the first against the labels.

        Args:
            max_drop_points: largest loss of accuracy, in percentage points.
            min_agreement: smallest share of clips with the same top-1 class.
            min_accuracy: smallest accuracy of the student itself; None: better than guessing.

        Raises:
            GateError: one of them is exceeded.
        """
        first = self.stages[0]
        if self.only_guesses if min_accuracy is None else first.accuracy < min_accuracy - 1e-9:
            guessing = f"better than guessing, which gives {100 * self.chance:.2f} %"
            raise GateError(
                "the student does not recognise its own golden clips; nothing was written",
                expected=guessing if min_accuracy is None else f"an accuracy of at least {100 * min_accuracy:g} %",
                got=f"{100 * first.accuracy:.2f} % on {len(self._labels)} golden clips",
                hint="check the order of its labels and its golden clips, train it longer, or set --min-accuracy 0",
            )
        for position in self._inexact or [len(self.stages) - 1]:
            self._gate_stage(position, max_drop_points, min_agreement)

    def _gate_stage(self, position: int, max_drop_points: float, min_agreement: float) -> None:
        first, last = self.stages[0], self.stages[position]
        drop, agreement = 100.0 * (first.accuracy - last.accuracy), self.agreement(position, 0)
        failed = []
        if drop > max_drop_points + 1e-9:
            failed.append(f"accuracy {100 * last.accuracy:.2f} %, {drop:.2f} points below {100 * first.accuracy:.2f} %")
        if agreement < min_agreement - 1e-9:
            failed.append(f"agreement {100 * agreement:.2f} %")
        if failed:
            raise GateError(
                f"the {last.name} model is too far from the student; nothing was written",
                expected=f"at most {max_drop_points:g} points of accuracy lost, "
                f"at least {100 * min_agreement:g} % agreement",
                got="; ".join(failed) + f" on {len(self._labels)} golden clips",
                hint="give the student more calibration clips, use --precision float32, or relax the gates",
            )
