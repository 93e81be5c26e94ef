"""An error that no reader of untrusted files foresaw, as one that names the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from asma_trainer.errors import DataError

_UNFORESEEN = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip


@contextmanager
def named(item: object) -> Iterator[None]:
    """Turn what malformed content makes Python raise into a DataError about ``item``.

    A safety net: readers check what they read and say what is wrong with it. Where one of them has missed a case, the
    user still learns which file it is, and can leave it out, instead of losing a long import to a traceback. NumPy's
    warnings of numbers beyond a type's range are left unsaid: readers refuse what comes of them.

    Raises:
        DataError: in place of such an error, which is its cause.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except _UNFORESEEN as error:
        raise DataError(
            f"'{item}': malformed in a way that its reader does not know",
            expected="a file as the format's description says",
            got=f"{type(error).__name__}: {str(error)[:200]}",
            hint="leave it out with --skip-bad, and please report it: this message should say what is wrong",
        ) from error
