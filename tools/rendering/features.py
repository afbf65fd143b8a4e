"""The housing's features as surfaces: boss, bearing, holes, pocket, screws and plug, in millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from rendering.drawing import PLUG, POCKET, PORT, Changes, Dimensions, Solid
from rendering.mesh import Array, Mesh, band, circle, face, merge, moved, ring

__all__ = ["blind_hole", "boss", "insert", "plug", "pocket", "screw", "slot", "spot_face"]

X, Y, Z = np.eye(3)


def turned(profile: Sequence[tuple[float, float]], *, count: int = 96) -> Mesh:
    """A surface of revolution about z; profile points are (radius, z), each step a sharp-edged band."""
    rings = [ring(circle(radius, count=count), height) for radius, height in profile]
    return merge([band(pair) for pair in pairwise(rings)])


def boss(dims: Dimensions) -> list[Solid]:
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
    top = turned(
        [
            (outer, dims.height - 1.0),
            (outer - 1.0, dims.height),
            (21.4, dims.height),
            (20.6, dims.height - 0.8),
        ]
    )
    return [
        ("cast", wall),
        ("turned", top),
        ("turned", turned([(20.6, dims.height - 0.8), (20.6, dims.height - 4.0)])),
    ]


def insert(dims: Dimensions) -> list[Solid]:
    """The sealed bearing that is pressed into the boss."""
    top, bore = dims.height - dims.insert_recess, dims.insert_bore
    races = [
        turned([(20.55, top - 8.0), (20.55, top - 0.5), (20.1, top), (17.6, top), (17.4, top - 0.9)]),
        turned(
            [(bore + 2.7, top - 0.9), (bore + 2.5, top), (bore + 0.5, top), (bore, top - 0.5), (bore, 0.0)]
        ),
    ]
    seal = turned([(17.4, top - 0.9), (16.6, top - 0.5), (bore + 3.4, top - 0.5), (bore + 2.7, top - 0.9)])
    return [("race", merge(races)), (dims.seal, seal)]


def blind_hole(radius: float, centre: Array, depth_mm: float) -> list[Solid]:
    """A countersunk blind hole that goes straight down from its centre."""
    sides = turned([(radius + 0.5, 0.0), (radius, -0.5), (radius, -depth_mm)], count=28)
    floor = face(circle(radius, count=28), [], -depth_mm * Z, X, Y)
    return [("bore", moved(merge([sides, floor]), np.eye(3), centre))]


def spot_face(centre: Array) -> list[Solid]:
    """The turned seat of a screw, with its through hole."""
    seat = turned([(6.4, 0.0), (6.4, -0.4), (3.4, -0.4), (3.4, -centre[2])], count=32)
    return [("turned", moved(seat, np.eye(3), centre))]


def slot(inset_mm: float) -> Array:
    x, y, long, wide = POCKET
    angle = np.linspace(-np.pi / 2, np.pi / 2, 14)
    end = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (wide / 2 - inset_mm)
    offset = np.array([long / 2, 0.0])
    return np.asarray(np.concatenate([end + offset, -end - offset]) + np.array([x, y]))


def pocket(dims: Dimensions) -> list[Solid]:
    rows = [ring(slot(0.0), dims.plate), ring(slot(0.4), dims.plate - 0.4), ring(slot(0.4), dims.plate - 4.0)]
    sides = merge([band(rows[:2]), band(rows[1:])])
    floor = face(slot(0.4), [], np.array([0.0, 0.0, dims.plate - 4.0]), X, Y)
    return [("milled", merge([sides, floor]))]


def screw(seat: Array, turn: float) -> list[Solid]:
    """A socket head screw standing on its seat; the hexagon is turned by that many radians."""
    side = turned([(5.0, -0.4), (5.0, 4.6), (4.5, 5.2)], count=32)
    hexagon = circle(2.6, count=6) @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    top = face(circle(4.5, count=32), [hexagon], 5.2 * Z, X, Y)
    corners = ring(hexagon, 5.2)
    walls = [band([corners[k : k + 2], corners[k : k + 2] - 3.0 * Z]) for k in range(6)]
    floor = face(hexagon, [], 2.2 * Z, X, Y)
    return [
        ("black_steel", moved(merge([side, top]), np.eye(3), seat)),
        ("socket", moved(merge([*walls, floor]), np.eye(3), seat)),
    ]


def plug(dims: Dimensions, changes: Changes) -> list[Solid]:
    """The brass plug of the south wall, or the open hole behind it, and the open hole of the east wall."""
    to_wall = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # z now looks south
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    half = dims.side / 2
    solids = [
        ("bore", moved(mesh, quarter @ to_wall, np.array([half, PORT[0], PORT[1]])))
        for _, mesh in blind_hole(PORT[2], np.zeros(3), 12.0)
    ]
    place = np.array([PLUG[0], -half, PLUG[1]])
    if "plug" in changes.omitted:
        return solids + [
            ("bore", moved(mesh, to_wall, place)) for _, mesh in blind_hole(PLUG[2] - 1.1, np.zeros(3), 12.0)
        ]
    hexagon = circle(2.0, count=6)
    collar = turned([(PLUG[2], 0.0), (PLUG[2], 0.8), (PLUG[2] - 0.4, 1.2)], count=28)
    lid = face(circle(PLUG[2] - 0.4, count=28), [hexagon], 1.2 * Z, X, Y)
    corners = ring(hexagon, 1.2)
    walls = [band([corners[k : k + 2], corners[k : k + 2] - 2.0 * Z]) for k in range(6)]
    floor = face(hexagon, [], -0.8 * Z, X, Y)
    return [*solids, ("brass", moved(merge([collar, lid, *walls, floor]), to_wall, place))]
