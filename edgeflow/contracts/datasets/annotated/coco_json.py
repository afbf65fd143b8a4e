"""COCO JSON as annotation tools write it: images, categories, and what was drawn into each image.

Source: COCO's data format (cocodataset.org/#format-data); CVAT's "COCO 1.0" (docs.cvat.ai, written by
Datumaro: ``annotations/instances_<subset>.json``); Label Studio's "COCO" (``result.json``, and
``result_coco.json`` of brushes; the converter in label-studio-sdk); ``_annotations.coco.json`` in the folder
of a subset.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from edgeflow.contracts.datasets.annotated.drawn_mask import Shape, shapes_of
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.errors import DataError

__all__ = ["Picture", "coco_files", "cvat_files", "read_coco"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD = 65_536
_MOST_BYTES = 2**31
_SHOWN = 5
_LONGEST_SIDE = 1e9  # pixels; of what is longer the image itself is asked
_IN_A_SUBSET = "_annotations.coco.json"
# Other tasks than instances, which COCO's tools write beside them.
_OTHER_TASKS = ("captions_", "image_info_", "labels_", "panoptic_", "person_keypoints_", "stuff_")


@dataclass(kw_only=True)
class Picture:
    """One image of an export.

    Attributes:
        name: the image's path, as the export has it.
        width, height: None where the export does not say.
        defects: category → its shapes; an annotation that is only a box adds none.
        boxes: number of annotations that are only boxes.
        found_good: somebody has annotated it as good.
    """

    export: Path
    name: str
    width: int | None
    height: int | None
    defects: dict[str, list[Shape]] = field(default_factory=dict)
    boxes: int = 0
    found_good: bool = False

    @property
    def is_annotated(self) -> bool:
        """True if anybody has said something of it."""
        return self.found_good or bool(self.defects)


def coco_files(root: Path) -> list[Path]:
    """The COCO files of a folder: in it, in ``annotations/``, or one in each subset's folder."""
    candidates = [*root.glob("*.json"), *root.glob("annotations/*.json"), *root.glob(f"*/{_IN_A_SUBSET}")]
    return [file for file in sorted(candidates) if not is_foreign(file) and _is_coco(file)]


def cvat_files(root: Path) -> list[Path]:
    """The files of a folder in CVAT's own format, which is XML."""
    found = []
    for file in sorted(root.glob("*.xml")):
        if not is_foreign(file):
            with contextlib.suppress(OSError), file.open("rb") as opened:
                found += [file] if b"<annotations>" in opened.read(_HEAD) else []
    return found


def _is_coco(file: Path) -> bool:
    if file.name.startswith(_OTHER_TASKS):
        return False
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD).removeprefix(_BYTE_ORDER_MARK)
        if not head.lstrip().startswith(b"{") or not (b'"images"' in head or b'"categories"' in head):
            return False
        data = _loaded(file)
    except (OSError, DataError):
        return False
    return all(isinstance(data.get(key), list) for key in ("images", "annotations", "categories"))


def read_coco(file: Path, good_names: frozenset[str], problems: list[str]) -> list[Picture]:
    """The images of one export.

    Args:
        good_names: categories, in lower case, that say that an image is good, and not where a defect is.
        problems: gets a sentence for every image and annotation that cannot be used.

    Raises:
        DataError: the file cannot be read.
    """
    data = _loaded(file)
    names = _category_names(data["categories"])
    pictures = _pictures(file, data["images"], problems)
    strangers: Counter[str] = Counter()
    for number, annotation in enumerate(data["annotations"]):
        if not isinstance(annotation, dict):
            problems.append(f"{file}: annotation {number} is no object")
            continue
        picture = pictures.get(_key(annotation.get("image_id")))
        category = names.get(_key(annotation.get("category_id")))
        if picture is None:
            strangers[str(annotation.get("image_id"))] += 1
        elif category is None:
            problems.append(f"{file}: annotation {number} of {picture.name} has no known category")
        elif category.lower() in good_names:
            picture.found_good = True
        else:
            _draw(picture, category, annotation, number, problems)
    if strangers:
        shown = ", ".join(list(strangers)[:_SHOWN]) + (" …" if len(strangers) > _SHOWN else "")
        problems.append(
            f"{file}: {sum(strangers.values())} annotations are of images that it lacks (image_id {shown})"
        )
    return list(pictures.values())


def _loaded(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(
                f"{file}: larger than {_MOST_BYTES >> 30} GiB; export the images in several parts"
            )
        data = from_json(file.read_bytes().removeprefix(_BYTE_ORDER_MARK))
    except OSError as cause:
        raise DataError(f"{file}: cannot be read: {cause.strerror}; check its rights") from cause
    except ValueError as cause:
        raise DataError(f"{file}: not a COCO file: {cause}; export the annotations again") from cause
    if not isinstance(data, dict):
        raise DataError(f"{file}: not a COCO file; export the annotations as COCO")
    return data


def _key(number: Any) -> str:
    """Ids of images and categories are compared as text: tools write numbers, and some write text."""
    return "" if number is None or isinstance(number, bool) else str(number)


def _category_names(categories: list[Any]) -> Mapping[str, str]:
    known = [entry for entry in categories if isinstance(entry, dict)]
    found = {_key(entry.get("id")): as_text(str(entry.get("name") or "").strip()) for entry in known}
    return {key: name for key, name in found.items() if key and name}


def _pictures(file: Path, images: list[Any], problems: list[str]) -> dict[str, Picture]:
    found: dict[str, Picture] = {}
    for picture_id, picture in _each_picture(file, images, problems):
        if picture_id in found:
            problems.append(f"{file}: {found[picture_id].name} and {picture.name} have one id, {picture_id}")
            continue
        found[picture_id] = picture
    return found


def _each_picture(file: Path, images: list[Any], problems: list[str]) -> Iterator[tuple[str, Picture]]:
    for number, image in enumerate(images):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not name.strip():
            problems.append(f"{file}: image {number} has no file_name")
            continue
        if not _key(image.get("id")):
            problems.append(
                f"{file}: {as_text(name)} has no id, so that no annotation can be told to be its own"
            )
            continue
        width, height = (_side(image.get(side)) for side in ("width", "height"))
        yield _key(image.get("id")), Picture(export=file, name=as_text(name), width=width, height=height)


def _side(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _LONGEST_SIDE:
        return None
    return int(value) if value == int(value) else None


def _draw(
    picture: Picture, category: str, annotation: Mapping[str, Any], number: int, problems: list[str]
) -> None:
    shapes = picture.defects.setdefault(category, [])
    try:
        drawn = shapes_of(annotation.get("segmentation"))
    except ValueError as cause:
        problems.append(f"{picture.export}: annotation {number} of {picture.name}: {cause}")
        return
    shapes += drawn
    picture.boxes += 0 if drawn else 1
