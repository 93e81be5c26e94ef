"""Learning rates and seeds of steps."""

from __future__ import annotations

import math

from asma_trainer.recipe.sections import Schedule


def learning_rate(schedule: Schedule, step: int) -> float:
    """Rate of a step: linear from lr / 10 over the warm-up, then cosine to 0."""
    if step < schedule.warmup:
        return schedule.lr * (0.1 + 0.9 * step / schedule.warmup)
    progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def seed_of_work(seed: int, stage: str, unit: str) -> int:
    """The seed of all that a stage draws for a unit of its work."""
    return seed_of(seed, *f"{stage}/{unit}".encode())


def seed_of(*parts: int) -> int:
    """One 63-bit seed from several numbers (splitmix64, so that neighbours are unrelated)."""
    state = 0
    for part in parts:
        state = (state + part + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
