"""Scores of a whole population from its history and from few parts that were scored again; pure.

A box keeps every reject and few of its good parts: among parts of one verdict and one score in the history,
the kept ones are a fair sample. So a part whose score by a graph is unknown takes the difference that a kept
part of its verdict has shown: nearest-neighbour imputation by the score in the history, five neighbours in
turn. Each part of the history counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CompletedScores", "complete"]

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
_SEED = 23
_DRAWS = 100
_NEIGHBOURS = 5
_SIMILAR = 25


@dataclass(frozen=True, kw_only=True)
class CompletedScores:
    """Scores of all normal parts of a population by one graph.

    Attributes:
        scores: (n,) all of them, some taken from a neighbour.
        guide: (n,) scores in the history, by which neighbours are found.
        taken: (n,) index of the part whose difference a part took; -1 where its own score is known.
        similar: donor → indices of donors whose difference it might have shown as well.
    """

    scores: Floats
    guide: Floats
    taken: Counts
    similar: Mapping[int, Counts]

    @property
    def is_whole(self) -> bool:
        """True if every part's own score is known."""
        return not self.similar

    @property
    def stands_for(self) -> Mapping[int, int]:
        """Donor → number of inspected parts that it stands for, without itself."""
        counts = np.bincount(self.taken[self.taken >= 0], minlength=len(self.scores))
        return {donor: int(counts[donor]) for donor in self.similar}

    def effective_parts(self, rate: float) -> float:
        """Number of exactly known parts that would tell the score exceeded at a rate as well.

        The differences that parts give to others are drawn again among similar parts. What that adds to the
        binomial spread of the share beyond the score counts, and how far it moves that share: with few kept
        parts the similar ones are not similar.
        """
        n = len(self.scores)
        if self.is_whole:
            return float(n)
        exceeded = round(rate * n)
        usual = float(np.median([_exceeded_by(drawn, exceeded) for drawn in self._redrawn()]))
        found = _exceeded_by(self.scores, exceeded)
        beyond = np.array([((drawn > usual).mean(), (drawn > found).mean()) for drawn in self._redrawn()])
        moved = beyond[:, 1].mean() - exceeded / n
        spread = rate * (1 - rate)
        return float(spread / (spread / n + beyond[:, 0].var() + moved**2))

    def interval(self, rate: float, level: float) -> tuple[float, float | None]:
        """Confidence interval of the score that parts exceed at the rate; None: no upper end is known."""
        beyond = np.random.default_rng(_SEED).binomial(len(self.scores), rate, _DRAWS)
        found = [_exceeded_by(drawn, count) for drawn, count in zip(self._redrawn(), beyond, strict=True)]
        low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high) if (beyond == 0).mean() < (1 - level) / 2 else None

    def _redrawn(self) -> Iterator[Floats]:
        """The scores again and again, each donor's difference replaced by that of a similar one."""
        rng = np.random.default_rng(_SEED)
        unknown = self.taken >= 0
        taken, guide = self.taken[unknown], self.guide[unknown]
        difference = self.scores - self.guide
        donors = np.fromiter(self.similar, np.int64)
        width = np.array([len(similar) for similar in self.similar.values()], np.int64)
        pool = np.stack([np.resize(similar, _SIMILAR) for similar in self.similar.values()])
        for _ in range(_DRAWS):
            drawn = difference.copy()
            drawn[donors] = difference[pool[np.arange(len(donors)), rng.integers(0, width)]]
            scores = self.scores.copy()
            scores[unknown] = guide + drawn[taken]
            yield scores


def complete(
    own: Floats, guide: Floats, donors: npt.NDArray[np.bool_], group: npt.NDArray[np.bool_]
) -> CompletedScores:
    """Complete scores; the caller sees to it that there are donors where scores are unknown.

    Args:
        own: (n,) scores by the graph, NaN where unknown.
        guide: (n,) scores in the history.
        donors: (n,) parts whose difference between both others may take.
        group: (n,) parts take from donors of their own group, if there are any.
    """
    unknown = np.isnan(own)
    givers = donors & ~unknown
    taken = np.full(len(own), -1, np.int64)
    similar: dict[int, Counts] = {}
    for member in (group, ~group):
        wanting = np.flatnonzero(unknown & member)
        chosen = np.flatnonzero(givers & member if (givers & member).any() else givers)
        if not len(wanting) or not len(chosen):
            continue
        chosen = chosen[np.argsort(guide[chosen], kind="stable")]
        taken[wanting] = chosen[_nearest(guide[chosen], guide[wanting])]
        wide = min(_SIMILAR, len(chosen))
        first = (np.arange(len(chosen)) - wide // 2).clip(0, len(chosen) - wide)
        similar |= {int(donor): chosen[at : at + wide] for donor, at in zip(chosen, first, strict=True)}
    scores = own.copy()
    filled = taken >= 0
    scores[filled] = guide[filled] + (own - guide)[taken[filled]]
    return CompletedScores(scores=scores, guide=guide, taken=taken, similar=similar)


def _nearest(ordered: Floats, wanted: Floats) -> Counts:
    """Indices (k,) of ordered values (m,) for each of k values: of its five nearest, each in turn."""
    if not len(ordered) or not len(wanted):
        return np.zeros(len(wanted), np.int64)
    right = np.searchsorted(ordered, wanted).clip(0, len(ordered) - 1)
    left = (right - 1).clip(0)
    is_left = np.abs(wanted - ordered[left]) <= np.abs(ordered[right] - wanted)
    count = min(_NEIGHBOURS, len(ordered))
    first = (np.where(is_left, left, right) - count // 2).clip(0, len(ordered) - count)
    turn = np.empty(len(wanted), np.int64)
    turn[np.argsort(wanted, kind="stable")] = np.arange(len(wanted)) % count
    return (first + turn).astype(np.int64)


def _exceeded_by(scores: Floats, count: int) -> float:
    """The score that so many of the scores (n,) exceed."""
    place = max(0, len(scores) - 1 - count)
    return float(np.partition(scores, place)[place])
