"""Every stage of a recipe scored, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from asma_edge.fusion import FUSED
from asma_trainer.evaluation.evaluator import Evaluator
from asma_trainer.evaluation.metrics import Accuracy, confusion_matrix
from asma_trainer.evaluation.results import Results
from asma_trainer.evaluation.scores import Scores
from asma_trainer.stages.base import Past, Stage
from asma_trainer.stages.pretrain import PRETRAIN, score_pretrained


def score_stages(
    stages: Sequence[Stage], past: Past, evaluator: Evaluator, last: str, say: Callable[[str], None] | None = None
) -> tuple[Results, dict[str, Scores] | None]:
    """The results of finished stages, and the scores of the test clips by the students of the stage named ``last``.

    ``say`` is told of each probe and stage; None: a line on standard error.

    Raises:
        CheckpointError: a stage is not finished.
    """
    recipe, say = past.recipe, say or _say
    rows: list[Accuracy] = []
    if any(stage.encoders for stage in stages):
        say("linear probe of untrained encoders")
        untrained = {stream: past.untrained(stream) for stream in recipe.streams}
        rows += evaluator.probe(untrained, "untrained linear")
        if recipe.pretrain.source is not None and PRETRAIN not in stages:
            say(f"linear probe of the encoders of {recipe.pretrain.source}")
            rows += score_pretrained(evaluator, past)[0]
    confusion, kept = {}, None
    for stage in sorted(stages, key=lambda stage: stage.name == last):  # what student.pt holds comes last
        if stage.score is None:
            continue
        say(stage.scored)
        found, scores = stage.score(evaluator, past)
        rows += found
        if stage.students and scores is not None:
            counts = confusion_matrix(scores[FUSED], evaluator.label)
            confusion = {"labels": past.info.classes, "counts": counts.tolist()}
            kept = scores if stage.name == last else kept
    return Results(tuple(rows), confusion), kept


def _say(what: str) -> None:
    print(f"evaluate: {what}", file=sys.stderr, flush=True)
