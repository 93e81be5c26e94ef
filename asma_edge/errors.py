"""Errors that say what was expected, what came instead, and what to do about it."""

from __future__ import annotations


class AsmaError(Exception):
    """Base of every error this project raises on purpose.

    Args:
        what: the subject in one line, such as ``"cannot read bundle 'home.tflite'"``.
        expected: what would have been right.
        got: what came instead.
        hint: what the user can do.
    """

    def __init__(self, what: str, *, expected: str = "", got: str = "", hint: str = "") -> None:
        self.what, self.expected, self.got, self.hint = what, expected, got, hint
        parts = [what]
        for name, text in (("expected", expected), ("got", got), ("do", hint)):
            if text:
                parts.append(f"  {name}: {text}")
        super().__init__("\n".join(parts))


class LayoutError(AsmaError):
    """A skeleton layout is unknown, malformed, or does not fit the pose."""


class PoseError(AsmaError):
    """A pose or clip has the wrong shape, no finite joint, or absurd values."""


class TimestampError(AsmaError):
    """Time does not increase, or is not a finite number of seconds."""


class BundleError(AsmaError):
    """A bundle file is missing, truncated, altered, or of another version."""


class RuntimeMissingError(AsmaError):
    """No TFLite runtime is installed, or the installed one computes wrong results."""


class TeachError(AsmaError):
    """A class cannot be taught or forgotten, or a file of taught classes is not one of this bundle."""
