"""The formats by name; the module of one is imported when it is used."""

from __future__ import annotations

import importlib
from typing import cast

from asma_trainer.data.dataset import DatasetInfo
from asma_trainer.errors import DataError, look_up
from asma_trainer.formats.base import Format, Published

# Names as typed by the user, and the modules that read them; a module is imported when its format is used.
FORMATS: dict[str, str] = {
    "seq-npz": "asma_trainer.formats.seq_npz",
    "ctrgcn-npz": "asma_trainer.formats.ctrgcn_npz",
    "xnpy": "asma_trainer.formats.xnpy",
    "pyskl-pkl": "asma_trainer.formats.pyskl_pkl",
    "openpose-json": "asma_trainer.formats.openpose_json",
    "mediapipe-json": "asma_trainer.formats.mediapipe_json",
    "coco-json": "asma_trainer.formats.coco_json",
    "csv": "asma_trainer.formats.table",
    "jsonl": "asma_trainer.formats.table",
    "bvh": "asma_trainer.formats.bvh",
    "ntu60": "asma_trainer.formats.ntu60",
    "ntu120": "asma_trainer.formats.ntu120",
    "nw-ucla": "asma_trainer.formats.nw_ucla",
    "utd-mhad": "asma_trainer.formats.utd_mhad",
    "irds": "asma_trainer.formats.irds",
    "pku-mmd-v1": "asma_trainer.formats.pku_mmd_v1",
    "pku-mmd-v2": "asma_trainer.formats.pku_mmd_v2",
    "utkinect": "asma_trainer.formats.utkinect",
    "ui-prmd": "asma_trainer.formats.ui_prmd",
    "hdm05": "asma_trainer.formats.hdm05",
}


def load_format(name: str) -> Format:
    """The reader of a format.

    Raises:
        DataError: no format has this name.
    """
    hint = "`asma-data import --help` tells what each format is"
    return cast(Format, importlib.import_module(look_up(FORMATS, name, "unknown format", hint, DataError)))


def published_of(info: DatasetInfo) -> Published | None:
    """The published data set that a description is of, by its source and classes; None: of none that is known."""
    for name in FORMATS:
        published: Published | None = getattr(load_format(name), "PUBLISHED", None)
        if published is not None and (published.credit, published.classes) == (info.source, len(info.classes)):
            return published
    return None
