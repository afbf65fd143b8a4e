"""The housing's drawing: its sizes, where its features sit, and the ways in which a part may depart from it.

The part stands on the plane z = 0 with its axis on the z axis. Its four flat walls look south (-y), east
(+x), north (+y) and west (-x), each towards one side camera. All lengths are millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rendering.mesh import Array, Mesh

__all__ = [
    "HOLES",
    "PLUG",
    "POCKET",
    "PORT",
    "SCREWS",
    "STRAIGHT_POINTS",
    "WALLS",
    "Changes",
    "Chip",
    "Dent",
    "Dimensions",
    "Face",
    "Solid",
    "faces",
    "outline",
]

Solid = tuple[str, Mesh]
"""The name of a material and the surface that is made of it."""

SCREWS = {
    "screw_1": (33.0, 33.0),
    "screw_2": (-33.0, 33.0),
    "screw_3": (-33.0, -33.0),
    "screw_4": (33.0, -33.0),
}
HOLES = {
    "dowel_east": (38.0, 0.0, 2.6),
    "dowel_west": (-38.0, 0.0, 2.6),
    "thread_left": (-9.0, -38.0, 2.1),
    "thread_right": (9.0, -38.0, 2.1),
}
"""Blind holes in the flange's upper side: x, y and radius in mm."""
PLUG = (17.0, 7.0, 4.2)
"""The brass plug in the south wall: position along the wall, height and radius in mm."""
PORT = (-14.0, 7.0, 3.0)
"""The cross hole in the east wall, likewise."""
POCKET = (0.0, 38.2, 22.0, 6.5)
"""The milled slot in the flange's upper side: centre, length and width in mm."""
WALLS = ("south", "east", "north", "west")
STRAIGHT_POINTS, CORNER_POINTS = 60, 18
Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Dimensions:
    """One part's own sizes in mm, within tolerance, and how its screws happen to be turned."""

    side: float = 90.0
    plate: float = 14.0
    corner: float = 12.0
    chamfer: float = 1.2
    boss_radius: float = 27.0
    height: float = 36.0
    fillet: float = 4.0
    hole_excess: float = 0.0
    insert_recess: float = 1.0
    insert_bore: float = 10.5
    seal: str = "seal_blue"
    screw_turns: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    screw_lifts: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Face:
    """A region of the surface with its own flat axes; `radius_mm` bends it round the z axis.

    `keep_out` are circles (x, y, radius) in the face's axes that belong to other features.
    """

    origin: Array
    x_axis: Array
    y_axis: Array
    low: tuple[float, float]
    high: tuple[float, float]
    keep_out: tuple[tuple[float, float, float], ...] = ()
    radius_mm: float | None = None

    def place(self, flat: Array, height_mm: float | Array = 0.0) -> Array:
        """Points (..., 2) in the face's axes and their height over it, as points (..., 3) in the part's."""
        height = np.asarray(height_mm, dtype=np.float64)[..., None]
        if self.radius_mm is None:
            normal = np.cross(self.x_axis, self.y_axis)
            return np.asarray(
                self.origin + flat[..., :1] * self.x_axis + flat[..., 1:] * self.y_axis + height * normal
            )
        angle = flat[..., :1] / self.radius_mm
        outward = np.concatenate([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
        return np.asarray(self.origin + flat[..., 1:] * Z + (self.radius_mm + height) * outward)

    def is_clear(self, flat: Array, margin_mm: float) -> bool:
        """Return True if all points (n, 2) keep this distance to the edge of the face and to its features."""
        if np.any(flat < np.asarray(self.low) + margin_mm) or np.any(
            flat > np.asarray(self.high) - margin_mm
        ):
            return False
        return all(
            np.all(np.hypot(flat[:, 0] - x, flat[:, 1] - y) > radius + margin_mm)
            for x, y, radius in self.keep_out
        )


@dataclass(frozen=True, kw_only=True)
class Dent:
    """A bowl pressed into a flat face: centre (2,) in its axes, heights on a polar grid, rim row first."""

    face: str
    centre: Array
    radius_mm: float
    height_mm: Array


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A piece broken off the flange's upper edge; `profile` (n,) is 0 where the edge is whole."""

    profile: Array
    inset_mm: float
    drop_mm: float
    roughness_mm: Array  # (rows, n)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Defects of a part."""

    omitted: frozenset[str] = frozenset()
    dent: Dent | None = None
    chip: Chip | None = None
    added: tuple[Solid, ...] = ()


def faces(dims: Dimensions) -> dict[str, Face]:
    """The regions that defects may lie on, by name."""
    half, flat_half = dims.side / 2, dims.side / 2 - dims.corner
    x, y, long, wide = POCKET
    slot = tuple((float(x + step), y, wide / 2) for step in np.linspace(-long / 2, long / 2, 7))
    top = Face(
        origin=np.array([0.0, 0.0, dims.plate]),
        x_axis=np.array([1.0, 0.0, 0.0]),
        y_axis=np.array([0.0, 1.0, 0.0]),
        low=(dims.chamfer - half, dims.chamfer - half),
        high=(half - dims.chamfer, half - dims.chamfer),
        keep_out=(
            (0.0, 0.0, dims.boss_radius + dims.fillet),
            *((*centre, 7.0) for centre in SCREWS.values()),
            *HOLES.values(),
            *slot,
        ),
    )
    result = {"flange": top}
    for turn, name in enumerate(WALLS):
        angle = turn * np.pi / 2
        along = np.array([np.cos(angle), np.sin(angle), 0.0])
        features = {"south": (PLUG,), "east": (PORT,)}.get(name, ())
        result[name] = Face(
            origin=np.cross(along, Z) * half,
            x_axis=along,
            y_axis=Z,
            low=(-flat_half, 0.0),
            high=(flat_half, dims.plate - dims.chamfer),
            keep_out=features,
        )
    result["boss"] = Face(
        origin=np.zeros(3),
        x_axis=np.array([0.0, 1.0, 0.0]),
        y_axis=Z,
        low=(-np.pi * dims.boss_radius, dims.plate + dims.fillet),
        high=(np.pi * dims.boss_radius, dims.height - 1.0),
        radius_mm=dims.boss_radius,
    )
    return result


def outline(dims: Dimensions) -> tuple[Array, Array]:
    """The flange's outline (n, 2), anticlockwise from its south wall, and its outward normals (n, 2)."""
    half, radius = dims.side / 2, dims.corner
    straight = np.linspace(-half + radius, half - radius, STRAIGHT_POINTS, endpoint=False)
    angle = np.linspace(-np.pi / 2, 0.0, CORNER_POINTS, endpoint=False)
    normals = np.concatenate(
        [np.tile([[0.0, -1.0]], (STRAIGHT_POINTS, 1)), np.stack([np.cos(angle), np.sin(angle)], axis=1)]
    )
    points = np.concatenate(
        [
            np.stack([straight, np.full_like(straight, -half)], axis=1),
            half - radius + radius * normals[STRAIGHT_POINTS:],
        ]
    )
    points[STRAIGHT_POINTS:, 1] -= 2 * (half - radius)
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([points @ turn for turn in turns]), np.concatenate(
        [normals @ turn for turn in turns]
    )
