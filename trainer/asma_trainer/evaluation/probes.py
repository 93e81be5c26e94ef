"""What frozen features are worth: a linear probe, and the nearest neighbour."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asma_trainer.data.dataset import IntArray
from asma_trainer.evaluation.scores import Scores
from asma_trainer.losses.classification import cross_entropy
from asma_trainer.recipe.recipe import Recipe


def linear_probe(train_ND: Scores, label_N: IntArray, test_ND: Scores, recipe: Recipe, classes: int) -> Scores:
    """(N', K) softmax scores of one linear layer trained on frozen features (standardised by the training set)."""
    mean, scale = train_ND.mean(axis=0), train_ND.std(axis=0) + 1e-6
    x = torch.from_numpy((train_ND - mean) / scale)
    torch.manual_seed(recipe.seed)
    layer = nn.Linear(x.shape[1], classes)
    optimiser = torch.optim.Adam(layer.parameters(), lr=recipe.evaluate.probe_lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.evaluate.probe_steps)
    label = torch.from_numpy(label_N)
    for _ in range(recipe.evaluate.probe_steps):
        optimiser.zero_grad()
        cross_entropy(layer(x), label).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    with torch.inference_mode():
        logits: Tensor = layer(torch.from_numpy((test_ND - mean) / scale))
        scores: Scores = logits.softmax(dim=1).numpy()
    return scores


def nearest_neighbour(train_ND: Scores, label_N: IntArray, test_ND: Scores, classes: int) -> Scores:
    """(N', K) one-hot label of the training clip with the largest cosine similarity (1-NN)."""
    a, b = F.normalize(torch.from_numpy(test_ND), dim=1), F.normalize(torch.from_numpy(train_ND), dim=1)
    nearest = (a @ b.T).argmax(dim=1).numpy()
    one_hot: Scores = np.eye(classes, dtype=np.float32)[label_N[nearest]]
    return one_hot
