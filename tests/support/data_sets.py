"""Tiny data sets in the folders and files of published ones and of annotation tools, drawn by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edgeflow.contracts.image_files.masks import Mask

__all__ = ["DEFECT", "coco_image", "draw", "draw_mask", "manta", "marked", "polygon", "write_coco"]

DEFECT = (slice(2, 5), slice(4, 8))
"""Rows and columns that tests mark as defective: 3 by 4 pixels."""


def draw(*files: Path, size: tuple[int, int] = (16, 16), value: int | None = None) -> None:
    """Grey images of a height and width, each a little different unless a value is given."""
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True, exist_ok=True)
        grey = value if value is not None else (sum(str(file).encode()) + number) % 200 + 30
        Image.new("L", size[::-1], grey).convert("RGB").save(file)


def draw_mask(
    file: Path,
    *,
    size: tuple[int, int] = (16, 16),
    where: tuple[slice, slice] | None = DEFECT,
    value: int = 255,
) -> None:
    """A grey mask file that marks some pixels; none with ``where=None``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(size, np.uint8)
    if where is not None:
        pixels[where] = value
    Image.fromarray(pixels).save(file)


def marked(size: tuple[int, int] = (16, 16)) -> Mask:
    """The mask that ``DEFECT`` is."""
    mask = np.zeros(size, np.bool_)
    mask[DEFECT] = True
    return mask


def polygon() -> list[float]:
    """``DEFECT`` as COCO writes a polygon: x and y of each corner."""
    return [4, 2, 8, 2, 8, 5, 4, 5]


def coco_image(number: int, name: str, *, size: tuple[int, int] = (16, 16)) -> dict[str, Any]:
    """An image of a COCO file."""
    return {"id": number, "file_name": name, "height": size[0], "width": size[1]}


def write_coco(
    file: Path,
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[str] = ("scratch", "dent", "good"),
) -> None:
    """A COCO file; categories get the numbers 1, 2, …"""
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "info": {},
        "images": list(images),
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories, start=1)],
        "annotations": [{"id": n, **annotation} for n, annotation in enumerate(annotations, start=1)],
    }
    file.write_text(json.dumps(document))


def manta(root: Path, *, train: int = 4, normal: int = 2, defective: int = 2, side: int = 16) -> Path:
    """One class of MANTA below a root: strips of five noisy discs, defects as a bright spot in view 3."""
    folder = root / "mechanics" / "nut"
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:side, :side]
    disc = 40 + 90 * (np.hypot(rows - side / 2, columns - side / 2) < side / 3)
    counts = {"train/good": train, "test/good": normal, "test/crack": defective}
    for kind, count in counts.items():
        for number in range(count):
            strip = np.tile(disc, 5) + rng.normal(0, 4, (side, 5 * side))
            if kind == "test/crack":
                spot = (slice(side // 2, side // 2 + 4), slice(2 * side + 6, 2 * side + 10))
                strip[spot] = 255
                draw_mask(
                    folder / "ground_truth" / "crack" / f"nut_{number}.png",
                    size=strip.shape,
                    where=spot,
                )
            file = folder / kind / f"nut_{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(strip, 0, 255).astype(np.uint8)).convert("RGB").save(file)
    return root
