"""Frames to view sets: which V frames are one part, decided purely from stamps and ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.cameras.base import Frame

__all__ = ["ViewSet"]


@dataclass(frozen=True, kw_only=True)
class ViewSet:
    """The frames of one part, complete or expired.

    Attributes:
        frames: view → frame, in the order of the bundle's views; missing views are absent.
        missing: views without a usable frame, in order.
        skew_ms: spread of the capture stamps; None with fewer than one frame.
        fault: why the set must not be scored although frames came (skew, frames of different
            parts, overrun); empty where nothing is wrong.
    """

    trigger_id: str
    part_id: str
    triggered_ns: int
    frames: Mapping[str, Frame]
    missing: tuple[str, ...]
    skew_ms: float | None
    fault: str = ""
