"""The housing as geometry: a square flange with a bearing boss, screws, holes and a plug, in millimetres.

The part stands on the plane z = 0 with its axis on the z axis. Its four flat walls look south (-y), east (+x),
north (+y) and west (-x), each towards one side camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rendering.mesh import Array, Mesh, band, circle, disc, face, merge, moved, ring

__all__ = ["HOLES", "SCREWS", "Changes", "Chip", "Dent", "Dimensions", "Face", "Solid", "build", "faces"]

Solid = tuple[str, Mesh]
"""The name of a material and the surface that is made of it."""

SCREWS = {"screw_1": (33.0, 33.0), "screw_2": (-33.0, 33.0), "screw_3": (-33.0, -33.0), "screw_4": (33.0, -33.0)}
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
            return np.asarray(self.origin + flat[..., :1] * self.x_axis + flat[..., 1:] * self.y_axis + height * normal)
        angle = flat[..., :1] / self.radius_mm
        outward = np.concatenate([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
        return np.asarray(self.origin + flat[..., 1:] * Z + (self.radius_mm + height) * outward)

    def is_clear(self, flat: Array, margin_mm: float) -> bool:
        """Whether all points (n, 2) stay that far inside the face and off its features."""
        if np.any(flat < np.asarray(self.low) + margin_mm) or np.any(flat > np.asarray(self.high) - margin_mm):
            return False
        return all(
            np.all(np.hypot(flat[:, 0] - x, flat[:, 1] - y) > radius + margin_mm) for x, y, radius in self.keep_out
        )


@dataclass(frozen=True, kw_only=True)
class Dent:
    """A bowl pressed into a flat face: centre (2,) in its axes, heights on a polar grid (rows from the rim)."""

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
    """How a part differs from a good one."""

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
    for name, turn in (("south", 0), ("east", 1), ("north", 2), ("west", 3)):
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


def build(dims: Dimensions, changes: Changes) -> list[Solid]:
    """The whole part, with its changes, as surfaces by material."""
    solids = [
        *_flange(dims, changes),
        *_edge(dims, changes.chip),
        *_boss(dims),
        *_insert(dims),
        *_plug(dims, changes),
        *changes.added,
    ]
    for index, (name, centre) in enumerate(SCREWS.items()):
        if name not in changes.omitted:
            turn, lift = dims.screw_turns[index], dims.screw_lifts[index]
            solids += _screw(np.array([*centre, dims.plate + lift]), turn)
    by_material: dict[str, list[Mesh]] = {}
    for material, mesh in solids:
        by_material.setdefault(material, []).append(mesh)
    return [(material, merge(meshes)) for material, meshes in by_material.items()]


def outline(dims: Dimensions) -> tuple[Array, Array]:
    """The flange's rounded square (n, 2), anticlockwise from its south wall, and its outward normals (n, 2)."""
    half, radius = dims.side / 2, dims.corner
    straight = np.linspace(-half + radius, half - radius, STRAIGHT_POINTS, endpoint=False)
    angle = np.linspace(-np.pi / 2, 0.0, CORNER_POINTS, endpoint=False)
    normals = np.concatenate(
        [np.tile([[0.0, -1.0]], (STRAIGHT_POINTS, 1)), np.stack([np.cos(angle), np.sin(angle)], axis=1)]
    )
    points = np.concatenate(
        [np.stack([straight, np.full_like(straight, -half)], axis=1), half - radius + radius * normals[STRAIGHT_POINTS:]]
    )
    points[STRAIGHT_POINTS:, 1] -= 2 * (half - radius)
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([points @ turn for turn in turns]), np.concatenate([normals @ turn for turn in turns])


def _edge_rings(dims: Dimensions, chip: Chip | None) -> tuple[Array, Array]:
    """The lower and upper ring (n, 3) of the flange's chamfer, with the chip taken out."""
    points, normals = outline(dims)
    profile = np.zeros(len(points)) if chip is None else chip.profile
    inset, drop = (0.0, 0.0) if chip is None else (chip.inset_mm, chip.drop_mm)
    lower = np.column_stack([points, dims.plate - dims.chamfer - drop * profile])
    upper = np.column_stack(
        [points - normals * (dims.chamfer + inset * profile)[:, None], np.full(len(points), dims.plate)]
    )
    return lower, upper


def _edge(dims: Dimensions, chip: Chip | None) -> list[Solid]:
    """The chamfer round the flange; where it is chipped, the broken surface instead."""
    whole = band([ring(points[:, :2], points[:, 2]) for points in _edge_rings(dims, None)])
    if chip is None:
        return [("milled", whole)]
    count = len(chip.profile)
    gone = np.flatnonzero(chip.profile > 0)
    kept = ~np.isin(whole.triangles % (count + 1) % count, gone).any(axis=1)  # columns of a closed band
    order = np.roll(np.arange(count), count // 2 - int(np.argmax(chip.profile)))
    broken = np.flatnonzero(chip.profile[order] > 0)
    columns = order[int(broken[0]) - 1 : int(broken[-1]) + 2]
    lower, upper = _edge_rings(dims, chip)
    share = np.linspace(0.0, 1.0, len(chip.roughness_mm))[:, None, None]
    inward = np.column_stack([-outline(dims)[1][columns], np.full(len(columns), -0.7)])
    rows = lower[columns] * (1 - share) + upper[columns] * share + chip.roughness_mm[:, columns, None] * inward
    return [("milled", replace(whole, triangles=whole.triangles[kept])), ("fracture", band(rows))]


def _flange(dims: Dimensions, changes: Changes) -> list[Solid]:
    lower, upper = _edge_rings(dims, changes.chip)
    regions, solids, cut = faces(dims), [], []
    for name, (x, y, radius) in HOLES.items():
        if name not in changes.omitted:
            cut.append(circle(radius + dims.hole_excess + 0.5, centre=(x, y), count=28))
            solids += _hole(radius + dims.hole_excess, np.array([x, y, dims.plate]), 9.0)
    for x, y in SCREWS.values():
        cut.append(circle(6.4, centre=(x, y)))
        solids += _spot_face(np.array([x, y, dims.plate]))
    cut.append(_slot(0.0))
    solids += _pocket(dims)
    cut.append(circle(dims.boss_radius + dims.fillet, count=96))
    cut += _dent_rim(changes.dent, "flange")
    top = regions["flange"]
    solids.append(("milled", face(upper[:, :2], cut, top.origin * Z, top.x_axis, top.y_axis)))
    solids += _walls(dims, changes, regions, lower)
    if changes.dent is not None:
        dent, under = changes.dent, regions[changes.dent.face]
        bowl = disc(dent.radius_mm, dent.height_mm, under.origin, under.x_axis, under.y_axis, centre=dent.centre)
        solids.append(("milled" if dent.face == "flange" else "sawn", bowl))
    return solids


def _walls(dims: Dimensions, changes: Changes, regions: dict[str, Face], lower: Array) -> list[Solid]:
    solids: list[Solid] = []
    half = dims.side / 2 - dims.corner
    closed = np.vstack([lower, lower[:1]])
    step = STRAIGHT_POINTS + CORNER_POINTS
    for turn, name in enumerate(("south", "east", "north", "west")):
        region, start = regions[name], turn * step
        top = closed[start : start + STRAIGHT_POINTS + 1]
        along = np.linspace(-half, half, len(top))
        rim = np.vstack([[[-half, 0.0], [half, 0.0]], np.column_stack([along, top[:, 2]])[::-1]])
        cut = _dent_rim(changes.dent, name)
        if name == "east":
            cut.append(circle(PORT[2] + 0.5, centre=PORT[:2], count=28))
        if name == "south":
            cut.append(circle(PLUG[2] - 0.6, centre=PLUG[:2], count=28))
        solids.append(("sawn", face(rim, cut, region.origin, region.x_axis, region.y_axis)))
        corner = closed[start + STRAIGHT_POINTS : start + step + 1]
        solids.append(("sawn", band([corner * [1.0, 1.0, 0.0], corner])))
    return solids


def _dent_rim(dent: Dent | None, name: str) -> list[Array]:
    if dent is None or dent.face != name:
        return []
    return [circle(dent.radius_mm, centre=tuple(dent.centre), count=dent.height_mm.shape[1] - 1)]


def _turned(profile: Sequence[tuple[float, float]], *, count: int = 96) -> Mesh:
    """A surface of revolution about z; profile points are (radius, z), each step a sharp-edged band."""
    rings = [ring(circle(radius, count=count), height) for radius, height in profile]
    return merge([band(pair) for pair in zip(rings[:-1], rings[1:], strict=True)])


def _boss(dims: Dimensions) -> list[Solid]:
    angle = np.linspace(np.pi / 2, 0.0, 6)
    outer = dims.boss_radius
    fillet = [
        ring(
            circle(outer + dims.fillet * (1 - np.cos(a)), count=96),
            dims.plate + dims.fillet * (1 - np.sin(a)),
        )
        for a in angle
    ]
    wall = band([*fillet, ring(circle(outer, count=96), dims.height - 1.0)])
    top = _turned([(outer, dims.height - 1.0), (outer - 1.0, dims.height), (21.4, dims.height), (20.6, dims.height - 0.8)])
    return [("cast", wall), ("turned", top), ("turned", _turned([(20.6, dims.height - 0.8), (20.6, dims.height - 4.0)]))]


def _insert(dims: Dimensions) -> list[Solid]:
    """The sealed bearing that is pressed into the boss."""
    top, bore = dims.height - dims.insert_recess, dims.insert_bore
    races = [
        _turned([(20.55, top - 0.5), (20.1, top), (17.6, top), (17.4, top - 0.9)]),
        _turned([(bore + 2.7, top - 0.9), (bore + 2.5, top), (bore + 0.5, top), (bore, top - 0.5), (bore, 0.0)]),
    ]
    seal = _turned([(17.4, top - 0.9), (16.6, top - 0.5), (bore + 3.4, top - 0.5), (bore + 2.7, top - 0.9)])
    return [("race", merge(races)), (dims.seal, seal)]


def _hole(radius: float, centre: Array, depth_mm: float) -> list[Solid]:
    """A countersunk blind hole that goes straight down from its centre."""
    sides = _turned([(radius + 0.5, 0.0), (radius, -0.5), (radius, -depth_mm)], count=28)
    floor = face(circle(radius, count=28), [], -depth_mm * Z, np.eye(3)[0], np.eye(3)[1])
    return [("bore", moved(merge([sides, floor]), np.eye(3), centre))]


def _spot_face(centre: Array) -> list[Solid]:
    """The turned seat of a screw, with its through hole."""
    seat = _turned([(6.4, 0.0), (6.4, -0.4), (3.4, -0.4), (3.4, -centre[2])], count=32)
    return [("turned", moved(seat, np.eye(3), centre))]


def _slot(inset_mm: float) -> Array:
    x, y, long, wide = POCKET
    angle = np.linspace(-np.pi / 2, np.pi / 2, 14)
    end = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (wide / 2 - inset_mm)
    return np.concatenate([end + (long / 2, 0.0), -end - (long / 2, 0.0)]) + (x, y)


def _pocket(dims: Dimensions) -> list[Solid]:
    rows = [ring(_slot(0.0), dims.plate), ring(_slot(0.4), dims.plate - 0.4), ring(_slot(0.4), dims.plate - 4.0)]
    sides = merge([band(rows[:2]), band(rows[1:])])
    floor = face(_slot(0.4), [], np.array([0.0, 0.0, dims.plate - 4.0]), np.eye(3)[0], np.eye(3)[1])
    return [("milled", merge([sides, floor]))]


def _screw(seat: Array, turn: float) -> list[Solid]:
    """A socket head screw standing on its seat; the hexagon is turned by that many radians."""
    side = _turned([(5.0, -0.4), (5.0, 4.6), (4.5, 5.2)], count=32)
    hexagon = circle(2.6, count=6) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    top = face(circle(4.5, count=32), [hexagon], 5.2 * Z, np.eye(3)[0], np.eye(3)[1])
    corners = ring(hexagon, 5.2)
    walls = [band([corners[k : k + 2], corners[k : k + 2] - 3.0 * Z]) for k in range(6)]
    floor = face(hexagon, [], 2.2 * Z, np.eye(3)[0], np.eye(3)[1])
    return [
        ("black_steel", moved(merge([side, top]), np.eye(3), seat)),
        ("socket", moved(merge([*walls, floor]), np.eye(3), seat)),
    ]


def _plug(dims: Dimensions, changes: Changes) -> list[Solid]:
    """The brass plug of the south wall, or the open hole behind it, and the open hole of the east wall."""
    to_wall = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # z now looks south
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    half = dims.side / 2
    solids = [
        ("bore", moved(mesh, quarter @ to_wall, np.array([half, PORT[0], PORT[1]])))
        for _, mesh in _hole(PORT[2], np.zeros(3), 12.0)
    ]
    place = np.array([PLUG[0], -half, PLUG[1]])
    if "plug" in changes.omitted:
        return solids + [("bore", moved(mesh, to_wall, place)) for _, mesh in _hole(PLUG[2] - 1.1, np.zeros(3), 12.0)]
    hexagon = circle(2.0, count=6)
    collar = _turned([(PLUG[2], 0.0), (PLUG[2], 0.8), (PLUG[2] - 0.4, 1.2)], count=28)
    lid = face(circle(PLUG[2] - 0.4, count=28), [hexagon], 1.2 * Z, np.eye(3)[0], np.eye(3)[1])
    corners = ring(hexagon, 1.2)
    walls = [band([corners[k : k + 2], corners[k : k + 2] - 2.0 * Z]) for k in range(6)]
    floor = face(hexagon, [], -0.8 * Z, np.eye(3)[0], np.eye(3)[1])
    return [*solids, ("brass", moved(merge([collar, lid, *walls, floor]), to_wall, place))]
