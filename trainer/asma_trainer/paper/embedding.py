"""t-SNE: features in the plane, neighbours beside each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from asma_edge.extras import require
from asma_trainer.evaluation.scores import Scores
from asma_trainer.pages.axes import Floats

_PERPLEXITY = 30.0  # about how many neighbours a point has; scikit-learn's default


def require_tsne() -> Any:
    """scikit-learn's module that has it.

    Raises:
        ExtraMissingError: scikit-learn is not installed.
    """
    return require("sklearn.manifold", "figures")


def in_the_plane(features_ND: Scores, seed: int) -> Floats:
    """(N, 2) places by t-SNE (van der Maaten and Hinton, 2008), from the first two principal components on.

    Raises:
        ExtraMissingError: scikit-learn is not installed.
    """
    perplexity = min(_PERPLEXITY, (len(features_ND) - 1) / 3)
    model = require_tsne().TSNE(n_components=2, perplexity=perplexity, init="pca", random_state=seed)
    return np.asarray(model.fit_transform(features_ND), dtype=np.float64)
