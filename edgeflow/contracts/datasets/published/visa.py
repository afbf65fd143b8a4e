"""The layout of VisA on disk: images by object, and tables that say which of them train and test.

Source: *SPot-the-Difference* (arXiv 2207.14315), its archive and its ``prepare_data.py``
(github.com/amazon-science/spot-diff). What that program writes has the layout of MVTec AD.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgeflow.contracts.datasets.published.image_folders import (
    VIEW,
    choose_class,
    classes_below,
    images_of,
    mask_beside,
    single_view_parts,
)
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.errors import DataError

__all__ = ["DEFAULT_SPLIT", "visa_classes", "visa_parts", "visa_splits"]

DEFAULT_SPLIT = "1cls"
"""The table of the data set's one-class setup: all that trains is normal."""

_TABLES = "split_csv"
_COLUMNS = ("object", "split", "label", "image", "mask")
_KINDS = "image_anno.csv"
_NORMAL_LABEL = "normal"


def visa_classes(root: Path) -> dict[str, Path]:
    """The objects of a folder by name; none for another layout."""
    return classes_below(root, lambda folder: (folder / "Data" / "Images" / "Normal").is_dir())


def visa_splits(root: Path) -> dict[str, Path]:
    """The tables that belong to a folder, by name; beside an object's own folder they count too."""
    for folder in (root / _TABLES, root.resolve().parent / _TABLES):
        found = {path.stem: path for path in sorted(folder.glob("*.csv"))}
        if found:
            return found
    return {}


def visa_parts(
    root: Path, class_name: str | None, split: str | None, problems: list[str], notes: list[str]
) -> list[RecordedPart]:
    """The parts of one object, as one of the tables splits them.

    Without tables all normal images are for training and all others for testing. Anomalous images that a
    table has for training are left out, since what is trained here learns from normal parts.

    Args:
        split: name of the table; None: ``1cls``.
        problems: gets a sentence for everything that is wrong with single parts.
        notes: gets a sentence for what is left out.

    Raises:
        DataError: no such object or table, several objects to choose from, or a malformed table.
    """
    name, folder = choose_class(root, visa_classes(root), class_name)
    tables = visa_splits(root)
    wanted = split or DEFAULT_SPLIT
    if wanted not in tables:
        if tables or split is not None:
            raise DataError(
                f"{root}: no table '{wanted}' in {_TABLES}; found: {', '.join(tables) or 'none'}; choose one "
                "of them as data.split"
            )
        notes.append(
            f"no {_TABLES}: all normal images are for training, so that evaluation has no normal ones"
        )
        return list(_untabled(folder, name, problems))
    kinds = _kinds(folder)
    parts: list[RecordedPart] = []
    left_out = 0
    for line, share, label, image, mask in _rows(tables[wanted], name):
        if not image or share not in ("train", "test") or label not in (_NORMAL_LABEL, "anomaly"):
            problems.append(f"{tables[wanted]}, line {line}: split '{share}', label '{label}'")
            continue
        if share == "train" and label != _NORMAL_LABEL:
            left_out += 1
            continue
        parts.append(
            RecordedPart(
                part_id=as_text(str(PurePosixPath(image).with_suffix(""))),
                images={VIEW: folder.parent / image},
                masks={VIEW: folder.parent / mask if mask and label != _NORMAL_LABEL else None},
                label=NORMAL if label == _NORMAL_LABEL else kinds.get(image, label),
                split="train" if share == "train" else "test",
                class_name=name,
            )
        )
    counts = Counter(part.part_id for part in parts)
    problems += [f"part {part_id}: is there {n} times" for part_id, n in counts.items() if n > 1]
    if left_out:
        notes.append(f"{left_out} anomalous image(s) that {wanted}.csv has for training are left out")
    return parts


def _rows(table: Path, name: str) -> Iterator[tuple[int, str, str, str, str]]:
    """Line number, split, label, image and mask of each row of one object.

    Raises:
        DataError: not such a table, or a path out of the data set.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(_COLUMNS) <= set(reader.fieldnames or ()):
                raise DataError(
                    f"{table}: expected the columns {', '.join(_COLUMNS)}; put the published file there"
                )
            for row in reader:
                if row["object"] != name:
                    continue
                paths = [(row[key] or "").replace("\\", "/") for key in ("image", "mask")]
                if any(PurePosixPath(p).is_absolute() or ".." in PurePosixPath(p).parts for p in paths):
                    raise DataError(f"{table}, line {reader.line_num}: a path that leads out of the data set")
                yield reader.line_num, row["split"], row["label"], paths[0], paths[1]
    except (UnicodeDecodeError, csv.Error) as cause:
        raise DataError(f"{table}: cannot be read: {cause}; put the published file there") from cause


def _kinds(folder: Path) -> dict[str, str]:
    """Image → kinds of its defects, as ``image_anno.csv`` names them; none where there is no such file."""
    try:
        with (folder / _KINDS).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return {}
    found = {str(row.get("image")): str(row.get("label") or "") for row in rows}
    return {image: kind for image, kind in found.items() if kind and kind != _NORMAL_LABEL}


def _untabled(folder: Path, name: str, problems: list[str]) -> Iterator[RecordedPart]:
    data = folder / "Data"
    yield from single_view_parts(
        data / "Images" / "Normal",
        f"{name}/Data/Images/Normal",
        label=NORMAL,
        split="train",
        class_name=name,
        mask_of=None,
        problems=problems,
    )
    if images_of(data / "Images" / "Anomaly"):
        yield from single_view_parts(
            data / "Images" / "Anomaly",
            f"{name}/Data/Images/Anomaly",
            label="anomaly",
            split="test",
            class_name=name,
            mask_of=mask_beside(data / "Masks" / "Anomaly"),
            problems=problems,
        )
