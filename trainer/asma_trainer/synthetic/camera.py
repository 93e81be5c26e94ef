"""Virtual cameras: a 3D clip as a camera beside the person would see it, in pixels and depth.

A camera keeps its direction, lens, tilt and picture; where in its view a person stands, and how they are turned,
differs from clip to clip. Directions are measured from where the person faces, so any source will do, whatever
its axes are, as long as y points up and left is left.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asma_edge.skeleton import Layout

Array = npt.NDArray[np.float64]

_NEAREST = 0.3  # metres in front of the lens; nearer joints are not seen
_PICTURES = ((640, 480), (1280, 720), (480, 640), (640, 640))
_TURN, _SHIFT = 10.0, 0.25  # degrees, metres: how differently people stand before the same camera


@dataclass(frozen=True)
class VirtualCamera:
    """One camera.

    Attributes:
        name: such as ``train03``; the word before the number says what the camera is for.
        azimuth: degrees from the direction a person faces, positive towards their left.
        elevation: degrees above the horizon through the person's hips.
        roll: degrees about the optical axis.
        field: vertical field of view in degrees.
        span: metres from the bottom to the top of the picture where the person stands.
        width, height: of the picture in pixels.
    """

    name: str
    azimuth: float
    elevation: float
    roll: float
    field: float
    span: float
    width: int
    height: int

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return float(self.height / 2 / np.tan(np.radians(self.field) / 2))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)


def draw_cameras(
    prefix: str, count: int, azimuth: float, elevation: tuple[float, float], seed: tuple[int, ...]
) -> list[VirtualCamera]:
    """``count`` random cameras within ±``azimuth`` degrees, one in each of as many equal sectors."""
    random = np.random.default_rng(seed)
    cameras = []
    for number in range(count):
        sector = -1 + 2 * (number + random.random()) / count
        width, height = _PICTURES[random.integers(len(_PICTURES))]
        cameras.append(
            VirtualCamera(
                name=f"{prefix}{number:02d}",
                azimuth=round(azimuth * sector, 2),
                elevation=round(random.uniform(*elevation), 2),
                roll=round(random.normal(0.0, 2.0), 2),
                field=round(random.uniform(35.0, 65.0), 2),
                span=round(random.uniform(2.7, 4.5), 2),
                width=width,
                height=height,
            )
        )
    return cameras


def facing(poses: Array, layout: Layout) -> Array:
    """(T, 3) horizontal unit vectors: where a person (T, V, 3) faces, from the shoulders; NaN where they are unseen."""
    left, right = layout.indices(("left_shoulder", "right_shoulder"))
    across = poses[:, right] - poses[:, left]
    forward = np.stack([across[:, 2], np.zeros(len(poses)), -across[:, 0]], axis=-1)  # up x across
    length = np.linalg.norm(forward, axis=-1, keepdims=True)
    direction: Array = np.divide(forward, length, out=np.full_like(forward, np.nan), where=length > 1e-6)
    return direction


def in_front(poses: Array, layout: Layout, random: np.random.Generator) -> Array:
    """Move a clip (T, M, V, 3) so that the first person stands near the origin and faces +z, give or take.

    People who are not the first keep their place relative to the first.
    """
    hips = list(layout.indices(("left_hip", "right_hip")))
    first = poses[:, 0]
    place = _mean(first[:, hips].reshape(-1, 3))
    heading = _mean(facing(first, layout))
    angle = np.arctan2(heading[0], heading[2]) + np.radians(random.uniform(-_TURN, _TURN))
    shift = random.uniform(-_SHIFT, _SHIFT, 3) * (1, 0.3, 1)
    x, y, z = np.moveaxis(poses - place, -1, 0)
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([x * cosine - z * sine, y, z * cosine + x * sine], axis=-1) + shift


def _mean(rows: Array) -> Array:
    """(3,) mean of the rows (n, 3) without NaN; zeros where there is none."""
    rows = rows[~np.isnan(rows).any(axis=-1)]
    return rows.mean(axis=0) if len(rows) else np.zeros(3)


def project(poses: Array, camera: VirtualCamera) -> tuple[Array, Array]:
    """Points (..., 3) in metres, as `in_front` leaves them, in the camera's picture.

    Returns:
        pixels (..., 2), x to the right and y down from the picture's upper left corner, and depth (...) in metres;
        both NaN for points that are missing or not in front of the lens. Points beside the picture keep their place.
    """
    azimuth, elevation, roll = np.radians([camera.azimuth, camera.elevation, camera.roll])
    # The person faces +z, so their left is at +x: a camera at a positive azimuth stands to their left.
    towards = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    down = np.cross(right, towards)
    right, down = right * np.cos(roll) + down * np.sin(roll), down * np.cos(roll) - right * np.sin(roll)
    distance = camera.span / (2 * np.tan(np.radians(camera.field) / 2))
    depth = distance - poses @ towards
    depth = np.where(depth > _NEAREST, depth, np.nan)
    pixels = np.stack([poses @ right, poses @ down], axis=-1) * (camera.focal / depth)[..., None]
    middle = np.array([camera.width / 2, camera.height / 2])
    return pixels + middle, depth
