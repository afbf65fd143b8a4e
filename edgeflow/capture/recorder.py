"""View sets on disk, in the layout that replay cameras, training and scoring read as it is."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.config.products.resolve import product_named
from edgeflow.contracts.datasets.recording import FILE_NAME, RecordedFrame, RecordedSet
from edgeflow.errors import CameraError, ConfigError, StorageError

__all__ = ["Recorded", "contact_sheet", "record", "recording_config", "snapshot"]

_TILE = 320  # pixels, the longer side of a view on the contact sheet


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Record of one view set; ``part`` is empty where it was not kept, and ``why`` gives the reason."""

    part: str
    why: str
    skew_ms: float | None


def recording_config(
    path: Path, overrides: tuple[str, ...], every_ms: float | None, product: str | None = None
) -> BoxConfig:
    """A box file for recording: its cameras, and its trigger unless ``every_ms`` replaces it.

    Args:
        product: whose camera settings and bundle count; default: the box file's, if it names one or has one.

    Raises:
        ConfigError: wrong file, or the parts' triggers come over MQTT, which only a running box receives.
        UsageError: no such product.
    """
    if every_ms is not None:
        overrides = (*overrides, f"trigger={{source: interval, period_ms: {every_ms:g}}}")
    config = load_config(path, overrides)
    if config.trigger.by_mqtt:
        raise ConfigError(
            f"{path}: its triggers come over MQTT, which only 'edgeflow run' receives; give --every MS to "
            "take a view set each so many milliseconds"
        )
    name = product or config.product
    several = len(config.products or ()) > 1
    return config if name is None and several else product_named(config, name)


def record(config: BoxConfig, count: int, folder: Path) -> Iterator[Recorded]:
    """Write complete view sets into new folders ``000001`` … until there are ``count``.

    Sets with missing views or faults are not kept, since readers need every view; they are told.

    Raises:
        CameraError: a camera cannot be opened.
        StorageError: the folder cannot be written.
    """
    with (
        _writable(folder),
        _captured(config) as view_sets,
        (folder / FILE_NAME).open("a", encoding="utf-8") as timing,
    ):
        first = _next_number(folder)
        write = _writer(folder, timing.write)
        kept = 0
        for view_set in view_sets:
            why = _unusable(view_set)
            part = "" if why else f"{first + kept:06d}"
            if part:
                write(part, view_set)
                timing.flush()
                kept += 1
            yield Recorded(part=part, why=why, skew_ms=view_set.skew_ms)
            if kept == count:
                return


def snapshot(config: BoxConfig, folder: Path) -> ViewSet:
    """One view set as a picture per view and ``contact_sheet.png``; with missing views if need be.

    Raises:
        CameraError: a camera cannot be opened, or no view came at all.
        StorageError: the folder cannot be written.
    """
    with _captured(config) as view_sets:
        # The first set of cameras that just began may lack one of them.
        candidates = list(islice(_until_complete(view_sets), 5))
    best = max(candidates, key=lambda each: len(each.frames), default=None)
    if best is None or not best.frames:
        raise CameraError("no view set came; see 'edgeflow check', and the cameras' triggers")
    with _writable(folder):
        for view, frame in best.frames.items():
            Image.fromarray(frame.image).save(folder / f"{view}.png")
        contact_sheet(best, tuple(config.cameras)).save(folder / "contact_sheet.png")
    return best


def contact_sheet(view_set: ViewSet, views: tuple[str, ...]) -> Image.Image:
    """All views side by side, each with its name and how long after the first it was taken."""
    stamps = [frame.captured_ns for frame in view_set.frames.values()]
    sheet = Image.new("RGB", (_TILE * len(views), _TILE + 20), (24, 24, 24))
    pen = ImageDraw.Draw(sheet)
    for column, view in enumerate(views):
        frame = view_set.frames.get(view)
        text = f"{view}: missing"
        if frame is not None:
            tile = Image.fromarray(np.asarray(frame.image))
            tile.thumbnail((_TILE, _TILE))
            sheet.paste(tile, (_TILE * column, 20))
            height, width = frame.image.shape[:2]
            text = f"{view}: {width}x{height}, +{(frame.captured_ns - min(stamps)) / 1e6:.1f} ms"
        pen.text((_TILE * column + 4, 4), text, fill=(255, 255, 255))
    return sheet


@contextmanager
def _captured(config: BoxConfig) -> Iterator[Iterable[ViewSet]]:
    with Capture(config, tuple(config.cameras), uuid.uuid4().hex[:12]) as capture:
        yield capture.view_sets()


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as cause:
        raise StorageError(
            f"{folder}: cannot be written: {cause.strerror}; make room, or give another folder"
        ) from cause


def _next_number(folder: Path) -> int:
    """Recordings go on behind what is there."""
    taken = [int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    return max(taken, default=0) + 1


def _unusable(view_set: ViewSet) -> str:
    if view_set.missing:
        return f"missing: {', '.join(view_set.missing)}"
    return view_set.fault


def _writer(folder: Path, write_line: Callable[[str], object]) -> Callable[[str, ViewSet], None]:
    """A function that writes one part: its images first, then the line that makes it count."""
    zero_ns: list[int] = []

    def write(part: str, view_set: ViewSet) -> None:
        if not zero_ns:
            zero_ns.append(view_set.triggered_ns)
        (folder / part).mkdir()
        for view, frame in view_set.frames.items():
            Image.fromarray(frame.image).save(folder / part / f"{view}.png", compress_level=1)
        frames = {
            view: RecordedFrame(at_ms=(f.captured_ns - zero_ns[0]) / 1e6, counter=f.counter)
            for view, f in view_set.frames.items()
        }
        line = RecordedSet(
            part_id=part,
            line_part_id=view_set.part_id,
            triggered_at_ms=(view_set.triggered_ns - zero_ns[0]) / 1e6,
            skew_ms=view_set.skew_ms,
            frames=frames,
        )
        write_line(json.dumps(line.model_dump(by_alias=True), ensure_ascii=False) + "\n")

    return write


def _until_complete(view_sets: Iterable[ViewSet]) -> Iterator[ViewSet]:
    for view_set in view_sets:
        yield view_set
        if not _unusable(view_set):
            return
