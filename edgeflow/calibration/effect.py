"""Parts that new thresholds would judge otherwise than the old ones, and how far the thresholds moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.calibration.detection_rates import Rate, recall
from edgeflow.contracts.manifest import Thresholds
from edgeflow.contracts.scoring import scaled
from edgeflow.errors import AccuracyError

__all__ = ["MOST_MOVED", "Effect", "far_moved", "require_small"]

MOST_MOVED = 0.25
"""On the old scale, where the threshold is 1.0: a threshold that moves farther is not taken unseen."""
_MOST_NAMED = 12


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Effect of new thresholds on a bundle.

    Attributes:
        moved: name of a threshold that decides → where it lies now on the old scale.
        rejected_before, rejected_now: good parts on record, with their scores on the old scale.
        parts: how many good parts there are on record.
        recall_before, recall_now: of the bundle's own defective parts; None where it knows of none.
    """

    moved: Mapping[str, float]
    rejected_before: Mapping[str, float]
    rejected_now: Mapping[str, float]
    parts: int
    recall_before: Rate | None
    recall_now: Rate | None

    @classmethod
    def of(cls, before: Thresholds, after: Thresholds, good: Mapping[str, float]) -> Effect:
        """Compare thresholds.

        Args:
            good: id → raw part score of the good parts on record.
        """
        moved = {"part": scaled(after.part.threshold, before.part)}
        moved |= {
            f"part from {key}": scaled(scale.threshold, before.subsets[key])
            for key, scale in after.subsets.items()
            if key in before.subsets
        }

        def over(threshold: float) -> dict[str, float]:
            return {name: scaled(raw, before.part) for name, raw in good.items() if raw > threshold}

        return cls(
            moved=moved,
            rejected_before=over(before.part.threshold),
            rejected_now=over(after.part.threshold),
            parts=len(good),
            recall_before=recall(before),
            recall_now=recall(before, after.part.threshold),
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Warnings for the reader, most important first."""
        return tuple(
            filter(
                None,
                (
                    self._defective(),
                    f"of the {self.parts} good parts, {len(self.rejected_before)} are rejected by the bundle "
                    f"as it is, {len(self.rejected_now)} by the new threshold",
                    self._suspects(),
                ),
            )
        )

    def _defective(self) -> str:
        if self.recall_before is None or self.recall_now is None:
            return "the bundle knows no scores of defective parts: what it would still reject is unknown"
        return (
            f"of the bundle's own defective parts, {self.recall_before} are rejected by the bundle as it is, "
            f"{self.recall_now} by the new threshold"
        )

    def _suspects(self) -> str:
        if not self.rejected_before:
            return ""
        worst = sorted(self.rejected_before.items(), key=lambda item: -item[1])
        named = ", ".join(f"{name} ({score:.2f})" for name, score in worst[:_MOST_NAMED])
        more = f" and {len(worst) - _MOST_NAMED} more" if len(worst) > _MOST_NAMED else ""
        if 2 * len(worst) > self.parts:
            return (
                f"most good parts score over the bundle's threshold: light, camera or product are not those "
                f"of the training: {named}{more}; put that right, or train with parts from here"
            )
        return (
            f"these may be defective parts among the good ones: {named}{more}; look at them, and take the "
            "defective ones out"
        )


def far_moved(effect: Effect) -> dict[str, float]:
    """Return name → place on the old scale of the thresholds that move too far to be taken unseen."""
    return {name: place for name, place in effect.moved.items() if abs(place - 1.0) > MOST_MOVED}


def require_small(graph: str, effect: Effect, sentences: tuple[str, ...] = ()) -> None:
    """Refuse thresholds that moved too far.

    Args:
        graph: whose thresholds they are.
        sentences: what they would do; default: the effect's own.

    Raises:
        AccuracyError: says where they would lie, and what they would let pass.
    """
    far = far_moved(effect)
    if not far:
        return
    places = ", ".join(f"that of {name} to {place:.2f}" for name, place in far.items())
    raise AccuracyError(
        f"the threshold of {graph} would move on its own scale, where it is 1.00: {places}; by more than "
        f"{MOST_MOVED:g} only with --accept; nothing was written",
        problems=sentences or effect.sentences,
    )
