"""All results of one bundle and graph in a history, as the population that kept parts stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.evidence_folders import part_views
from edgeflow.contracts.datasets.population import Population, PopulationPart
from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.errors import DataError
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import PartRow

__all__ = ["BoxPopulation", "box_population", "population_parts"]


@dataclass(frozen=True, kw_only=True)
class BoxPopulation:
    """The results of a box by one bundle, with the images that the box still has.

    Attributes:
        images: result id → the recorded part, of normal parts and of those labelled NG.
        labelled_elsewhere: labelled parts that another bundle or graph judged.
    """

    population: Population
    images: Mapping[str, RecordedPart]
    labelled_elsewhere: int


def population_parts(
    reader: HistoryReader, chosen: ResultFilter, copied: Mapping[str, str]
) -> Iterator[PopulationPart]:
    """Yield the results of a choice, the latest first.

    Args:
        copied: result id → place in a data set.
    """
    for row in reader.each(chosen):
        views = reader.views(row.number)
        scores = {view.view: view.score_raw for view in views if view.score_raw is not None}
        yield PopulationPart(
            result_id=row.result_id,
            part_id=row.part_id,
            verdict=row.verdict,
            label=row.label,
            score=row.score_raw,
            views=scores,
            bounds=tuple(view.view for view in views if view.score_raw is not None and not view.exact),
            complete=len(scores) == len(views) and bool(views),
            disputed=row.disputed,
            kept=row.kept,
            data_set=copied.get(row.result_id),
            evidence=row.evidence,
        )


def box_population(reader: HistoryReader, evidence_dir: Path | None, bundle_sha256: str) -> BoxPopulation:
    """Return what a box has inspected with one bundle, by the graph that ran last.

    Args:
        evidence_dir: of the box; images elsewhere are not read. None: it keeps none.

    Raises:
        DataError: the history has no result by this bundle.
        StorageError: it cannot be read.
    """
    newest = reader.rows(ResultFilter(bundle_sha256=bundle_sha256), count=1)
    if not newest:
        raise DataError(_unknown_bundle(reader, bundle_sha256))
    chosen = ResultFilter(bundle_sha256=bundle_sha256, graph=newest[0].graph)
    rows = {part.result_id: part for part in population_parts(reader, chosen, {})}
    population = Population(bundle_sha256=bundle_sha256, graph=newest[0].graph, parts=tuple(rows.values()))
    images = {
        part.result_id: found
        for part in population.parts
        if (found := _recorded(part, evidence_dir)) is not None
    }
    labelled = sum(part.label is not None for part in population.parts)
    elsewhere = reader.count(ResultFilter(labelled="yes")) - labelled
    return BoxPopulation(population=population, images=images, labelled_elsewhere=elsewhere)


def _unknown_bundle(reader: HistoryReader, bundle_sha256: str) -> str:
    latest: list[PartRow] = reader.rows(count=1)
    judged = (
        f"its latest result is by {latest[0].bundle} version {latest[0].bundle_version}, sha256 "
        f"{latest[0].bundle_sha256[:16]}…"
        if latest
        else "it is empty"
    )
    return (
        f"the history has no result by this bundle (sha256 {bundle_sha256[:16]}…); {judged}; give the bundle "
        "with which the box inspects"
    )


def _recorded(part: PopulationPart, evidence_dir: Path | None) -> RecordedPart | None:
    """The images of a part; None where they are not kept, or are gone."""
    if part.evidence is None or evidence_dir is None:
        return None
    folder = Path(part.evidence)
    try:
        inside = folder.resolve().is_relative_to(evidence_dir.resolve())
        images = part_views(folder, part.part_id, []) if inside else {}
    except (OSError, DataError):
        return None
    if not set(part.views) <= set(images):
        return None
    label = "OK" if part.is_normal else "defect"
    return RecordedPart(part_id=part.result_id, images=images, masks={}, label=label, split=None)
