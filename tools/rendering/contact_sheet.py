"""One picture of good parts and of every kind of defect, for looking at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rendering.defects import DEFECTS
from rendering.parts import PartJob, Picture, photograph
from rendering.studio import Studio

__all__ = ["overview", "write_contact_sheet"]

GOOD_ROWS = 2


def overview(seed: int) -> list[PartJob]:
    """A few good parts and one of every defect: the first test parts of a data set with this seed."""
    good = [PartJob(seed=seed, split="test_normal", index=index) for index in range(GOOD_ROWS)]
    return good + [PartJob(seed=seed, split="test_defective", index=index) for index in range(len(DEFECTS))]


def write_contact_sheet(path: Path, jobs: Sequence[PartJob], *, size: int) -> None:
    """Write an image with one row of views per part, defects outlined."""
    studio = Studio(size)
    try:
        rows = [_row(job, photograph(studio, job)) for job in jobs]
    finally:
        studio.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.vstack(rows)).save(path)


def _row(job: PartJob, pictures: list[Picture]) -> NDArray[np.uint8]:
    row = Image.fromarray(np.hstack([_outlined(picture) for picture in pictures]))
    ImageDraw.Draw(row).text((4, 3), f"{job.anomaly} (rendered)", fill=(255, 255, 255))
    return np.asarray(row)


def _outlined(picture: Picture) -> NDArray[np.uint8]:
    if picture.mask is None:
        return picture.colour
    wide = cv2.dilate(picture.mask, np.ones((9, 9), np.uint8))
    outlines, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.colour.copy(), outlines, -1, (255, 220, 0), 1), dtype=np.uint8)
