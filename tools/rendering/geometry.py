"""The housing as surfaces by material: the flange with its edge and walls, and the features put on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rendering.drawing import (
    HOLES,
    PLUG,
    PORT,
    SCREWS,
    STRAIGHT_POINTS,
    WALLS,
    Changes,
    Chip,
    Dent,
    Dimensions,
    Face,
    Solid,
    faces,
    outline,
)
from rendering.features import blind_hole, boss, insert, plug, pocket, screw, slot, spot_face
from rendering.mesh import Array, Mesh, band, circle, disc, face, merge, ring

__all__ = ["build"]


def build(dims: Dimensions, changes: Changes) -> list[Solid]:
    """The whole part, with its changes, as surfaces by material."""
    solids = [
        *_flange(dims, changes),
        *_edge(dims, changes.chip),
        *boss(dims),
        *insert(dims),
        *plug(dims, changes),
        *changes.added,
    ]
    for index, (name, centre) in enumerate(SCREWS.items()):
        if name not in changes.omitted:
            turn, lift = dims.screw_turns[index], dims.screw_lifts[index]
            solids += screw(np.array([*centre, dims.plate + lift]), turn)
    by_material: dict[str, list[Mesh]] = {}
    for material, mesh in solids:
        by_material.setdefault(material, []).append(mesh)
    return [(material, merge(meshes)) for material, meshes in by_material.items()]


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
    rows = (
        lower[columns] * (1 - share) + upper[columns] * share + chip.roughness_mm[:, columns, None] * inward
    )
    return [("milled", replace(whole, triangles=whole.triangles[kept])), ("fracture", band(rows))]


def _flange(dims: Dimensions, changes: Changes) -> list[Solid]:
    lower, upper = _edge_rings(dims, changes.chip)
    regions, solids, cut = faces(dims), [], []
    for name, (x, y, radius) in HOLES.items():
        if name not in changes.omitted:
            cut.append(circle(radius + dims.hole_excess + 0.5, centre=(x, y), count=28))
            solids += blind_hole(radius + dims.hole_excess, np.array([x, y, dims.plate]), 9.0)
    for x, y in SCREWS.values():
        cut.append(circle(6.4, centre=(x, y)))
        solids += spot_face(np.array([x, y, dims.plate]))
    cut.append(slot(0.0))
    solids += pocket(dims)
    cut.append(circle(dims.boss_radius + dims.fillet, count=96))
    cut += _dent_rim(changes.dent, "flange")
    top = regions["flange"]
    solids.append(("milled", face(upper[:, :2], cut, top.origin, top.x_axis, top.y_axis)))
    solids += _walls(dims, changes, regions, lower)
    if changes.dent is not None:
        dent, under = changes.dent, regions[changes.dent.face]
        bowl = disc(
            dent.radius_mm, dent.height_mm, under.origin, under.x_axis, under.y_axis, centre=dent.centre
        )
        solids.append(("milled" if dent.face == "flange" else "sawn", bowl))
    return solids


def _walls(dims: Dimensions, changes: Changes, regions: dict[str, Face], lower: Array) -> list[Solid]:
    solids: list[Solid] = []
    half = dims.side / 2 - dims.corner
    closed = np.vstack([lower, lower[:1]])
    step = len(lower) // len(WALLS)
    for turn, name in enumerate(WALLS):
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
