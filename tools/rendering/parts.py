"""One part, good or defective, photographed by all cameras: the same seed gives the same pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeflow.contracts.mask_postprocessing import filled
from rendering.camera import VIEWPOINTS, Viewpoint
from rendering.defects import DEFECTS, draw_defect
from rendering.drawing import Changes, Dimensions
from rendering.geometry import build
from rendering.sensor import Image, changed, encode, expose, least_pixels
from rendering.studio import SUPERSAMPLING, Shot, Studio
from rendering.variation import Conditions, draw_conditions

__all__ = ["GOOD", "SPLITS", "PartJob", "Picture", "defect_of", "photograph"]

GOOD = "OK"
SPLITS = ("train", "test_normal", "test_defective")
ATTEMPTS = 12
PART_ABOVE_MM = 0.5


@dataclass(frozen=True, kw_only=True)
class PartJob:
    """Identity of a part to render: its random numbers depend on seed, split and index alone."""

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
    """One camera's view: colour (size, size, 3), where the part is (size, size), and the defect's mask.

    Masks are 0 and 255; a defect's is None where it does not show.
    """

    camera: str
    colour: NDArray[np.uint8]
    foreground: NDArray[np.uint8]
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
    shots = _shots(studio, conditions, conditions.dimensions, Changes())
    sound = _lights(shots, conditions)
    if job.anomaly == GOOD:
        return _pictures(conditions, shots, [None] * len(shots))
    for attempt in range(ATTEMPTS):
        defective = draw_defect(job.anomaly, conditions.dimensions, job.random(1 + attempt))
        shots = _shots(studio, conditions, defective.dimensions, defective.changes)
        lights = _lights(shots, conditions)
        masks = [changed(before, after) for before, after in zip(sound, lights, strict=True)]
        if max(int(np.count_nonzero(mask)) for mask in masks) >= 2 * least_pixels(len(sound[0])):
            return _pictures(conditions, shots, [mask if mask.any() else None for mask in masks])
    raise RuntimeError(f"{job}: no camera showed any of {ATTEMPTS} defects; use larger images")


def _shots(studio: Studio, conditions: Conditions, dims: Dimensions, changes: Changes) -> list[Shot]:
    return studio.shoot(
        build(dims, changes),
        rotation=conditions.rotation,
        translation_mm=conditions.translation_mm,
        surface=conditions.surface,
        lighting=conditions.lighting,
    )


def _lights(shots: list[Shot], conditions: Conditions) -> list[Image]:
    return [expose(shot, exposure) for shot, exposure in zip(shots, conditions.exposures, strict=True)]


def _pictures(
    conditions: Conditions, shots: list[Shot], masks: list[NDArray[np.uint8] | None]
) -> list[Picture]:
    lights = _lights(shots, conditions)
    return [
        Picture(
            camera=view.name,
            colour=encode(light, noise_seed=exposure.noise_seed),
            foreground=_foreground(view, shot),
            mask=mask,
        )
        for view, shot, light, exposure, mask in zip(
            VIEWPOINTS, shots, lights, conditions.exposures, masks, strict=True
        )
    ]


def _foreground(view: Viewpoint, shot: Shot) -> NDArray[np.uint8]:
    """Pixels in which anything stands up from the tray; without holes, as published masks."""
    above = view.heights_mm(shot.depth_mm) > PART_ABOVE_MM
    size = len(above) // SUPERSAMPLING
    seen = above.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING).any(axis=(1, 3))
    return np.asarray(filled(np.asarray(seen, np.uint8)) * 255, np.uint8)
