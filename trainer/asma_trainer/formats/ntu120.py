"""``ntu120``: see `asma_trainer.formats.ntu`."""

from __future__ import annotations

from pathlib import Path

from asma_trainer.formats import ImportOptions, Source
from asma_trainer.formats.base import Published
from asma_trainer.formats.ntu import NTU120, add_arguments, open_release

__all__ = ["PUBLISHED", "SUMMARY", "add_arguments", "open_source"]

SUMMARY = "NTU RGB+D 120: a folder or zip archive of .skeleton files"
PUBLISHED = Published(NTU120.credit, NTU120.classes, NTU120.published)


def open_source(path: Path, options: ImportOptions) -> Source:
    """Open NTU RGB+D 120; see `open_release`."""
    return open_release(NTU120, path, options)
