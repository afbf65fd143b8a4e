"""All results of a box by one bundle, beside its labelled evidence: what a few kept parts stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgeflow.contracts.datasets.part_label import KeptWhy, LabelName
from edgeflow.contracts.messages import VerdictName
from edgeflow.errors import DataError

__all__ = ["POPULATION_FILE", "Population", "PopulationPart", "read_population", "write_population"]

POPULATION_FILE = "population.jsonl"
_SCHEMA = "edgeflow/population/2"
_OLDER = "edgeflow/population/1"


@dataclass(frozen=True, kw_only=True)
class PopulationPart:
    """One result; the scores are raw.

    Attributes:
        score: of the part; None where it was not scored.
        views: view → score, of the views that were there.
        bounds: views whose score is only the highest possible one, since their mask was not asked for.
        complete: True if no view was missing.
        disputed: True if the last labels of two people differ.
        kept: why its images are kept; None where they are not.
        data_set: its part id in the data set beside this file; None where it is not in there.
        evidence: folder of its images on the box.
    """

    result_id: str
    part_id: str
    verdict: VerdictName
    label: LabelName | None
    score: float | None
    views: Mapping[str, float]
    bounds: tuple[str, ...]
    complete: bool
    disputed: bool
    kept: KeptWhy | None
    data_set: str | None
    evidence: str | None

    @property
    def is_exact(self) -> bool:
        """True if all scores are known, and not only the highest possible ones."""
        return not self.bounds

    @property
    def is_normal(self) -> bool:
        """True if it may set a threshold: labelled OK, or judged OK and not labelled; nobody disagrees."""
        found_good = self.label == "OK" or (self.label is None and self.verdict == "OK")
        return found_good and not self.disputed

    @property
    def is_scored(self) -> bool:
        """True if its scores come from all views."""
        return self.complete and self.score is not None


@dataclass(frozen=True, kw_only=True)
class Population:
    """The results of one bundle and graph."""

    bundle_sha256: str
    graph: str
    parts: tuple[PopulationPart, ...]


def write_population(path: Path, bundle_sha256: str, graph: str, parts: Iterable[PopulationPart]) -> int:
    """Write a population; return how many parts it has."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        head = {"schema": _SCHEMA, "bundle_sha256": bundle_sha256, "graph": graph}
        file.write(json.dumps(head) + "\n")
        for part in parts:
            file.write(json.dumps(vars(part), ensure_ascii=False) + "\n")
            count += 1
    return count


def read_population(root: Path) -> Population | None:
    """Read the population beside a data set; None where there is none.

    Raises:
        DataError: it cannot be read.
    """
    path = root / POPULATION_FILE
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8") as file:
            head = json.loads(file.readline())
            if head["schema"] != _SCHEMA:
                age = "an earlier" if head["schema"] == _OLDER else "a newer"
                raise DataError(f"{path}: of {age} edgeflow; export the evidence again with this one")
            parts = tuple(_part(json.loads(line)) for line in file)
        return Population(bundle_sha256=str(head["bundle_sha256"]), graph=str(head["graph"]), parts=parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as cause:
        raise DataError(f"{path}: cannot be read: {cause}; export the evidence again") from cause


def _part(data: dict[str, Any]) -> PopulationPart:
    """One line of the file.

    Raises:
        ValueError, TypeError, AttributeError: it is none.
    """
    views = {str(view): float(score) for view, score in data["views"].items()}
    score = None if data["score"] is None else float(data["score"])
    if not all(map(math.isfinite, (*views.values(), score or 0.0))):
        raise ValueError(f"part {data['part_id']}: a score is not finite")
    if data["verdict"] not in get_args(VerdictName) or data["label"] not in (None, *get_args(LabelName)):
        raise ValueError(f"part {data['part_id']}: verdict {data['verdict']}, label {data['label']}")
    bounds = tuple(map(str, data["bounds"]))
    return PopulationPart(**{**data, "views": views, "score": score, "bounds": bounds})
