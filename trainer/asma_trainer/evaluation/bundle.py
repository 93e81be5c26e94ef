"""How a converted bundle does on a data set: every clip through the device's own `Recognizer`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from asma_edge import Recognizer
from asma_trainer.data.dataset import IntArray, PreparedDataset
from asma_trainer.data.windows import bodies
from asma_trainer.errors import DataError
from asma_trainer.evaluation.scores import Scores


def bundle_scores(
    recognizer: Recognizer,
    dataset: PreparedDataset,
    clips: IntArray,
    watch: Callable[[IntArray], Iterator[int]] = iter,
) -> Scores:
    """(N, K) fused scores of whole clips; people of a clip are averaged.

    Args:
        recognizer: of a bundle made for this data set's layout and classes.
        watch: wraps the clip numbers, to show progress.

    Raises:
        DataError: the bundle's classes are not the data set's.
        PoseError: the poses do not fit the bundle.
    """
    if tuple(recognizer.info.labels) != dataset.info.classes:
        raise DataError(
            f"bundle '{recognizer.info.name}' was not made for '{dataset.path}'",
            expected=", ".join(dataset.info.classes),
            got=", ".join(recognizer.info.labels),
            hint="evaluate it on the data it was trained for",
        )
    return np.stack(
        [
            np.mean(
                [recognizer.predict(p, dataset.info.fps, whole=True).scores for p in bodies(dataset.clip(int(clip)))],
                axis=0,
            )
            for clip in watch(clips)
        ]
    ).astype(np.float32)
