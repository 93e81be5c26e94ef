"""asma-edge: recognise human actions from skeleton streams on a small computer.

>>> from asma_edge import Recognizer
>>> stream = Recognizer.load("home.tflite").stream()
>>> result = stream.update(pose, timestamp)

Importing the package loads NumPy and nothing else; the TFLite runtime is loaded with the first model.
"""

from asma_edge.bundle import Bundle, BundleInfo, read_bundle
from asma_edge.decision import DecisionSettings
from asma_edge.errors import (
    AsmaError,
    BundleError,
    LayoutError,
    PoseError,
    RuntimeMissingError,
    TeachError,
    TimestampError,
)
from asma_edge.pose_check import PoseWarning
from asma_edge.recognizer import Recognizer
from asma_edge.result import Result
from asma_edge.skeleton import LAYOUT_NAMES, Layout, get_layout
from asma_edge.stream import Stream
from asma_edge.tracker import People

__version__ = "0.2.0"

__all__ = [
    "LAYOUT_NAMES",
    "AsmaError",
    "Bundle",
    "BundleError",
    "BundleInfo",
    "DecisionSettings",
    "Layout",
    "LayoutError",
    "People",
    "PoseError",
    "PoseWarning",
    "Recognizer",
    "Result",
    "RuntimeMissingError",
    "Stream",
    "TeachError",
    "TimestampError",
    "get_layout",
    "read_bundle",
]
