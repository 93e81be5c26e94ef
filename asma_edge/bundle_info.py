"""What a bundle says about itself (asma.json): everything the runtime needs besides the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from asma_edge.decision import DecisionSettings
from asma_edge.errors import AsmaError, BundleError
from asma_edge.fusion import FUSED, Familiarity
from asma_edge.plain_text import LONGEST_LABEL, is_label
from asma_edge.preprocess import HIPS, SHOULDERS, STREAMS, PreprocessSpec
from asma_edge.provenance import with_fractions
from asma_edge.skeleton import Layout

FORMAT_VERSION = 2  # 1: decisions without per-class thresholds, preprocessing version 1
NEEDS = "0.2.0"  # the first asma-edge that reads this format; a bundle says so to older ones
_LATER = {"familiarity", "hop", "early_fusion"}  # names that older bundles lack
MAX_LABELS = 10_000
MAX_WINDOW = 10_000
MAX_FPS = 1000.0

Mode = Literal["clip", "stream"]
Sampling = Literal["window", "clip"]
Precision = Literal["int8", "float32"]


@dataclass(frozen=True)
class BundleInfo:
    """asma.json without the stamp of the file (format, model_bytes, model_sha256).

    Attributes:
        name: of the model, such as "irds9".
        mode: ``stream``: the file holds a clip graph and a frame-by-frame graph; ``clip``: a clip graph only.
        sampling: ``window``: consecutive frames at ``fps``; ``clip``: a whole action resampled to ``window`` frames.
        precision: of the graph's numbers.
        streams: graph inputs, among joint, bone, motion.
        fusion: weight of each network's softmax scores, summing to 1.
        layout: joints of a pose.
        fps: frames per second that the model expects.
        window: T, frames of one inference.
        preprocess: steps before the streams.
        labels: K class names.
        idle_label: the class that means "nothing happens", if there is one.
        temperature: divides the logits before the softmax.
        familiarity: how large the logits are for what the model knows; None: not measured, and whatever is seen is
            taken for one of the classes.
        decision: default thresholds and times of events.
        parameters: trainable numbers of the model, all streams.
        macs: multiply-accumulates of one clip inference, all streams, one person.
        hop: frames that the frame-by-frame graph takes a call, 1 unless the model has temporal strides: there are new
            scores at the T-th frame and at every hop-th after it.
        early_fusion: whether one network sees all streams; else each stream has its own, and scores are fused.
        provenance: recipe, data source and licence, accuracies as fractions: whatever is worth knowing, JSON-ready.

    Raises:
        BundleError: a value has the wrong type or range, or the values do not fit each other.
    """

    name: str
    mode: Mode
    sampling: Sampling
    precision: Precision
    streams: tuple[str, ...]
    fusion: tuple[float, ...]
    layout: Layout
    fps: float
    window: int
    preprocess: PreprocessSpec
    labels: tuple[str, ...]
    idle_label: str | None = None
    temperature: float = 1.0
    familiarity: Familiarity | None = None
    decision: DecisionSettings = field(default_factory=DecisionSettings)
    parameters: int = 0
    macs: int = 0
    hop: int = 1
    early_fusion: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, expected, holds in _RULES:
            if not holds(self):
                raise _invalid(name, expected, repr(getattr(self, name))[:200])

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the networks, whose logits are the graph's outputs ``logits_<name>``."""
        return (FUSED,) if self.early_fusion else self.streams

    @property
    def idle(self) -> int | None:
        """Class index of the idle label."""
        return None if self.idle_label is None else self.labels.index(self.idle_label)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name in ("streams", "fusion", "labels"):
            values[name] = list(values[name])
        for name in ("layout", "preprocess", "decision"):
            values[name] = values[name].to_dict()
        values["familiarity"] = self.familiarity.to_dict() if self.familiarity else None
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BundleInfo:
        """Rebuild from `to_dict` values; every name must be there, except those that older bundles lack, and no other.

        Raises:
            BundleError: a name is missing or unknown, or a value is wrong.
        """
        names = {entry.name for entry in fields(cls)}
        given = set(values) if isinstance(values, dict) else set()
        if not isinstance(values, dict) or not names - _LATER <= given <= names:
            raise _invalid(
                "asma.json",
                "exactly the known names",
                f"missing {sorted(names - _LATER - given)}, unknown {sorted(given - names)}",
            )
        values = dict(values)
        try:
            for name in ("streams", "fusion", "labels"):
                if not isinstance(values[name], list):
                    raise _invalid(name, "a list", type(values[name]).__name__)
                values[name] = tuple(values[name])
            values["layout"] = Layout.from_dict(values["layout"])
            values["preprocess"] = PreprocessSpec.from_dict(values["preprocess"])
            values["decision"] = DecisionSettings.from_dict(values["decision"])
            if values.get("familiarity") is not None:
                values["familiarity"] = Familiarity(**values["familiarity"])
            values["provenance"] = with_fractions(values["provenance"])
        except BundleError:
            raise
        except (AsmaError, TypeError, KeyError, ValueError, AttributeError) as error:
            reason = str(error).splitlines()[0] if str(error) else ""
            raise _invalid("asma.json", "well-formed parts", f"{type(error).__name__}: {reason}") from error
        return cls(**values)


def _invalid(name: str, expected: str, got: str) -> BundleError:
    return BundleError(
        f"unusable bundle description, {name}", expected=expected, got=got, hint="convert the student again"
    )


def _is_number(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_count(value: object, low: int, high: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _are_names(values: Sequence[object], limit: int) -> bool:
    return 0 < len(values) <= limit and all(map(is_label, values)) and len(values) == len(set(values))


def _needs_fit(info: BundleInfo) -> bool:
    """The preprocessing steps find the joints they use in the layout."""
    if {"scale", "view"} & set(info.preprocess.steps):
        needed = (*SHOULDERS, *(HIPS if "scale" in info.preprocess.steps else ()))
        return set(needed) <= set(info.layout.joints)
    return True


_RULES: tuple[tuple[str, str, Callable[[BundleInfo], bool]], ...] = (
    ("name", f"1 to {LONGEST_LABEL} plain characters without a slash",
     lambda i: _are_names([i.name], 1) and not set(i.name) & set("/\\")),
    ("mode", "clip or stream", lambda i: i.mode in ("clip", "stream")),
    ("sampling", "window or clip", lambda i: i.sampling in ("window", "clip")),
    ("sampling", "window, where the mode is stream", lambda i: i.mode == "clip" or i.sampling == "window"),
    ("precision", "int8 or float32", lambda i: i.precision in ("int8", "float32")),
    ("streams", f"unique names among {STREAMS}", lambda i: _are_names(i.streams, 3) and set(i.streams) <= set(STREAMS)),
    ("early_fusion", "true, with two streams or more, or false", lambda i: isinstance(i.early_fusion, bool)
     and (len(i.streams) > 1 or not i.early_fusion)),
    ("fusion", "a weight from 0 to 1 for each network", lambda i: len(i.fusion) == len(i.networks)
     and all(_is_number(w, 0, 1) for w in i.fusion)),
    ("fusion", "weights that sum to 1", lambda i: math.isclose(sum(i.fusion), 1, abs_tol=1e-3)),
    ("fps", f"above 0, at most {MAX_FPS:g}", lambda i: _is_number(i.fps, 1e-3, MAX_FPS)),
    ("window", f"2 to {MAX_WINDOW} frames", lambda i: _is_count(i.window, 2, MAX_WINDOW)),
    ("hop", "1 to as many frames as the window, and 1 where the mode is clip", lambda i:
     _is_count(i.hop, 1, i.window if i.mode == "stream" else 1)),
    ("labels", f"1 to {MAX_LABELS} unique names of 1 to {LONGEST_LABEL} plain characters",
     lambda i: _are_names(i.labels, MAX_LABELS)),
    ("idle_label", "one of the labels, or none", lambda i: i.idle_label is None or i.idle_label in i.labels),
    ("decision", "settings for labels that the model has", lambda i: i.decision.mentioned <= set(i.labels)),
    ("temperature", "above 0", lambda i: _is_number(i.temperature, 1e-6, 1e6)),
    ("parameters", "a count", lambda i: _is_count(i.parameters, 0, 1e12)),
    ("macs", "a count", lambda i: _is_count(i.macs, 0, 1e15)),
    ("provenance", "a table", lambda i: isinstance(i.provenance, dict)),
    ("preprocess", "steps whose joints the layout has", _needs_fit),
)  # fmt: skip
