"""One clip as an HTML page with a moving skeleton, to be opened in any browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asma_trainer.data.dataset import PreparedDataset
from asma_trainer.errors import DataError
from asma_trainer.pages.player import write_playback
from asma_trainer.pages.values import Playback, Segment

SUMMARY = "write one clip as a self-contained page with a moving skeleton"


def view_clip(dataset: PreparedDataset, clip: str, out: str | Path, person: int | None = None) -> dict[str, object]:
    """Write the page.

    Args:
        clip: its name, or its number.
        person: who to show; None: whoever is seen most.

    Returns:
        what the page says about the clip, JSON-ready.

    Raises:
        DataError: there is no such clip or person.
    """
    out = Path(out)
    number = _number(dataset, clip)
    poses = dataset.clip(number)
    seen = (~np.isnan(poses[..., :2]).any(axis=-1)).sum(axis=(0, 2))
    if person is None:
        person = int(seen.argmax())
    if not 0 <= person < dataset.people:
        raise DataError(
            f"'{dataset.path}' has no person {person}",
            expected=f"0 to {dataset.people - 1}",
            got=str(person),
            hint="leave --person out for whoever is seen most",
        )
    info, name, frames = dataset.info, str(dataset.name[number]), len(poses)
    label = dataset.class_of(number)
    t = np.arange(frames, dtype=np.float64) / info.fps
    missing = 1 - int(seen[person]) / (frames * info.layout.num_joints)
    facts = {
        "clip": f"{name} (number {number})",
        "class": label or "no label",
        "frames": f"{frames} at {info.fps:g} a second, {frames / info.fps:.1f} s",
        "layout": f"{info.layout.name}, {info.units}",
        "person": f"{person} of {dataset.people}",
        "missing joints": f"{missing:.1%}",
        "subject, camera, setup": ", ".join(
            "not stated" if value < 0 else str(value)
            for value in (dataset.subject[number], dataset.camera[number], dataset.setup[number])
        ),
        "splits": ", ".join(split for split, clips in dataset.splits.items() if number in clips) or "none",
        "source": info.source or "not stated",
        "licence": info.licence or "not stated",
    }
    playback = Playback(
        layout=info.layout,
        poses=np.asarray(poses[:, person]),
        t=t,
        scores=np.zeros((frames, 0), dtype=np.float32),
        labels=(),
        segments=(Segment(0.0, frames / info.fps, label),) if label else (),
        units=info.units,
    )
    write_playback(out, name, facts, playback)
    return {**facts, "out": str(out), "number": number, "person": person}


def _number(dataset: PreparedDataset, clip: str) -> int:
    named = np.flatnonzero(dataset.name == clip)
    if len(named):
        return int(named[0])
    if clip.isdecimal() and len(clip) < 12 and int(clip) < len(dataset):
        return int(clip)
    raise DataError(
        f"'{dataset.path}' has no clip '{clip}'",
        expected=f"a name such as '{dataset.name[0]}', or a number from 0 to {len(dataset) - 1}",
        got=repr(clip),
        hint="the names are in index.npz",
    )
