"""Writes rendered parts as a data set in the Real-IAD layout."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edgeflow.errors import UsageError
from rendering.camera import write_calibration
from rendering.graphics import ready_offscreen
from rendering.parts import GOOD, SPLITS, PartJob, Picture, photograph
from rendering.studio import Studio

__all__ = ["Plan", "make_room", "render", "write_index"]

FOREGROUND = "foreground"

Entry = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Parts to render, and the folder for them: `counts` are parts per split, in the order of `SPLITS`.

    With `foreground`, where each part is goes to FOREGROUND/<defect>/<part>/<camera>.png.
    """

    out: Path
    class_name: str
    counts: tuple[int, int, int]
    size: int
    seed: int
    foreground: bool = False

    def jobs(self) -> list[tuple[int, PartJob]]:
        """Every part with its number in the data set, from 1."""
        jobs = [
            PartJob(seed=self.seed, split=split, index=index)
            for split, count in zip(SPLITS, self.counts, strict=True)
            for index in range(count)
        ]
        return list(enumerate(jobs, start=1))

    @property
    def index_file(self) -> Path:
        """The data set's table of contents."""
        return self.out / "realiad_jsons" / f"{self.class_name}.json"


def make_room(plan: Plan, *, force: bool) -> None:
    """Prepare the output folder; with `force`, remove what an earlier run wrote for this class.

    Raises:
        UsageError: the folder exists and is not empty, or it is a file.
    """
    if plan.out.exists() and not plan.out.is_dir():
        raise UsageError(f"{plan.out} is a file; name a folder")
    if plan.out.is_dir() and any(plan.out.iterdir()):
        if not force:
            raise UsageError(
                f"{plan.out} is not empty; name another folder, or replace its parts with --force"
            )
        for folder in (plan.class_name, FOREGROUND):
            shutil.rmtree(plan.out / folder, ignore_errors=True)
        plan.index_file.unlink(missing_ok=True)
    plan.index_file.parent.mkdir(parents=True, exist_ok=True)


def render(plan: Plan, *, workers: int) -> Iterator[list[Entry]]:
    """Render every part and yield its entries, in order; the pixels do not depend on `workers`."""
    if workers == 1:
        studio = Studio(plan.size)
        try:
            for number, job in plan.jobs():
                yield _write(plan, number, job, photograph(studio, job))
        finally:
            studio.close()
        return
    ready_offscreen()  # says what is missing; a worker process would only be reported as lost
    spawn = multiprocessing.get_context("spawn")  # a forked process would share this one's graphics context
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_open_studio, initargs=(plan,)) as pool:
        yield from pool.map(_render_here, *zip(*plan.jobs(), strict=True))


def write_index(plan: Plan, parts: list[list[Entry]]) -> None:
    """Write the table of contents and the cameras' calibration, once every part is there."""
    entries = [entry for part in parts for entry in part]
    train = 5 * plan.counts[0]
    document = {
        "meta": {"normal_class": GOOD, "prefix": f"{plan.class_name}/"},
        "train": entries[:train],
        "test": entries[train:],
    }
    plan.index_file.write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")
    write_calibration(plan.out / "calibration.json", plan.size)


_here: dict[str, tuple[Plan, Studio]] = {}


def _open_studio(plan: Plan) -> None:
    """Each worker process opens one window and keeps it."""
    _here["studio"] = plan, Studio(plan.size)


def _render_here(number: int, job: PartJob) -> list[Entry]:
    plan, studio = _here["studio"]
    return _write(plan, number, job, photograph(studio, job))


def _write(plan: Plan, number: int, job: PartJob, pictures: list[Picture]) -> list[Entry]:
    """Write one part's files; returns its entries, C1 to C5."""
    stamp = int(job.random(99).integers(100_000, 900_000))
    folder = Path(job.anomaly) / f"S{number:04d}"
    (plan.out / plan.class_name / folder).mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    for place, picture in enumerate(pictures):
        name = f"{plan.class_name}_{number:04d}_{job.anomaly}_{picture.camera}_{stamp + 16 * place}"
        image, mask = folder / f"{name}.jpg", folder / f"{name}.png"
        root = plan.out / plan.class_name
        Image.fromarray(picture.colour).save(root / image, quality=95, subsampling=0)
        if picture.mask is not None:
            Image.fromarray(picture.mask).save(root / mask)
        if plan.foreground:
            silhouettes = plan.out / FOREGROUND / folder
            silhouettes.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.foreground).save(silhouettes / f"{picture.camera}.png")
        entries.append(
            {
                "category": plan.class_name,
                "anomaly_class": job.anomaly,
                "image_path": image.as_posix(),
                "mask_path": None if picture.mask is None else mask.as_posix(),
            }
        )
    return entries
