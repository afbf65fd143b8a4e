"""Labelled evidence as a data set that keeps labels, with the population that its parts were kept from."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.evidence_folders import part_images
from edgeflow.contracts.datasets.part_label import UNLABELLED, PartLabel, write_label
from edgeflow.contracts.datasets.population import POPULATION_FILE, write_population
from edgeflow.contracts.documents.file_names import file_name
from edgeflow.errors import DataError, StorageError
from edgeflow.files import require_new
from edgeflow.history.filters import ResultFilter
from edgeflow.history.population import population_parts
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import PartRow

__all__ = ["LabelledExport", "export_labelled"]

_RECORDS = ("result.json", "evidence.json")


@dataclass(frozen=True, kw_only=True)
class LabelledExport:
    """Result of an export of labelled parts.

    Attributes:
        parts: folder → parts with images.
        without_images: labelled parts whose images are not kept any more.
        population: results in the population.
    """

    parts: Mapping[str, int]
    without_images: int
    population: int


def export_labelled(reader: HistoryReader, output: Path) -> LabelledExport:
    """Copy the images of all labelled parts, and of OK parts that were kept without being rejected.

    Unlabelled NG and UNDECIDED parts are never copied. The folder appears whole or not at all.

    Raises:
        UsageError: the folder is there.
        DataError: there is nothing to export.
        StorageError: the history cannot be read, or the folder cannot be written.
    """
    require_new(output)
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        done = _exported(reader, partial)
        partial.rename(output)
    except OSError as cause:
        raise StorageError(
            f"{output}: cannot be written: {cause.strerror}; make room, or give another place"
        ) from cause
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return done


def _exported(reader: HistoryReader, root: Path) -> LabelledExport:
    labelled = reader.rows(ResultFilter(labelled="yes"))
    sampled = [
        row
        for row in reader.rows(ResultFilter(labelled="no", verdicts=("OK",)))
        if row.kept in ("sample", "verdict")
    ]
    copied: dict[str, str] = {}
    for row in (*labelled, *sampled):
        place = _copied(reader, row, root)
        if place is not None:
            copied[row.result_id] = place
    if not labelled and not copied:
        raise DataError(
            "no part is labelled, and no OK part was kept; label some: 'edgeflow evidence label BOX PART'"
        )
    population = 0
    newest = reader.rows(count=1)
    if newest:
        chosen = ResultFilter(bundle_sha256=newest[0].bundle_sha256, graph=newest[0].graph)
        parts = population_parts(reader, chosen, copied)
        path = root / POPULATION_FILE
        population = write_population(path, newest[0].bundle_sha256, newest[0].graph, parts)
    return LabelledExport(
        parts=Counter(place.partition("/")[0] for place in copied.values()),
        without_images=sum(row.result_id not in copied for row in labelled),
        population=population,
    )


def _copied(reader: HistoryReader, row: PartRow, root: Path) -> str | None:
    """Copy one part; return its place in the data set, None where its images are gone."""
    source = Path(row.evidence) if row.evidence else None
    images = part_images(source) if source is not None else []
    if source is None or not images:
        return None
    label = _last_label(reader, row)
    folder = (
        UNLABELLED if label is None else "good" if label.label == "OK" else file_name(label.data_set_label)
    )
    place = f"{folder}/{source.name}"
    target = root / folder / source.name
    target.mkdir(parents=True)
    for file in (*images, *(source / name for name in _RECORDS)):
        if file.is_file():
            shutil.copyfile(file, target / file.name)
    if label is not None:
        write_label(target, label)
    return place


def _last_label(reader: HistoryReader, row: PartRow) -> PartLabel | None:
    if row.label is None:
        return None
    record = reader.part(row.result_id)
    return record.labels[-1] if record is not None and record.labels else None
