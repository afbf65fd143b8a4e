"""Frames of one part, complete or expired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeflow.cameras.camera import Frame
from edgeflow.capture.part_product import PartProduct
from edgeflow.contracts.message_parts.context import Scalar
from edgeflow.contracts.message_parts.reason_codes import ReasonCode

__all__ = ["ViewSet"]


@dataclass(frozen=True, kw_only=True)
class ViewSet:
    """The frames of one part, complete or expired.

    Attributes:
        frames: view → frame, in the order of the bundle's views; missing views are absent, and
            after an overrun or for a refused trigger all are, although none was missing.
        missing: views without a usable frame, in order.
        skew_ms: spread of the capture stamps; None with fewer than one frame.
        fault: why the set must not be scored although frames came (skew, frames of different
            parts, overrun, a trigger that was refused); empty where nothing is wrong.
        encoder: the line's position at the trigger, where the line gave one.
        fault_code: the first fault, for programs.
        context: what the trigger carried of the line's own.
        product: of the part, from its trigger on; None on a box with one bundle.
    """

    trigger_id: str
    part_id: str
    triggered_ns: int
    frames: Mapping[str, Frame]
    missing: tuple[str, ...]
    skew_ms: float | None
    fault: str = ""
    encoder: int | None = None
    fault_code: ReasonCode | None = None
    context: Mapping[str, Scalar] | None = None
    product: PartProduct | None = None
