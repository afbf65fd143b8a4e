"""The change that labelled evidence would make, in figures and in sentences."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.calibration.labelled.population_scores import GraphScores
from edgeflow.calibration.labelled.turned_verdicts import TurnedPart, TurnedVerdicts
from edgeflow.contracts.manifest import Thresholds
from edgeflow.contracts.scoring import scaled

__all__ = ["EvidencePreview"]


@dataclass(frozen=True, kw_only=True)
class EvidencePreview:
    """New thresholds of the graph that runs on a box, and their effect on its history.

    Attributes:
        normal_parts: good parts of the history: labelled OK, or judged OK and not labelled.
        effective_parts: number of exactly known parts that would tell the rate as well.
        kept: how many of them were scored again.
        rejected_before, rejected_now: how many of them the present and the new threshold reject.
        unlabelled_rejects: parts that the box did not judge OK and nobody has labelled: they set none.
        disputed: parts on which people disagree; they set none either.
        left_out: labelled parts that another bundle judged.
        scores: of all normal parts, for the bundle's other graphs.
    """

    graph: str
    before: Thresholds
    after: Thresholds
    turned: TurnedVerdicts
    normal_parts: int
    effective_parts: float
    kept: int
    rejected_before: int
    rejected_now: int
    unlabelled_rejects: int
    disputed: int
    left_out: int
    scores: GraphScores

    @property
    def moved(self) -> float:
        """The new part threshold on the present scale, where the present one is 1.0."""
        return scaled(self.after.part.threshold, self.before.part)

    @property
    def interval(self) -> tuple[float, float | None] | None:
        """Its confidence interval on that scale."""
        found = self.after.part.interval
        if found is None:
            return None
        return (
            scaled(found.low, self.before.part),
            None if found.high is None else scaled(found.high, self.before.part),
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The change for people, most important first."""
        turned = self.turned
        return tuple(
            filter(
                None,
                (
                    self._threshold(),
                    f"of {turned.labelled_ng} parts labelled NG, {len(turned.passing_before)} pass now and "
                    f"{len(turned.passing)} would pass"
                    if turned.labelled_ng
                    else "no part is labelled NG: how many defective parts would pass is unknown",
                    f"of {self.normal_parts} good parts in the history, {self.rejected_before} are over the "
                    f"present threshold and {self.rejected_now} over the new one",
                    f"of {turned.parts} verdicts in the history, {len(turned.to('OK'))} would turn from NG "
                    f"to OK and {len(turned.to('NG'))} from OK to NG",
                    *self._remarks(),
                ),
            )
        )

    def _threshold(self) -> str:
        interval = self.interval
        if interval is None:
            shown = ""
        else:
            high = ", not bounded above" if interval[1] is None else f" to {interval[1]:.2f}"
            shown = f" (95 % interval from {interval[0]:.2f}{high})"
        return f"on the present scale, where the threshold is 1.00, it would lie at {self.moved:.2f}{shown}"

    def _remarks(self) -> tuple[str, ...]:
        return (
            self.after.note or "",
            f"{self.kept} kept parts were scored again; all {self.normal_parts} together tell the rate as "
            f"well as {self.effective_parts:.0f} exactly known parts would"
            if not self.scores.part.is_whole
            else "",
            f"{self.turned.unsure} verdicts depend on masks that were not asked for, and may turn"
            if self.turned.unsure
            else "",
            f"{self.unlabelled_rejects} rejects have no label and set no threshold: if good parts are among "
            "them, it lies too low; label them"
            if self.unlabelled_rejects
            else "",
            f"on {self.disputed} parts people disagree: these set no threshold" if self.disputed else "",
            f"{self.left_out} labelled parts were judged by another bundle or graph, and are left out"
            if self.left_out
            else "",
        )

    def document(self) -> dict[str, object]:
        """Return the change as it is printed with ``--json``."""
        turned = self.turned
        return {
            "graph": self.graph,
            "moved": self.moved,
            "moved_interval": None if self.interval is None else list(self.interval),
            "before": self.before.model_dump(mode="json"),
            "thresholds": self.after.model_dump(mode="json"),
            "good_parts": self.normal_parts,
            "effective_parts": round(self.effective_parts, 1),
            "scored_again": self.kept,
            "good_rejected_before": self.rejected_before,
            "good_rejected_now": self.rejected_now,
            "labelled_ng": turned.labelled_ng,
            "labelled_ng_passing_before": list(turned.passing_before),
            "labelled_ng_passing": list(turned.passing),
            "verdicts": turned.parts,
            "turned": [_turned(found) for found in turned.turned],
            "unsure": turned.unsure,
            "unlabelled_rejects": self.unlabelled_rejects,
            "disputed": self.disputed,
            "left_out": self.left_out,
            "sentences": list(self.sentences),
        }


def _turned(found: TurnedPart) -> dict[str, object]:
    part = found.part
    return {
        "result_id": part.result_id,
        "part_id": part.part_id,
        "verdict": part.verdict,
        "would_be": found.verdict,
        "label": part.label,
        "score_before": found.before,
        "score_after": found.after,
        "pictures": part.data_set or part.evidence,
    }
