"""Switch interval of Python's threads: the longest time that one keeps the GIL while others wait."""

from __future__ import annotations

import sys

__all__ = ["shorten_switch_interval"]

_TURN_S = 0.0002


def shorten_switch_interval() -> None:
    """Shorten the switch interval for the whole process.

    By default a thread that computes gives way after 5 ms, which is all the time that a decision has from its
    score to the gate. A part goes to the thread that scores and back, which is two turns more to
    wait for. What more switches cost does not show.
    """
    sys.setswitchinterval(_TURN_S)
