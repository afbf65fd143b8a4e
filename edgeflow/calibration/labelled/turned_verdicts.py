"""Verdicts of a box's history that new thresholds would turn; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.contracts.datasets.population import Population, PopulationPart
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import VerdictName
from edgeflow.contracts.scoring import scaled

__all__ = ["TurnedPart", "TurnedVerdicts"]


@dataclass(frozen=True, kw_only=True)
class TurnedPart:
    """A part that would get another verdict.

    Attributes:
        before, after: its score by the present and by the new threshold, where 1.0 is the threshold.
    """

    part: PopulationPart
    verdict: VerdictName
    before: float
    after: float


@dataclass(frozen=True, kw_only=True)
class TurnedVerdicts:
    """Parts of the history that would get another verdict.

    Attributes:
        turned: the one with the highest score first.
        unsure: parts without images of which only a bound of the score is known: their masks would tell.
        labelled_ng: parts labelled NG that were scored.
        passing_before, passing: result ids of those of them that the present and the new threshold lets pass.
        parts: all that were scored with all views and judged OK or NG.
    """

    turned: tuple[TurnedPart, ...]
    unsure: int
    labelled_ng: int
    passing_before: tuple[str, ...]
    passing: tuple[str, ...]
    parts: int

    @classmethod
    def of(
        cls, population: Population, rescored: Mapping[str, float], before: Scale, after: Scale
    ) -> TurnedVerdicts:
        """Judge every part of a population again.

        Args:
            rescored: result id → part score with all masks, of parts of which the history has only a bound.
            before, after: of the part score.
        """
        scored = [part for part in population.parts if part.is_scored and part.verdict != "UNDECIDED"]
        turned: list[TurnedPart] = []
        unsure = 0
        for part in scored:
            score = _score(part, rescored)
            verdict: VerdictName = "OK" if scaled(score, after) <= 1.0 else "NG"
            is_bound = not part.is_exact and part.result_id not in rescored
            if is_bound and verdict == "NG" and (part.verdict == "OK" or after.threshold > before.threshold):
                unsure += 1
                continue
            if verdict == part.verdict:
                continue
            places = scaled(score, before), scaled(score, after)
            turned.append(TurnedPart(part=part, verdict=verdict, before=places[0], after=places[1]))
        labelled_ng = [part for part in population.parts if part.is_scored and part.label == "NG"]

        def pass_by(scale: Scale) -> tuple[str, ...]:
            return tuple(p.result_id for p in labelled_ng if scaled(_score(p, rescored), scale) <= 1.0)

        return cls(
            turned=tuple(sorted(turned, key=lambda found: -found.after)),
            unsure=unsure,
            labelled_ng=len(labelled_ng),
            passing_before=pass_by(before),
            passing=pass_by(after),
            parts=len(scored),
        )

    def to(self, verdict: VerdictName) -> tuple[TurnedPart, ...]:
        """Return the parts that would get this verdict."""
        return tuple(found for found in self.turned if found.verdict == verdict)


def _score(part: PopulationPart, rescored: Mapping[str, float]) -> float:
    return rescored.get(part.result_id, part.score if part.score is not None else 0.0)
