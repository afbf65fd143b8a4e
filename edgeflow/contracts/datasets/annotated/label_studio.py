"""Label Studio's own JSON: tasks with polygons, brush strokes, boxes and choices.

Source: Label Studio's "JSON" export (labelstud.io/guide/export); coordinates are per cent of the image; brush
strokes are RGBA values of all pixels, packed as the "rle-pack" library packs them. Its COCO export lacks
brush strokes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import from_json

from edgeflow.contracts.datasets.annotated.brush_strokes import Brush
from edgeflow.contracts.datasets.annotated.coco_json import Picture
from edgeflow.contracts.datasets.annotated.drawn_mask import Polygon
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.errors import DataError

__all__ = ["label_studio_files", "read_label_studio"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = 65_536
_MOST_BYTES = 2**31
_LABELS = {
    "brushlabels": "brushlabels",
    "polygonlabels": "polygonlabels",
    "rectanglelabels": "rectanglelabels",
    "ellipselabels": "ellipselabels",
    "keypointlabels": "keypointlabels",
    "choices": "choices",
}
"""Types of results that say something of an image, and where each names its labels."""


def label_studio_files(root: Path) -> list[Path]:
    """The files of a folder that hold Label Studio's tasks."""
    return [file for file in sorted(root.glob("*.json")) if not is_foreign(file) and _is_export(file)]


def _is_export(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).removeprefix(_BYTE_ORDER_MARK).lstrip()
    except OSError:
        return False
    return head.startswith(b"[") and b'"data"' in head and b'"annotations"' in head


def read_label_studio(file: Path, good_names: frozenset[str], problems: list[str]) -> list[Picture]:
    """The images of one export.

    An image that somebody submitted without any mark is good: it was looked at. One whose annotations were
    skipped, and one with predictions alone, is as if nobody had seen it.

    Args:
        good_names: labels and choices, in lower case, that say that an image is good.
        problems: gets a sentence for every task and mark that cannot be used.

    Raises:
        DataError: the file cannot be read.
    """
    found = []
    for number, task in enumerate(_loaded(file)):
        name = _image_of(task) if isinstance(task, dict) else None
        if name is None:
            problems.append(
                f"{file}: task {number} names no image; export tasks of images, with 'image' in their data"
            )
            continue
        picture = Picture(export=file, name=as_text(name), width=None, height=None)
        for results in _submitted(task):
            picture.found_good = picture.found_good or not results
            for result in results:
                _take(picture, result, good_names, problems)
        found.append(picture)
    return found


def _loaded(file: Path) -> list[Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(f"{file}: larger than {_MOST_BYTES >> 30} GiB; export in several parts")
        data = from_json(file.read_bytes().removeprefix(_BYTE_ORDER_MARK))
    except OSError as cause:
        raise DataError(f"{file}: cannot be read: {cause.strerror}; check its rights") from cause
    except ValueError as cause:
        raise DataError(f"{file}: not a JSON file: {cause}; export the annotations again") from cause
    return data if isinstance(data, list) else []


def _image_of(task: Mapping[str, Any]) -> str | None:
    """The path of a task's image: under ``image``, else the only text that could be one."""
    data = task.get("data")
    if not isinstance(data, dict):
        return None
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value.strip()}
    if "image" in texts:
        return texts["image"]
    return next(iter(texts.values())) if len(texts) == 1 else None


def _submitted(task: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The results of every annotation that somebody has submitted, and not skipped."""
    annotations = task.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else ():
        if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
            results = annotation.get("result")
            if isinstance(results, list):
                yield [result for result in results if isinstance(result, dict)]


def _take(
    picture: Picture, result: Mapping[str, Any], good_names: frozenset[str], problems: list[str]
) -> None:
    """Enter one mark, or a choice about the whole image."""
    kind, value = result.get("type"), result.get("value")
    if kind not in _LABELS or not isinstance(value, dict):
        return  # a rating, a text, a relation
    labels = [as_text(label.strip()) for label in value.get(_LABELS[kind]) or () if isinstance(label, str)]
    if not labels:
        problems.append(f"{picture.export}: a mark in {picture.name} has no label; give it one")
    try:
        shape = _shape(kind, value, result)
    except (ValueError, TypeError, OverflowError) as cause:
        problems.append(f"{picture.export}: a mark in {picture.name}: {cause}")
        return
    for label in labels:
        if label.lower() in good_names:
            picture.found_good = True
            continue
        shapes = picture.defects.setdefault(label, [])
        shapes += [] if shape is None else [shape]
        picture.boxes += shape is None


def _shape(kind: str, value: Mapping[str, Any], result: Mapping[str, Any]) -> Polygon | Brush | None:
    """The pixels of a mark; None of one that only says where to look.

    Raises:
        ValueError: what is no such mark.
    """
    if kind not in {"brushlabels", "polygonlabels"}:
        return None
    width, height = (_side(result.get(f"original_{side}")) for side in ("width", "height"))
    if result.get("image_rotation"):
        raise ValueError("its image was turned in Label Studio; turn it back, and draw anew")
    if kind == "brushlabels":
        if value.get("format") != "rle":
            raise ValueError("a brush stroke that is no run lengths")
        return Brush.of(value.get("rle"), (height, width))
    points = np.asarray(value.get("points"), np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise ValueError("a polygon needs three corners or more, each an x and a y")
    return (points * (width / 100, height / 100)).astype(np.float32)


def _side(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value <= 0:
        raise ValueError("it does not say how large its image is (original_width, original_height)")
    return value
