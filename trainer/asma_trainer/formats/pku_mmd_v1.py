"""``pku-mmd-v1``: see `asma_trainer.formats.pku_mmd`."""

from __future__ import annotations

from pathlib import Path

from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published
from asma_trainer.formats.pku_mmd import CREDIT, V1, add_arguments, open_release

__all__ = ["PUBLISHED", "SUMMARY", "add_arguments", "open_source"]

SUMMARY = "PKU-MMD part 1: a folder or zip archive with skeletons, labels and split lists"
PUBLISHED = Published(CREDIT, len(V1.classes), {"all": V1.instances})


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open part 1 of PKU-MMD; see `open_release`."""
    return open_release(V1, path, options)
