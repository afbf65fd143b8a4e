"""Five calibrated viewpoints, one from above and four in a ring, and the file that describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rendering.mesh import Array

__all__ = ["VIEWPOINTS", "Viewpoint", "calibration", "write_calibration"]

DISTANCE_MM = 430.0
RING_ELEVATION_DEG = 36.0


@dataclass(frozen=True, kw_only=True)
class Viewpoint:
    """A pinhole camera: where it stands, what it looks at, and how much of the part it sees, all in mm."""

    name: str
    position: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float]
    field_mm: float

    @property
    def distance_mm(self) -> float:
        """From the lens to the point looked at."""
        return float(np.linalg.norm(np.subtract(self.position, self.target)))

    @property
    def view_angle_deg(self) -> float:
        """The field of view, alike in height and width."""
        return float(np.degrees(2 * np.arctan(self.field_mm / 2 / self.distance_mm)))

    def intrinsics(self, size: int) -> Array:
        """The camera matrix (3, 3) for square images of that side, in pixels; pixel centres are integers."""
        focal = size * self.distance_mm / self.field_mm
        centre = (size - 1) / 2
        return np.array([[focal, 0.0, centre], [0.0, focal, centre], [0.0, 0.0, 1.0]])

    def extrinsics(self) -> tuple[Array, Array]:
        """Rotation (3, 3) and translation (3,) from tray to camera axes: x right, y down, z ahead."""
        ahead = np.subtract(self.target, self.position) / self.distance_mm
        right = np.cross(ahead, self.up)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(ahead, right), ahead])
        return rotation, -rotation @ np.asarray(self.position)

    def heights_mm(self, depth_mm: NDArray[np.float32]) -> Array:
        """Height above the tray of every pixel of a square depth picture (n, n)."""
        size = len(depth_mm)
        rotation, translation = self.extrinsics()
        inverse = np.linalg.inv(self.intrinsics(size))
        across, down = np.meshgrid(np.arange(size), np.arange(size))
        rays = np.stack([across, down, np.ones_like(across)], axis=-1) @ inverse.T
        seen = rays * depth_mm[..., None] - translation
        return np.asarray(seen @ rotation[:, 2], float)


def _ring_view(
    name: str, azimuth_deg: float, elevation_deg: float, aim: tuple[float, float, float]
) -> Viewpoint:
    azimuth, elevation = np.radians([azimuth_deg, elevation_deg])
    reach = DISTANCE_MM * np.cos(elevation)
    position = (
        float(reach * np.cos(azimuth)),
        float(reach * np.sin(azimuth)),
        float(DISTANCE_MM * np.sin(elevation)),
    )
    return Viewpoint(name=name, position=position, target=aim, up=(0.0, 0.0, 1.0), field_mm=112.0)


# No camera is mounted exactly where the drawing puts it: the odd numbers are these cameras' measured places.
VIEWPOINTS = (
    Viewpoint(
        name="C1",
        position=(1.2, -0.8, DISTANCE_MM + 25.0),
        target=(0.3, 0.2, 20.0),
        up=(0.003, 1.0, 0.0),
        field_mm=104.0,
    ),
    _ring_view("C2", -90.6, RING_ELEVATION_DEG + 0.4, (0.4, 0.0, 13.0)),
    _ring_view("C3", 0.5, RING_ELEVATION_DEG - 0.6, (0.0, -0.6, 13.4)),
    _ring_view("C4", 89.3, RING_ELEVATION_DEG + 0.2, (-0.3, 0.0, 12.7)),
    _ring_view("C5", 180.8, RING_ELEVATION_DEG - 0.3, (0.0, 0.5, 13.2)),
)


def calibration(size: int) -> dict[str, Any]:
    """All cameras' intrinsics and extrinsics for square images of that side, as a JSON document."""
    cameras = {}
    for view in VIEWPOINTS:
        rotation, translation = view.extrinsics()
        cameras[view.name] = {
            "camera_matrix": view.intrinsics(size).tolist(),
            "distortion": [0.0] * 5,
            "rotation": rotation.tolist(),
            "translation_mm": translation.tolist(),
        }
    return {
        "image_size": [size, size],
        "unit": "mm",
        "convention": "x_camera = rotation @ x_tray + translation_mm; camera axes: x right, y down, z ahead; "
        "tray axes: z up, origin below the middle of the part's nominal place",
        "cameras": cameras,
    }


def write_calibration(path: Path, size: int) -> None:
    """Write `calibration` as a file."""
    path.write_text(json.dumps(calibration(size), indent=2) + "\n", encoding="utf-8")
