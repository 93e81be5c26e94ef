"""HTML pages with nothing to fetch: markup, charts, player, and the values that they show."""

from asma_trainer.pages.player import write_playback
from asma_trainer.pages.values import Confusion, Curve, Event, Playback, Segment

__all__ = ["Confusion", "Curve", "Event", "Playback", "Segment", "write_playback"]
