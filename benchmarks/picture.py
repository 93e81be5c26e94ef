"""Pictures of benchmarks by matplotlib; the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from asma_edge.extras import require
from asma_edge.files import atomic_file


@contextmanager
def picture(
    path: Path, size: tuple[float, float], panels: int = 1, rows: int = 1, *, shared: bool = False
) -> Iterator[list[Any]]:
    """Axes of panels beside each other, row by row, to draw into; written to ``path``, PNG or SVG by its name, when
    they are drawn.

    Args:
        shared: all panels show the same range.

    Raises:
        ExtraMissingError: matplotlib is not installed.
    """
    require("matplotlib", "viz")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "asma-edge"
    figure, axes = plt.subplots(
        rows, panels, figsize=size, constrained_layout=True, squeeze=False, sharex=shared, sharey=shared
    )
    try:
        yield list(axes.flat)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            kind = path.suffix[1:]
            figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
    finally:
        plt.close(figure)
