"""Which clips have labels, and which of them keep theirs where a recipe asks what few labels are worth."""

from __future__ import annotations

import numpy as np

from asma_trainer.data.dataset import UNLABELLED, IntArray, PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.recipe.sections import LabelsConfig


def labelled_split(dataset: PreparedDataset, name: str, setting: str = "") -> IntArray:
    """Clip numbers of a named split all of whose clips have labels; ``setting`` as in `PreparedDataset.split`.

    Raises:
        DataError: the split is unknown or empty, or a clip in it has no label.
    """
    clips = dataset.split(name, setting)
    without = clips[dataset.label[clips] == UNLABELLED]
    if len(without):
        raise DataError(
            f"split '{name}' of '{dataset.path}' has clips without labels",
            expected="a label for every clip, since what a model says is compared with it",
            got=f"{len(without)} of {len(clips)} clips without one, such as '{dataset.name[without[0]]}'",
            hint="name a split of labelled clips",
        )
    return clips


def labelled_clips(dataset: PreparedDataset, clips: IntArray, labels: LabelsConfig) -> IntArray:
    """The clips that have labels and keep them: of every class the same share or number, a seeded choice, ascending.

    A larger share or number of the same seed holds a smaller one's clips. Of a share, every class keeps one clip at
    least.

    Raises:
        DataError: a class has fewer clips than are asked for.
    """
    clips = clips[dataset.label[clips] != UNLABELLED]
    if not len(clips) or (labels.clips == 0 and labels.share == 1.0):
        return clips
    order = np.random.default_rng(labels.seed).permutation(clips)
    chosen = []
    for number in np.unique(dataset.label[clips]):
        of_class = order[dataset.label[order] == number]
        count = labels.clips or max(1, round(labels.share * len(of_class)))
        if count > len(of_class):
            raise DataError(
                f"class '{dataset.info.classes[number]}' has fewer training clips than are to keep their labels",
                expected=f"{count} clips or more",
                got=str(len(of_class)),
                hint="lower labels.clips",
            )
        chosen.append(of_class[:count])
    return np.sort(np.concatenate(chosen))
