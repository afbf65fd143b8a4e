"""Recorded parts in folders by label: below each label one folder per part, or evidence of a box."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from edgeflow.contracts.datasets.evidence_folders import (
    is_day,
    is_overruled,
    part_images,
    part_views,
    recorded_verdict,
)
from edgeflow.contracts.datasets.part_label import UNLABELLED, read_label
from edgeflow.contracts.datasets.population import POPULATION_FILE
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart, Split, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign

__all__ = ["are_labelled", "labelled_parts"]

_NORMAL_NAMES = frozenset({"good", "ok"})


def are_labelled(root: Path) -> bool:
    """True if a folder has part folders sorted by label."""
    if _has_labels(root / "test"):
        return True
    names = {folder.name.lower() for folder in _folders(root)}
    exported = (root / POPULATION_FILE).is_file()
    return _has_labels(root) and (exported or bool(names & _NORMAL_NAMES))


def labelled_parts(root: Path, problems: list[str]) -> list[RecordedPart]:
    """The parts below a folder.

    ``train/PART/VIEW.png`` (or ``train/good/PART/VIEW.png``) with ``test/LABEL/PART/VIEW.png``, or
    ``LABEL/PART/VIEW.png`` alone; ``good`` and ``OK`` are normal parts, each other label a kind of defect.
    An export of labelled evidence has its OK parts without a label in ``unlabelled``.
    Masks lie in ``ground_truth/LABEL/PART/VIEW.png``, where there are any.

    Args:
        problems: gets a sentence for every view that is there twice, and every day of unsorted evidence.
    """
    if _has_labels(root / "test"):
        train = list(_below(root, root / "train", "train", problems))
        return [*train, *_below(root, root / "test", "test", problems)]
    return list(_below(root, root, None, problems))


def _has_labels(folder: Path) -> bool:
    """True if part folders lie below folders that hold no image themselves."""
    labels = _folders(folder)
    parts = [part for label in labels for part in _folders(label)]
    return any(map(part_images, parts)) and not any(map(part_images, labels))


def _below(root: Path, folder: Path, split: Split | None, problems: list[str]) -> Iterator[RecordedPart]:
    for first in _folders(folder):
        if first.name == "ground_truth":
            continue
        if part_images(first):  # parts for training, without a label between
            found = replace(_part(root, first, NORMAL, split, problems), verdict=recorded_verdict(first))
            yield _labelled(found, first, problems)
            continue
        if is_day(first):
            problems.append(
                f"{as_text(first.name)} holds evidence that nobody has sorted; move its parts into good/ or "
                "into a folder named after their defect"
            )
            continue
        label = NORMAL if first.name.lower() in _NORMAL_NAMES else as_text(first.name)
        for part in _folders(first):
            if not part_images(part):
                continue
            found = _part(root, part, label, split, problems)
            if first.name == UNLABELLED:
                found = replace(found, label=None, masks={}, verdict=recorded_verdict(part))
            yield _labelled(found, part, problems)


def _labelled(part: RecordedPart, folder: Path, problems: list[str]) -> RecordedPart:
    """The part with the label that a person gave, where it lies beside the images.

    A defective part of evidence never trains: it is a test part.
    """
    given, verdict = read_label(folder), recorded_verdict(folder)
    if given is None:  # sorted by hand, or nobody's judgement
        overruled = part.verdict is None and is_overruled(part.label, verdict)
        return replace(part, overruled=overruled)
    sorted_by_hand = part.label is not None and part.verdict is None
    if sorted_by_hand and part.defective != (given.label == "NG"):
        problems.append(
            f"part {part.part_id}: {given.by} labelled it {given.label}, and it lies in "
            f"{folder.parent.name}/; label it again, or move it"
        )
    split = "test" if given.label == "NG" and part.split is None else part.split
    overruled = is_overruled(given.label, verdict)
    return replace(part, label=given.data_set_label, split=split, verdict=None, overruled=overruled)


def _part(root: Path, folder: Path, label: str, split: Split | None, problems: list[str]) -> RecordedPart:
    part_id = "/".join(map(as_text, folder.relative_to(root).parts))
    images = part_views(folder, part_id, problems)
    normal = label == NORMAL
    masks = (
        dict.fromkeys(images)
        if normal
        else _masks(root / "ground_truth" / folder.parent.name / folder.name, images)
    )
    return RecordedPart(part_id=part_id, images=images, masks=masks, label=label, split=split)


def _masks(folder: Path, images: Mapping[str, Path]) -> dict[str, Path | None]:
    """View → mask; nothing where nobody drew masks for the part."""
    found = {as_text(file.stem).removesuffix("_mask"): file for file in part_images(folder)}
    return {view: found.get(view) for view in images} if found else {}


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.is_dir() and not is_foreign(path))
    return sorted(found, key=lambda path: natural(path.name))
