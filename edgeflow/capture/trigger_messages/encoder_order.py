"""Order of parts by an encoder, which may wrap, jump, be zeroed or run backwards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

__all__ = ["EncoderOrder"]

_FAR = 20  # times the longest step: no message is overtaken by so many parts
_REMEMBERED = 16
_LEAST_GAP_NS = 20_000_000  # between two parts, while nothing is known of the line's pace
_MOST_GAP_NS = 1_000_000_000  # however slow the line was, a burst is over by then
_SAME_DROP = 0.5  # steps
_LEAST_DROP = 2.5  # steps: a shorter fall is rather a message that one or two parts overtook


@dataclass(frozen=True, kw_only=True)
class _Position:
    value: int
    at_ns: int


class EncoderOrder:
    """Tells a message that was overtaken from an encoder that begins anew; pure.

    A position that is behind the last one by a few parts may belong to a message that was overtaken, so it is
    in doubt. It is the beginning of a new epoch where

    - it is behind by more than messages can be overtaken: it wrapped, was zeroed, or jumped; or
    - the sender's clock says that it was sent after the last one; or
    - the encoder fell by as much before; or
    - more messages come at the line's pace that do not go on from the last one. Overtaken ones come in a
      burst.

    So one part is in doubt after an encoder began anew (more, where the line runs twice as fast as before),
    and a line that runs backwards is followed.
    """

    def __init__(self) -> None:
        self._recent: deque[_Position] = deque(maxlen=_REMEMBERED)
        self._direction = 1
        self._doubted: _Position | None = None
        self._drops: deque[int] = deque(maxlen=4)
        self._stride: int | None = None  # the longest of the latest steps

    def follows(self, value: int, now_ns: int, *, sent_later: bool) -> bool:
        """Take a position; return False when a later part passed before it.

        Args:
            sent_later: the sender's clock says that it was sent after the last one that followed.
        """
        here = _Position(value=value, at_ns=now_ns)
        if not self._recent:
            return self._take(here)
        ahead = self._direction * (value - self._recent[-1].value)
        if ahead >= 0:
            if self._is_far(ahead):  # a jump: the steps before tell more than this one
                self._recent.clear()
            return self._take(here)
        if sent_later or self._is_far(-ahead) or self._fell_so_before(-ahead):
            return self._begin_anew(here)
        if self._doubted is None:
            self._doubted = here
        elif self._is_paced(self._doubted, here):
            doubted = self._doubted
            self._direction = 1 if value >= doubted.value else -1
            self._begin_anew(doubted)
            return self._take(here)
        return False

    def _take(self, here: _Position) -> bool:
        self._recent.append(here)
        self._doubted = None
        if len(self._recent) > 1:
            self._stride = max(1, *(abs(b.value - a.value) for a, b in pairwise(self._recent)))
        return True

    def _begin_anew(self, here: _Position) -> bool:
        drop = abs(self._recent[-1].value - here.value)
        if self._stride is not None and drop >= _LEAST_DROP * self._stride:
            self._drops.append(drop)
        self._recent.clear()
        return self._take(here)

    def _is_far(self, distance: int) -> bool:
        return self._stride is not None and distance > _FAR * self._stride

    def _fell_so_before(self, behind: int) -> bool:
        return self._stride is not None and any(
            abs(behind - drop) <= _SAME_DROP * self._stride for drop in self._drops
        )

    def _is_paced(self, first: _Position, second: _Position) -> bool:
        gaps_ns = [b.at_ns - a.at_ns for a, b in pairwise(self._recent)]
        usual_ns = median(gaps_ns) if gaps_ns else 0
        return second.at_ns - first.at_ns >= min(_MOST_GAP_NS, max(_LEAST_GAP_NS, usual_ns / 2))
