"""``pku-mmd-v2``: see `asma_trainer.formats.pku_mmd`."""

from __future__ import annotations

from pathlib import Path

from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published
from asma_trainer.formats.pku_mmd import CREDIT, V2, add_arguments, open_release

__all__ = ["PUBLISHED", "SUMMARY", "add_arguments", "open_source"]

SUMMARY = "PKU-MMD part 2: a folder or zip archive with skeletons, labels and split lists"
PUBLISHED = Published(CREDIT, len(V2.classes), {"all": V2.instances})


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open part 2 of PKU-MMD; see `open_release`."""
    return open_release(V2, path, options)
