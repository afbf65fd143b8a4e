"""Clock of the sender of triggers, compared with this computer's: delay of every message."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["DRIFT_PPM", "SendTime", "SenderClock", "utc_ns"]

DRIFT_PPM = 100  # two quartz clocks part by less
_SETTLED = 3  # messages that agree: the first ones after a start may all have been held up together
_AGREE_NS = 20_000_000  # those that were held up together agree less: they were sent one part after the other
_NEW_EPOCH = 20  # messages in a row that are late by one and the same time: the sender's clock was set back
_NEW_EPOCH_NS = 5 * 10**9  # and for so long: a held-up connection empties its queue far sooner
_NEW_EPOCH_SPREAD_NS = 50_000_000
_JITTER_NS = 5_000_000  # so much later than the quickest one, messages always may be
_SECOND_NS = 10**9
_COARSE = 8  # messages at whole seconds that come at any moment within a second: a clock without fractions
_COARSE_NS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class SendTime:
    """Estimated time of sending.

    Attributes:
        moment_ns: monotonic, never after the arrival.
        held_ns: by how much it came later than that; 0 where nothing is known.
        known: whether other messages tell it. Without them, it may have been sent at any time before.
        settling: messages carry the time, but too few messages agree to know its clock.
    """

    moment_ns: int
    held_ns: int
    known: bool
    settling: bool = False


class SenderClock:
    """Keeps the smallest ``arrival − at``; pure.

    A message is only ever delayed, so the least delayed one is nearest to the offset of both clocks. The
    bound loosens with age by the drift of clocks. Only differences of ``at`` count: the sender's clock may
    be wrong by years. One that is set forward makes a new smallest value at once. One that is set back looks
    like messages that are held up, and is taken for that until 20 messages over 5 s are late by the same.
    What it tells is known once three messages agree.
    A clock that tells whole seconds only tells nothing here.
    """

    def __init__(self) -> None:
        self._bound_ns = 0  # smallest arrival − at, as of _bound_at_ns
        self._bound_at_ns = 0
        self._count = 0
        self._agreed = 0  # messages that came as quickly as the quickest one
        self._late: deque[tuple[int, int]] = deque(maxlen=_NEW_EPOCH)  # arrival, offset
        self._recent: deque[tuple[int, int]] = deque(maxlen=_COARSE)  # at, offset

    def estimate(self, at_ns: int | None, arrived_ns: int) -> SendTime:
        """Take a message; return the estimate.

        Args:
            at_ns: when it was sent, by the sender's clock; None where the message does not tell.
            arrived_ns: monotonic.
        """
        if at_ns is None:
            return SendTime(moment_ns=arrived_ns, held_ns=0, known=False)
        offset_ns = arrived_ns - at_ns
        aged_ns = self._bound_ns + (arrived_ns - self._bound_at_ns) * DRIFT_PPM // 10**6
        if self._count == 0 or offset_ns <= aged_ns:
            self._agreed = 1 if aged_ns - offset_ns > _AGREE_NS else self._agreed + 1
            aged_ns = self._bound(offset_ns, arrived_ns)
        elif self._is_new_epoch(arrived_ns, offset_ns, aged_ns):
            self._agreed = len(self._late)
            aged_ns = self._bound(min(offset for _, offset in self._late), arrived_ns)
        else:
            self._agreed += offset_ns - aged_ns <= _AGREE_NS
        self._count += 1
        self._recent.append((at_ns, offset_ns))
        if self._is_coarse():
            return SendTime(moment_ns=arrived_ns, held_ns=0, known=False)
        return SendTime(
            moment_ns=min(arrived_ns, at_ns + aged_ns),
            held_ns=max(0, offset_ns - aged_ns),
            known=self._agreed >= _SETTLED,
            settling=self._agreed < _SETTLED,
        )

    def _bound(self, offset_ns: int, arrived_ns: int) -> int:
        self._bound_ns, self._bound_at_ns = offset_ns, arrived_ns
        self._late.clear()
        return offset_ns

    def _is_new_epoch(self, arrived_ns: int, offset_ns: int, aged_ns: int) -> bool:
        """Return True when many messages are late by one time: a clock was set back, no network does that."""
        if offset_ns - aged_ns < _JITTER_NS:
            self._late.clear()
            return False
        self._late.append((arrived_ns, offset_ns))
        offsets = [offset for _, offset in self._late]
        return (
            len(self._late) == _NEW_EPOCH
            and arrived_ns - self._late[0][0] >= _NEW_EPOCH_NS
            and max(offsets) - min(offsets) < _NEW_EPOCH_SPREAD_NS
        )

    def _is_coarse(self) -> bool:
        whole = all(at_ns % _SECOND_NS == 0 for at_ns, _ in self._recent)
        if len(self._recent) < _COARSE or not whole:
            return False
        least_ns = min(offset for _, offset in self._recent)
        return 2 * sum(offset - least_ns > _COARSE_NS for _, offset in self._recent) >= _COARSE


def utc_ns(text: str) -> int | None:
    """Nanoseconds since 1970 of ``2026-11-28T12:00:00.25Z``; None where there is no such moment."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    try:
        moment = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 10**9 + int(fraction[:9].ljust(9, "0") or 0)
