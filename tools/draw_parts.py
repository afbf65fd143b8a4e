"""Draw small parts of three views, good and defective, for the first tutorial and for tests.

python tools/draw_parts.py parts

Grey gradients with grain; a defect is a bright square in one view. They are no picture of any real part.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from PIL import Image

__all__ = ["SIZE", "VIEWS", "write_parts"]

VIEWS = ("C1", "C2", "C3")
SIZE = 64


def write_parts(root: Path, *, train: int, normal: int, defective: int) -> None:
    """Parts in Real-IAD layout: grey gradients with grain; a defect is a bright square in view C2."""
    document: dict[str, object] = {"meta": {"normal_class": "OK", "prefix": "disc/"}}
    number = 0
    for split, kinds in (("train", ["OK"] * train), ("test", ["OK"] * normal + ["spot"] * defective)):
        entries = []
        for kind in kinds:
            number += 1
            entries += [_write_view(root, number, kind, v) for v in range(len(VIEWS))]
        document[split] = entries
    (root / "realiad_jsons").mkdir(parents=True)
    (root / "realiad_jsons" / "disc.json").write_text(json.dumps(document))


def _write_view(root: Path, number: int, kind: str, view: int) -> dict[str, str | None]:
    rng = np.random.default_rng([number, view])
    ramp = (
        np.linspace(60 + 20 * view, 160, SIZE)[None, :, None]
        + rng.normal(0, 4, (SIZE, SIZE, 3))
        + rng.normal(0, 6)
    )
    folder = f"{kind}/S{number:04d}"
    stem = f"{folder}/disc_{number:04d}_{kind}_{VIEWS[view]}_{number}"
    mask = None
    if kind != "OK" and VIEWS[view] == "C2":
        y, x = rng.integers(8, SIZE - 24, 2)
        ramp[y : y + 16, x : x + 16] += 70
        pixels = np.zeros((SIZE, SIZE), np.uint8)
        pixels[y : y + 16, x : x + 16] = 255
        mask = f"{stem}.png"
        (root / "disc" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "disc" / mask)
    (root / "disc" / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(root / "disc" / f"{stem}.jpg", quality=95)
    return {"category": "disc", "anomaly_class": kind, "image_path": f"{stem}.jpg", "mask_path": mask}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=False))
@click.option("--train", type=click.IntRange(1), default=30, show_default=True)
@click.option("--normal", type=click.IntRange(0), default=6, show_default=True, help="Good parts for tests.")
@click.option("--defective", type=click.IntRange(0), default=6, show_default=True)
def main(folder: Path, train: int, normal: int, defective: int) -> None:
    """Write parts into FOLDER, in Real-IAD's layout."""
    if folder.exists():
        raise click.ClickException(f"{folder} exists already: choose a new folder, or remove it first")
    write_parts(folder, train=train, normal=normal, defective=defective)
    click.echo(f"{folder}: {train} good parts to train on, {normal} good and {defective} defective to test")


if __name__ == "__main__":
    main()
