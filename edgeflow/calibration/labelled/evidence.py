"""Labelled evidence of a box: its population, and the images of the parts that are still there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.population import POPULATION_FILE, Population, read_population
from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.errors import DataError

__all__ = ["LabelledEvidence", "exported_evidence"]


@dataclass(frozen=True, kw_only=True)
class LabelledEvidence:
    """Results of a box by one bundle and graph, with images of some.

    Attributes:
        images: result id → the recorded part.
        left_out: labelled parts that another bundle or graph judged, which this population says nothing of.
    """

    population: Population
    images: Mapping[str, RecordedPart]
    left_out: int

    @property
    def unlabelled_rejects(self) -> int:
        """Number of parts that the box did not judge OK and nobody has labelled."""
        return sum(part.label is None and part.verdict != "OK" for part in self.population.parts)


def exported_evidence(root: Path, parts: Iterable[RecordedPart]) -> LabelledEvidence | None:
    """Return the evidence of an export; None where the folder is none.

    Args:
        parts: recorded parts below the folder, named by their place in it.

    Raises:
        DataError: the population cannot be read, or a label in the folder is not that of the population.
    """
    population = read_population(root)
    if population is None:
        return None
    found = {part.part_id: part for part in parts}
    known = {part.data_set: part for part in population.parts if part.data_set is not None}
    other = [
        f"part {place}: {'defective' if found[place].defective else 'good'} in the folder, and labelled "
        f"{part.label or 'by nobody'} in {POPULATION_FILE}"
        for place, part in known.items()
        if place in found and _contradicts(found[place], part.label)
    ]
    if other:
        raise DataError(
            f"{root}: {len(other)} part(s) were labelled or moved after the export; label them at the box, "
            "and export again",
            problems=other,
        )
    images = {part.result_id: found[place] for place, part in known.items() if place in found}
    left_out = sum(part.label is not None and place not in known for place, part in found.items())
    return LabelledEvidence(population=population, images=images, left_out=left_out)


def _contradicts(part: RecordedPart, label: str | None) -> bool:
    if label is None:
        return part.label is not None
    return part.defective != (label == "NG")
