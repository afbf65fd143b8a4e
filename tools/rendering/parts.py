"""One part, good or defective, photographed by all cameras: the same seed gives the same pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendering.camera import VIEWPOINTS
from rendering.defects import DEFECTS, draw_defect
from rendering.drawing import Changes, Dimensions
from rendering.geometry import build
from rendering.sensor import Image, changed, encode, expose, least_pixels
from rendering.studio import Studio
from rendering.variation import Conditions, draw_conditions

__all__ = ["GOOD", "SPLITS", "PartJob", "Picture", "defect_of", "photograph"]

GOOD = "OK"
SPLITS = ("train", "test_normal", "test_defective")
ATTEMPTS = 12


@dataclass(frozen=True, kw_only=True)
class PartJob:
    """Which part to render: its random numbers come from seed, split and index alone."""

    seed: int
    split: str
    index: int

    @property
    def anomaly(self) -> str:
        """The defect's name, or `OK`; defects take turns."""
        return defect_of(self.index) if self.split == "test_defective" else GOOD

    def random(self, purpose: int) -> np.random.Generator:
        """This part's own random numbers, one independent stream per purpose."""
        return np.random.default_rng([self.seed, SPLITS.index(self.split), self.index, purpose])


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One camera's view: colour (size, size, 3) and, if the defect shows, its mask (size, size)."""

    camera: str
    colour: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None


def defect_of(index: int) -> str:
    """The kind of defect of the defective part with that index."""
    return list(DEFECTS)[index % len(DEFECTS)]


def photograph(studio: Studio, job: PartJob) -> list[Picture]:
    """The part's pictures, in the cameras' order.

    A defect's mask is where the picture visibly differs from that of the same part, in the same place and
    light, without the defect. A defect that no camera shows well is drawn anew.
    """
    conditions = draw_conditions(job.random(0), cameras=len(VIEWPOINTS))
    sound = _lights(studio, conditions, conditions.dimensions, Changes())
    if job.anomaly == GOOD:
        return _pictures(conditions, sound, [None] * len(sound))
    for attempt in range(ATTEMPTS):
        defective = draw_defect(job.anomaly, conditions.dimensions, job.random(1 + attempt))
        lights = _lights(studio, conditions, defective.dimensions, defective.changes)
        masks = [changed(before, after) for before, after in zip(sound, lights, strict=True)]
        if max(int(np.count_nonzero(mask)) for mask in masks) >= 2 * least_pixels(len(sound[0])):
            return _pictures(conditions, lights, [mask if mask.any() else None for mask in masks])
    raise RuntimeError(f"{job}: no camera showed any of {ATTEMPTS} defects; use larger images")


def _lights(studio: Studio, conditions: Conditions, dims: Dimensions, changes: Changes) -> list[Image]:
    shots = studio.shoot(
        build(dims, changes),
        rotation=conditions.rotation,
        translation_mm=conditions.translation_mm,
        surface=conditions.surface,
        lighting=conditions.lighting,
    )
    return [expose(shot, exposure) for shot, exposure in zip(shots, conditions.exposures, strict=True)]


def _pictures(
    conditions: Conditions, lights: list[Image], masks: list[NDArray[np.uint8] | None]
) -> list[Picture]:
    return [
        Picture(camera=view.name, colour=encode(light, noise_seed=exposure.noise_seed), mask=mask)
        for view, light, exposure, mask in zip(VIEWPOINTS, lights, conditions.exposures, masks, strict=True)
    ]
