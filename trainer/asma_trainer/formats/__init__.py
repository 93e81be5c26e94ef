"""Readers of skeleton formats, one a module, and the one way from any of them to a prepared data set.

A format's module offers three things, and is listed in `registry.FORMATS`:

    SUMMARY            one line for ``asma-data import --help``
    add_arguments      its own command-line options, added to an argparse parser (may add none)
    open_source        (path, options) -> Source

A `Source` describes the data set first and yields its clips one at a time, so a data set larger than memory
passes through; splits are asked for afterwards, when it is known which clips there are.
"""

from asma_trainer.formats.base import Assumed, ImportOptions, ImportReport, Omitted, Source
from asma_trainer.formats.importing import import_dataset, import_source
from asma_trainer.formats.registry import FORMATS, load_format

__all__ = [
    "FORMATS",
    "Assumed",
    "ImportOptions",
    "ImportReport",
    "Omitted",
    "Source",
    "import_dataset",
    "import_source",
    "load_format",
]
