"""Comparison of a candidate with the running bundle, for people: parts that would turn, counts, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeflow.config.box import BoxConfig
from edgeflow.errors import StorageError, UsageError
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.shadow.comparison import OUTCOMES, Outcome
from edgeflow.shadow.store import CandidateInfo, ShadowPart, ShadowReader, pictures_folder

__all__ = ["LabelledCount", "ShadowReport", "TurnedPart", "shadow_report"]

_MOST_NAMED = 200
_TURNS: tuple[Outcome, ...] = ("to_ng", "to_ok")


@dataclass(frozen=True, kw_only=True)
class TurnedPart:
    """A part whose verdict would be another one.

    Attributes:
        label: of people, OK or NG; None where there is none.
        picture: of the candidate's maps; None where it is not kept.
    """

    part: ShadowPart
    label: str | None
    picture: Path | None


@dataclass(frozen=True, kw_only=True)
class LabelledCount:
    """Labelled parts that were compared: judged rightly by the running bundle, and by the candidate."""

    parts: int = 0
    running_right: int = 0
    candidate_right: int = 0


@dataclass(frozen=True, kw_only=True)
class ShadowReport:
    """All that is known of one candidate.

    Attributes:
        since: time of its first load beside the present bundle.
        outcomes: every outcome → number of parts, since then.
        skipped: reason → parts that were not compared.
        turned: those that are kept, the latest first, at most 200 of each kind.
        labels: parts that people labelled.
    """

    candidate: CandidateInfo
    since: str
    outcomes: Mapping[str, int]
    skipped: Mapping[str, int]
    turned: tuple[TurnedPart, ...]
    labels: LabelledCount

    @property
    def compared(self) -> int:
        """Number of parts that both judged."""
        return sum(self.outcomes.values())

    @property
    def skipped_share(self) -> float:
        """Share of parts that were not compared; 0 where there were none."""
        skipped = sum(self.skipped.values())
        return skipped / (skipped + self.compared) if skipped else 0.0


def shadow_report(config: BoxConfig, sha256: str | None = None) -> ShadowReport:
    """Read what was compared of the latest candidate, or of the one with a hash.

    Args:
        sha256: the first digits are enough.

    Raises:
        UsageError: nothing was compared, or not this candidate.
        StorageError: a database cannot be read.
    """
    with ShadowReader(config.shadow_path) as reader:
        found = {
            number: candidate
            for number, candidate in reader.candidates().items()
            if sha256 is None or candidate[0].sha256.startswith(sha256)
        }
        if not found:
            raise UsageError(f"{config.shadow_path}: no candidate {sha256 or ''} was compared yet")
        number, (info, since) = next(iter(found.items()))
        counts = reader.counts(number)
        labels = _labels(config.history_path)
        folder = pictures_folder(config.shadow_path)
        turned: list[TurnedPart] = []
        for outcome in _TURNS:
            for part in reader.parts(number, outcome):
                if sum(one.part.outcome == outcome for one in turned) >= _MOST_NAMED:
                    break
                picture = folder / part.picture if part.picture else None
                kept = picture if picture is not None and picture.is_file() else None
                turned.append(TurnedPart(part=part, label=labels.get(part.result_id), picture=kept))
        return ShadowReport(
            candidate=info,
            since=since,
            outcomes={outcome: counts[outcome] for outcome in OUTCOMES},
            skipped={what: count for what, count in counts.items() if what not in OUTCOMES},
            turned=tuple(turned),
            labels=_counted(reader, number, labels),
        )


def _labels(history: Path) -> dict[str, str]:
    """Result id → label; empty where the box keeps no history."""
    try:
        with HistoryReader(history) as reader:
            rows = reader.each(ResultFilter(labelled="yes"))
            return {row.result_id: row.label for row in rows if row.label and not row.disputed}
    except StorageError:
        if history.exists():
            raise
        return {}


def _counted(reader: ShadowReader, number: int, labels: Mapping[str, str]) -> LabelledCount:
    if not labels:
        return LabelledCount()
    labelled = [
        (part, label) for part in reader.parts(number) if (label := labels.get(part.result_id)) is not None
    ]
    return LabelledCount(
        parts=len(labelled),
        running_right=sum(part.running == label for part, label in labelled),
        candidate_right=sum(part.verdict == label for part, label in labelled),
    )
