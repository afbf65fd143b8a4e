"""The defects: for each kind, one random instance as a change of the part's geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rendering.drawing import HOLES, SCREWS, Changes, Chip, Dent, Dimensions, Face, faces, outline
from rendering.mesh import Array, Mesh, band, circle, merge

__all__ = ["DEFECTS", "Defective", "draw_defect"]


@dataclass(frozen=True, kw_only=True)
class Defective:
    """A part's sizes and changes once the defect is in it."""

    dimensions: Dimensions
    changes: Changes


def draw_defect(kind: str, dims: Dimensions, rng: np.random.Generator) -> Defective:
    """One defect of that kind, a name of `DEFECTS`, on a part of these sizes."""
    return DEFECTS[kind](dims, rng)


def _scratch(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A groove with raised, bright sides on one face."""
    face = faces(dims)[str(rng.choice(["flange"] * 3 + ["boss", "south", "east", "north", "west"]))]
    length, width = rng.uniform(12.0, 30.0), rng.uniform(1.1, 1.7)
    flat_lying = _is_low(face)  # a long stroke does not fit across a wall
    share = np.linspace(-0.5, 0.5, 40)

    def propose() -> Array:
        angle = rng.normal(0.0, 0.22) if flat_lying else rng.uniform(0.0, np.pi)
        bend = rng.normal(0.0, 0.6) * 4 * (share**2 - 0.25)
        along = np.stack([share * length, bend + 0.12 * np.sin(share * rng.uniform(10.0, 30.0))], axis=1)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return np.asarray(along @ turn + _somewhere(face, rng))

    path = _on_face(face, propose, margin_mm=0.8)
    taper = np.sqrt(np.clip(1 - (2 * share) ** 4, 0.0, 1.0)) * width
    solids = _groove(face, path, taper)
    return Defective(dimensions=dims, changes=Changes(added=solids))


def _groove(face: Face, path: Array, width_mm: Array) -> tuple[tuple[str, Mesh], ...]:
    along = np.gradient(path, axis=0)
    left = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1)[:, None]
    half = width_mm[:, None] / 2
    rows = [
        face.place(path + side * half * left, height) for side, height in ((-1, 0.22), (0, 0.05), (1, 0.22))
    ]
    core = [face.place(path + side * half * 0.6 * left, 0.24) for side in (-1, 1)]
    return ("groove", merge([band(rows[:2]), band(rows[1:])])), ("dark_groove", band(core))


def _dent(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A bowl knocked into the flange's upper side or one wall."""
    name = str(rng.choice(["flange", "flange", "south", "east", "north", "west"]))
    face = faces(dims)[name]
    radius = rng.uniform(3.2, 5.0) if name == "flange" else rng.uniform(3.6, 5.0)
    centre = _on_face(face, lambda: _somewhere(face, rng)[None], margin_mm=radius + 0.6)[0]
    share = np.linspace(1.0, 0.0, 12)[:, None]
    angle = np.linspace(0.0, 2 * np.pi, 49)[None, :]
    lobes = 1 + 0.18 * np.cos(angle + rng.uniform(0, 6)) + 0.12 * np.cos(2 * angle + rng.uniform(0, 6))
    depth = rng.uniform(0.32, 0.45) * radius
    height = (1 - share**2) ** 1.5 * (-depth * lobes) + 0.9 * depth * share**6 * (1 - share) * 4
    dent = Dent(face=name, centre=centre, radius_mm=float(radius), height_mm=height)
    return Defective(dimensions=dims, changes=Changes(dent=dent))


def _missing(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A screw or the plug left out, or a hole not drilled."""
    group = [list(SCREWS), list(HOLES), ["plug"]][int(rng.integers(0, 3))]
    return Defective(dimensions=dims, changes=Changes(omitted=frozenset({str(rng.choice(group))})))


def _contamination(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A stain of oil, or a curl of swarf that sticks to the part."""
    if rng.random() < 0.5:
        face = faces(dims)[str(rng.choice(["flange", "flange", "south", "east", "north", "west", "boss"]))]
        return Defective(dimensions=dims, changes=Changes(added=(("oil", _stain(face, rng)),)))
    face = faces(dims)["flange"]
    return Defective(dimensions=dims, changes=Changes(added=(("swarf", _curl(face, rng)),)))


def _stain(face: Face, rng: np.random.Generator) -> Mesh:
    low = _is_low(face)
    radius = rng.uniform(2.4, 3.6) if low else rng.uniform(3.5, 6.0)
    stretch = rng.uniform(1.2, 1.9) if low else rng.uniform(0.8, 1.3)
    centre = _on_face(face, lambda: _somewhere(face, rng)[None], margin_mm=radius * 1.25)[0]
    angle = np.linspace(0.0, 2 * np.pi, 65)
    edge = np.ones_like(angle)
    for lobes in range(2, 7):
        edge += rng.normal(0.0, 0.16 / lobes) * np.cos(lobes * angle + rng.uniform(0, 6))
    unit = np.stack([np.cos(angle) * stretch, np.sin(angle) / stretch], axis=1)
    radii = np.linspace(1.0, 0.02, 6)[:, None, None] * radius * edge[None, :, None]
    return band(face.place(centre + radii * unit, 0.06 + 0.25 * (1 - np.linspace(1.0, 0.0, 6)[:, None] ** 2)))


def _curl(face: Face, rng: np.random.Generator) -> Mesh:
    """A helix of thin wire lying on the face."""
    coil, wire, turns = rng.uniform(1.1, 1.9), rng.uniform(0.28, 0.42), rng.uniform(2.5, 5.0)
    length, angle = rng.uniform(6.0, 12.0), rng.uniform(0.0, np.pi)
    share = np.linspace(0.0, 1.0, 72)
    ahead, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])

    def propose() -> Array:
        line = (share[:, None] - 0.5) * length * ahead + rng.normal(0.0, 0.5) * (share[:, None] ** 2) * aside
        return np.asarray(line + _somewhere(face, rng))

    line = _on_face(face, propose, margin_mm=coil + 0.5)
    phase = 2 * np.pi * turns * share + rng.uniform(0, 6)
    flat = line + coil * np.cos(phase)[:, None] * aside
    path = face.place(flat, coil + wire + coil * np.sin(phase))
    return _tube(path, wire * (0.6 + 0.4 * np.sin(np.pi * share)))


def _tube(path: Array, radius_mm: Array) -> Mesh:
    ahead = np.gradient(path, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    side = np.cross(ahead, [0.31, 0.17, 0.93])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, ahead)
    rim = np.vstack([circle(1.0, count=7), circle(1.0, count=7)[:1]])
    rows = path[:, None] + radius_mm[:, None, None] * (rim[:, :1] * side[:, None] + rim[:, 1:] * up[:, None])
    return band(rows)


def _chip(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A piece broken off the flange's upper edge, at a corner or along a side."""
    points, _ = outline(dims)
    steps = np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)[:-1]])
    total = float(steps.sum())
    width = rng.uniform(7.0, 14.0)
    away = (along - rng.uniform(0.0, total) + total / 2) % total - total / 2
    bump = np.clip(1 - (2 * away / width) ** 2, 0.0, 1.0) ** 0.6
    ragged = 1 + 0.22 * np.interp(along, np.linspace(0, total, 140), rng.standard_normal(140))
    inset = rng.uniform(1.6, 3.0)
    chip = Chip(
        profile=bump * np.clip(ragged, 0.5, 1.4),
        inset_mm=float(inset),
        drop_mm=float(inset * rng.uniform(1.0, 1.8)),
        roughness_mm=_broken_surface(bump, rng, depth_mm=0.25 * inset),
    )
    return Defective(dimensions=dims, changes=Changes(chip=chip))


def _broken_surface(bump: Array, rng: np.random.Generator, *, depth_mm: float) -> Array:
    rows = 6
    hollow = np.sin(np.pi * np.linspace(0.0, 1.0, rows))[:, None]
    return np.asarray(hollow * bump * depth_mm * (1 + 0.7 * rng.standard_normal((rows, len(bump)))))


def _wrong_insert(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A bearing with another seal or another bore, or one that was not pressed home."""
    choice = int(rng.integers(0, 3))
    if choice == 0:
        wrong = replace(dims, seal=str(rng.choice(["seal_black", "seal_red", "seal_green"])))
    elif choice == 1:
        wrong = replace(dims, insert_bore=float(rng.choice([7.6, 12.6])))
    else:
        wrong = replace(dims, insert_recess=float(rng.uniform(-2.4, -1.4)))
    return Defective(dimensions=wrong, changes=Changes())


def _burr(dims: Dimensions, rng: np.random.Generator) -> Defective:
    """A ragged lip of metal standing up at the rim of a hole."""
    x, y, radius = HOLES[str(rng.choice(list(HOLES)))]
    angle = np.linspace(0.0, rng.uniform(3.6, 6.2), 70) + rng.uniform(0.0, 2 * np.pi)
    fade = np.sin(np.linspace(0.0, np.pi, 70)) ** 0.4
    ragged = np.clip(1 + 0.45 * rng.standard_normal(70), 0.3, 2.0) * fade
    tall, lean = rng.uniform(1.2, 2.0) * ragged, rng.uniform(1.5, 2.3) * ragged
    base = radius + dims.hole_excess + 0.35
    unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    face = faces(dims)["flange"]
    rows = [
        face.place((x, y) + unit * (base + share * lean)[:, None], share**1.4 * tall)
        for share in (0.0, 0.5, 1.0)
    ]
    lip = merge([band(rows), band([row[::-1] for row in rows])])  # seen from both sides
    return Defective(dimensions=dims, changes=Changes(added=(("groove", lip),)))


def _is_low(face: Face) -> bool:
    return face.high[1] - face.low[1] < 20.0


def _somewhere(face: Face, rng: np.random.Generator) -> Array:
    """A random point (2,) of the face."""
    return rng.uniform(face.low, face.high)


def _on_face(face: Face, propose: Callable[[], Array], *, margin_mm: float) -> Array:
    """The first proposal (n, 2) that lies clear on the face."""
    for _ in range(2000):
        proposal = propose()
        if face.is_clear(proposal, margin_mm):
            return proposal
    raise RuntimeError(
        f"no free place of margin {margin_mm:.1f} mm; make the defect smaller or the face larger"
    )


DEFECTS: dict[str, Callable[[Dimensions, np.random.Generator], Defective]] = {
    "Scratch": _scratch,
    "Dent": _dent,
    "Missing": _missing,
    "Contamination": _contamination,
    "Chip": _chip,
    "WrongInsert": _wrong_insert,
    "Burr": _burr,
}
