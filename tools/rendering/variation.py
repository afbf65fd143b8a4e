"""Normal variation between good parts and between pictures: sizes, place, finish, light and exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rendering.drawing import Dimensions
from rendering.mesh import Array
from rendering.studio import Lighting, Surface
from rendering.textures import MATERIALS, VARIANTS

__all__ = ["Conditions", "Exposure", "draw_conditions"]

LAMPS = ((150.0, -130.0, 420.0, 0.55), (-170.0, 60.0, 400.0, 0.45), (60.0, 190.0, 410.0, 0.40))
"""Nominal lamps: x, y, z in mm and brightness."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Camera settings of one picture: gain and balance (3,), blur in output pixels at 256, noise seed."""

    gain: float
    balance: tuple[float, float, float]
    blur_px: float
    noise_seed: int


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """One part and its moment under the cameras."""

    dimensions: Dimensions
    rotation: Array  # (3, 3)
    translation_mm: Array  # (3,)
    surface: Surface
    lighting: Lighting
    exposures: tuple[Exposure, ...]  # one per camera


def draw_conditions(rng: np.random.Generator, *, cameras: int) -> Conditions:
    """A good part, within tolerance, lying loosely in its fixture."""
    rotation, translation = _pose(rng)
    return Conditions(
        dimensions=_dimensions(rng),
        rotation=rotation,
        translation_mm=translation,
        surface=_surface(rng),
        lighting=_lighting(rng),
        exposures=_exposures(rng, cameras),
    )


def _dimensions(rng: np.random.Generator) -> Dimensions:
    nominal = Dimensions()
    near = rng.normal(0.0, 1.0, 7).clip(-2.5, 2.5)
    turns = rng.uniform(0.0, np.pi / 3, 4)
    lifts = rng.uniform(0.0, 0.25, 4)
    return replace(
        nominal,
        side=nominal.side + 0.10 * near[0],
        plate=nominal.plate + 0.10 * near[1],
        chamfer=nominal.chamfer + 0.12 * near[2],
        boss_radius=nominal.boss_radius + 0.12 * near[3],
        height=nominal.height + 0.15 * near[4],
        hole_excess=0.06 * near[5],
        insert_recess=nominal.insert_recess + 0.10 * near[6],
        screw_turns=(float(turns[0]), float(turns[1]), float(turns[2]), float(turns[3])),
        screw_lifts=(float(lifts[0]), float(lifts[1]), float(lifts[2]), float(lifts[3])),
    )


def _pose(rng: np.random.Generator) -> tuple[Array, Array]:
    yaw = np.radians(np.clip(rng.normal(0.0, 0.7), -1.6, 1.6))
    tilt = np.radians(rng.normal(0.0, 0.15, 2).clip(-0.4, 0.4))
    c, s = np.cos(yaw), np.sin(yaw)
    about_z = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    lean = np.array([[1.0, 0.0, tilt[0]], [0.0, 1.0, tilt[1]], [-tilt[0], -tilt[1], 1.0]])
    orthogonal, upper = np.linalg.qr(lean)
    orthogonal *= np.sign(np.diag(upper))
    shift = rng.normal(0.0, 0.55, 2).clip(-1.3, 1.3)
    return about_z @ orthogonal, np.array([shift[0], shift[1], 0.0])


def _surface(rng: np.random.Generator) -> Surface:
    names = [name for name, material in MATERIALS.items() if material.finish is not None]
    shifts = rng.uniform(0.0, 1.0, (len(names), 2))
    gloss = dict(zip(MATERIALS, rng.normal(0.0, 0.02, len(MATERIALS)).clip(-0.045, 0.045), strict=True))
    return Surface(
        variant={
            name: int(number)
            for name, number in zip(names, rng.integers(0, VARIANTS, len(names)), strict=True)
        },
        shift={name: (float(x), float(y)) for name, (x, y) in zip(names, shifts, strict=True)},
        roughness={name: MATERIALS[name].roughness + float(step) for name, step in gloss.items()},
    )


def _lighting(rng: np.random.Generator) -> Lighting:
    nominal = np.array(LAMPS)
    return Lighting(
        directions=nominal[:, :3] + rng.normal(0.0, 8.0, (len(LAMPS), 3)),
        intensities=tuple((nominal[:, 3] * rng.normal(1.0, 0.05, len(LAMPS)).clip(0.85, 1.15)).tolist()),
        dome_turn_rad=float(rng.normal(0.0, 0.05)),
    )


def _exposures(rng: np.random.Generator, cameras: int) -> tuple[Exposure, ...]:
    warmth, level = rng.normal(0.0, 0.012), rng.normal(1.0, 0.025)  # lamps age alike for all cameras
    exposures = []
    for _ in range(cameras):
        warm = warmth + rng.normal(0.0, 0.004)
        exposures.append(
            Exposure(
                gain=float(np.clip(level * rng.normal(1.0, 0.01), 0.9, 1.1)),
                balance=(float(1 + warm), 1.0, float(1 - warm)),
                blur_px=float(rng.uniform(0.35, 0.55)),
                noise_seed=int(rng.integers(0, 2**63)),
            )
        )
    return tuple(exposures)
