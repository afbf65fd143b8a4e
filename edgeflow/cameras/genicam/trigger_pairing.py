"""Pairing of frames with the software triggers that caused them, by count and time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edgeflow.cameras.genicam.device_clock import DeviceClock

__all__ = ["Paired", "TriggerPairing"]

_REMEMBERED = 64  # triggers; far more than can be on their way at once
_LAGS = 200  # latest answers, of which the quickest and the slowest count
_CONFIRMED = 2  # frames in a row that agree lock the count again
_GIVE_UP = 12  # frames in a row of which none could be paired
_SLOWER = 0.8  # share of the time to the next trigger by which a counted answer may be slower than others
_SLOWER_EARLY = 0.6  # the same while few answers are known
_NEARER = 0.5  # the same where time alone tells
_STEADY = 0.7  # share of the time between two triggers within which answers have to come for that
_SLOWEST = 0.95  # share of the answers that counts for it
_QUICKER = 0.1  # share of it by which an answer may be quicker than any before
_QUICKER_EARLY = 0.25  # the same while few answers are known
_QUICKER_ALONE = 0.45  # the same while few are known, and for a trigger sent while nothing was on its way
_FEW = 20
_AFTER_PAUSE = "after this pause, the camera's clock does not tell the triggers apart"


@dataclass(frozen=True, kw_only=True)
class Paired:
    """A frame with the trigger that caused it, as far as known.

    Attributes:
        trigger_id: that caused it; with ``why``, the one that it must not be used for.
        why: why it cannot be used; empty where all is well.
        hopeless: nothing was paired for so long that the camera has to be set up anew.
    """

    trigger_id: str | None
    why: str = ""
    hopeless: bool = False


@dataclass(frozen=True, kw_only=True)
class _Sent:
    trigger_id: str
    at_ns: int
    alone: bool  # nothing was on its way


class TriggerPairing:
    """The n-th trigger belongs to the n-th frame as the camera counts them; time may only contradict.

    The count is locked by single triggers while nothing else is on its way (``answered``). From then on
    every frame has to be exposed, by the camera's clock, between its own trigger and the next one: its
    ``lag`` behind the trigger is compared with the quickest one so far. A trigger that the camera ignored,
    or a frame too many, contradicts: the frame is given up, and the count that time suggests is believed
    when two frames in a row agree with it; but not while a camera's answers vary by most of the time
    between two triggers. Nothing is paired after a pause in which clocks may have drifted too far.

    Not thread-safe. ``clock`` is told of every frame, and of every trigger that surely caused one.
    """

    def __init__(self, clock: DeviceClock) -> None:
        self._clock = clock
        self._sent: deque[_Sent] = deque(maxlen=_REMEMBERED)
        self._number = 0  # of the trigger that is sent next
        self._offset: int | None = None  # position of a frame less the number of its trigger
        self._agreed = 0
        self._failed = 0
        self._newest = -1  # number of the latest trigger of which a frame came
        self._lags: deque[int] = deque(maxlen=_LAGS)  # of frames that fit their trigger
        self._all_lags: deque[int] = deque(maxlen=_LAGS)  # by the count, whether they fit or not

    @property
    def owed_since_ns(self) -> int | None:
        """Time of the first trigger that has no frame yet, by the count; None where all have one."""
        owed = max(self._newest + 1, self._number - len(self._sent))
        sent = self._trigger(owed)
        return sent.at_ns if sent else None

    def sent(self, trigger_id: str, at_ns: int) -> None:
        """Record a trigger, sent to the camera from ``at_ns`` (monotonic) on."""
        alone = self.owed_since_ns is None
        self._sent.append(_Sent(trigger_id=trigger_id, at_ns=at_ns, alone=alone))
        self._number += 1

    def answered(self, position: int, device_ns: int, arrived_ns: int, *, since_ns: int) -> None:
        """Take a frame that only triggers since ``since_ns`` can have caused, and that no other follows."""
        self._clock.arrived(device_ns, arrived_ns)
        earliest_ns = self._clock.exposed_ns(device_ns)[0]
        self._note(0 if earliest_ns is None else earliest_ns - since_ns, self._clock.slack_ns(device_ns))
        self._clock.triggered(device_ns, since_ns)
        self.count_from(position)

    def count_from(self, position: int) -> None:
        """Count from the frame at ``position``: no other is in flight."""
        self._offset = position - (self._number - 1)
        self._agreed = _CONFIRMED
        self._newest = self._number - 1

    def lost(self, position: int | None) -> str | None:
        """Take a damaged frame; return its trigger, or None where it is not certain."""
        if position is None:
            only = self._newest + 1 == self._number - 1
            self._newest += only
            sent = self._trigger(self._newest) if only else None
        else:
            sent = self._trigger(self._number_of(position))
        return sent.trigger_id if sent and self._locked else None

    def arrived(self, position: int, device_ns: int, arrived_ns: int) -> Paired:
        """Take a frame; return it with its trigger.

        Args:
            position: by the camera's counter, without its wrap-around.
            device_ns: the camera's stamp.
            arrived_ns: monotonic.
        """
        self._clock.arrived(device_ns, arrived_ns)
        number = self._number_of(position)
        sent = self._trigger(number)
        if number is None or sent is None:
            return self._unpaired(position, device_ns, sent, "an image came without a trigger")
        lag_ns = self._lag_ns(sent, device_ns)
        if lag_ns is not None and self._locked:
            self._all_lags.append(lag_ns)
        if lag_ns is None:
            return self._unpaired(position, device_ns, sent, "the camera's clock was set, or began anew")
        slower = _SLOWER if len(self._lags) >= _FEW else _SLOWER_EARLY
        if not self._fits(number, lag_ns, slower):
            why = "triggers and images do not go together: a trigger was ignored, or an image came unasked"
            return self._unpaired(position, device_ns, sent, why)
        self._note(lag_ns, self._clock.slack_ns(device_ns))
        self._agreed += 1
        why = self._doubt(number, device_ns)
        if why:
            self._failed += why == _AFTER_PAUSE
            return self._unusable(sent, why)
        self._failed = 0
        self._clock.triggered(device_ns, sent.at_ns)
        return Paired(trigger_id=sent.trigger_id)

    @property
    def _locked(self) -> bool:
        return self._agreed >= _CONFIRMED

    def _number_of(self, position: int) -> int | None:
        """The number of its trigger, by the count."""
        if self._offset is None:
            return None
        self._newest = max(self._newest, min(position - self._offset, self._number - 1))
        return position - self._offset

    def _doubt(self, number: int, device_ns: int) -> str:
        """Return the reason not to use a frame although count and time agree; empty where it may be used."""
        if not self._locked:
            return "triggers and images did not go together, and are counted anew"
        if self._clock.slack_ns(device_ns) > min(self._gaps_ns(number)) / 4:
            return _AFTER_PAUSE
        return ""

    def _unpaired(self, position: int, device_ns: int, sent: _Sent | None, why: str) -> Paired:
        """Count anew from the one trigger that time suggests for this frame, if there is one."""
        self._agreed = 0
        self._failed += 1
        fitting = [number for number in self._remembered() if self._suggests(number, device_ns)]
        if len(fitting) == 1:
            self._offset = position - fitting[0]
            self._agreed = 1
        return self._unusable(sent, why)

    def _remembered(self) -> range:
        return range(self._number - len(self._sent), self._number)

    def _suggests(self, number: int, device_ns: int) -> bool:
        """Return True when time alone shows that a frame belongs to this trigger."""
        sent = self._trigger(number)
        lag_ns = None if sent is None else self._lag_ns(sent, device_ns)
        if lag_ns is None or not self._fits(number, lag_ns, _NEARER):
            return False
        lags = sorted(self._all_lags)
        slowest_ns = lags[int(_SLOWEST * (len(lags) - 1))] if lags else 0
        return slowest_ns - min(self._lags, default=0) <= _STEADY * min(self._gaps_ns(number))

    def _unusable(self, sent: _Sent | None, why: str) -> Paired:
        hopeless = self._failed >= _GIVE_UP
        return Paired(trigger_id=sent.trigger_id if sent else None, why=why, hopeless=hopeless)

    def _fits(self, number: int, lag_ns: int, slower: float) -> bool:
        """Return True when a frame was exposed between this trigger and well before the next one."""
        before_ns, after_ns = self._gaps_ns(number)
        since_quickest_ns = lag_ns - min(self._lags, default=0)
        sent = self._trigger(number)
        quicker = _QUICKER
        if len(self._lags) < _FEW:
            quicker = _QUICKER_ALONE if sent is not None and sent.alone else _QUICKER_EARLY
        return -before_ns * quicker < since_quickest_ns < after_ns * slower

    def _note(self, lag_ns: int, slack_ns: int) -> None:
        """Remember a lag; one that drift does not explain moves the clock's lower bound, and all lags."""
        moved_ns = -lag_ns - 2 * slack_ns  # the bound was loosened, and the clocks may have parted
        if moved_ns > 0:
            self._lags = deque((lag + moved_ns for lag in self._lags), maxlen=_LAGS)
        self._lags.append(max(0, lag_ns))

    def _trigger(self, number: int | None) -> _Sent | None:
        oldest = self._number - len(self._sent)
        if number is None or not oldest <= number < self._number:
            return None
        return self._sent[number - oldest]

    def _gaps_ns(self, number: int) -> tuple[float, float]:
        """The time from the trigger before, and to the next one."""
        this, before, after = (self._trigger(n) for n in (number, number - 1, number + 1))
        assert this is not None  # noqa: S101 - callers made sure
        return (
            float("inf") if before is None else this.at_ns - before.at_ns,
            float("inf") if after is None else after.at_ns - this.at_ns,
        )

    def _lag_ns(self, sent: _Sent, device_ns: int) -> int | None:
        """Return the shortest time from a trigger to its frame's exposure; None where that is unknown."""
        earliest_ns = self._clock.exposed_ns(device_ns)[0]
        return None if earliest_ns is None else earliest_ns - sent.at_ns
