"""Key frames: pictures between them depend on earlier ones, so that none is used after damage."""

from __future__ import annotations

from collections import deque
from statistics import median

__all__ = ["KeyFrameTracker"]

_STEPS = 25
_LONG = 1.7  # times the usual time between frames: one is missing


class KeyFrameTracker:
    """Follows one stream, packet by packet; pure.

    After damage, and where a frame is missing, decoders go on with the picture that they have: sharp, without
    any complaint, and of another part. So nothing is to be trusted from there until the next key frame.

    Args:
        intra: every picture stands for itself, as in MJPEG.
    """

    def __init__(self, *, intra: bool) -> None:
        self._intra = intra
        self._begun = False
        self._doubt = ""
        self._stamp: int | None = None
        self._steps: deque[int] = deque(maxlen=_STEPS)

    @property
    def begun(self) -> bool:
        """Return True after the first key frame; a stream may be joined between two of them."""
        return self._begun

    def doubt(self, *, key: bool, stamp: int | None) -> str:
        """Return the reason why the next packet cannot be trusted; empty where it can.

        Args:
            stamp: when it is to be decoded, in any unit; None where the stream does not say.
        """
        missing = self._is_late(stamp)
        if key or self._intra:
            self._begun, self._doubt = True, ""
        elif missing:
            self._doubt = self._doubt or "a frame before it is missing"
        return self._doubt

    def broken(self) -> None:
        """Record that the latest packet was damaged."""
        self._doubt = "it builds on a frame that was damaged"

    def _is_late(self, stamp: int | None) -> bool:
        before, self._stamp = self._stamp, stamp
        if stamp is None or before is None or stamp <= before:
            return False
        usual = median(self._steps) if self._steps else stamp - before
        self._steps.append(stamp - before)
        return stamp - before > _LONG * usual
