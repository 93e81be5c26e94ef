"""What every backbone offers: feature maps of bodies, with joints or frames left out where a method asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """Bodies in, feature maps out; a new one is one module and one line in `asma_trainer.models.registry`."""

    @property
    @abstractmethod
    def width(self) -> int:
        """D, channels of the feature maps."""

    @abstractmethod
    def features(self, x_PTVC: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """Feature maps (P, T', V', D).

        Args:
            x_PTVC: bodies: (people, frames, joints, channels).
            joints: (V',) the joints to keep; None: all of them.
            frames: (P, T') the frames to keep of each body, ascending; None: all of them.
        """

    def forward(self, x_PTVC: Tensor, joints: Tensor | None = None, frames: Tensor | None = None) -> Tensor:
        """As `features`."""
        return self.features(x_PTVC, joints, frames)


class Encoders(nn.ModuleDict):
    """The encoders of one stream by name, in the order of their method."""

    def __getitem__(self, name: str) -> Backbone:
        encoder = super().__getitem__(name)
        assert isinstance(encoder, Backbone)
        return encoder

    @property
    def width(self) -> int:
        """D of each of them."""
        return self[next(iter(self))].width
