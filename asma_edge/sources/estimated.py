"""Pictures and a pose estimator make a source of poses."""

from __future__ import annotations

from collections.abc import Iterator

from asma_edge.estimators.base import Estimator
from asma_edge.sources.frames import ImageSource, PoseFrame


class EstimatedPoses:
    """The poses that an estimator finds in each picture.

    Args:
        pictures: a camera or a video; closed with this source.
        estimator: closed with this source.
        many: follow several people, rather than the one who is seen best.
    """

    skipped = 0

    def __init__(self, pictures: ImageSource, estimator: Estimator, *, many: bool) -> None:
        self.name = pictures.name
        self._pictures, self._estimator, self._many = pictures, estimator, many

    @property
    def dropped(self) -> int:
        """Pictures that were left out because newer ones had come."""
        return self._pictures.dropped

    def __iter__(self) -> Iterator[PoseFrame]:
        for number, picture in enumerate(self._pictures, 1):
            poses, pixels = self._estimator(picture.image)
            if not self._many and len(poses) > 1:
                best = int(pixels[..., 2].sum(axis=1).argmax())
                poses, pixels = poses[best : best + 1], pixels[best : best + 1]
            yield PoseFrame(picture.t, list(poses), self._many, number, picture.image, list(pixels))

    def close(self) -> None:
        """Let go of the camera and the estimator."""
        self._pictures.close()
        self._estimator.close()
