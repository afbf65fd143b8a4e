"""Faults 7 and 9: a camera that stops, and a network that loses packets; real GigE Vision cameras."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from benchmarks.capture import PERIOD_MS, VIEWS, gige_box, one_camera_goes
from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.capture import SyncConfig
from edgeflow.decision.decision import decide
from faults.figures import Figure
from faults.synthetic_parts import policy, scores
from simulators.gige_cameras import FakeCamera, fake_cameras, is_one_image

__all__ = ["camera_stopped", "packets_lost"]

_JUMBO = 9000  # with the usual 1,500, hardly any image of these would come whole


def camera_stopped(_folder: Path) -> list[Figure]:
    """One of five is SIGSTOPped for 5 s."""
    fault = "7 a camera stopped"
    figures = one_camera_goes(FakeCamera.freeze, FakeCamera.thaw, _is_told)
    periods = figures["told after ms"] / PERIOD_MS
    others = 100 * figures["others' frames per trigger of 4"] / 4
    return [
        Figure(fault=fault, what="UNDECIDED after, periods", value=round(periods, 2), limit=3, timed=True),
        Figure(
            fault=fault, what="others' rate, %", value=round(others, 1), limit=95, at_least=True, timed=True
        ),
        Figure(
            fault=fault, what="parts whole again after its return, s", limit=5, timed=True,
            value=figures["complete again after s"],
        ),
    ]  # fmt: skip


def _is_told(view_set: ViewSet) -> bool:
    whole = scores(VIEWS, 0.1) if not view_set.missing else None
    verdict = decide(view_set, whole, "", policy(SyncConfig(max_skew_ms=45)), monotonic_ns())
    return verdict.verdict == "UNDECIDED" and "C1" in verdict.reason


def packets_lost(_folder: Path, *, triggers: int) -> list[Figure]:
    """Each camera's network loses 2 % of the packets; whatever reaches a view set may be scored."""
    fault = "9 packet loss of 2 %"
    good = bad = whole = 0
    box = gige_box(packet_size=_JUMBO)
    with fake_cameras(len(VIEWS), lost_per_mille=20), Capture(box, VIEWS, "s") as capture:
        for view_set in islice(capture.view_sets(), triggers):
            fine = [is_one_image(frame.image) for frame in view_set.frames.values()]
            good, bad, whole = (
                good + sum(fine),
                bad + len(fine) - sum(fine),
                whole + (len(fine) == len(VIEWS)),
            )
    return [
        Figure(fault=fault, what="triggers to five cameras", value=triggers),
        Figure(fault=fault, what="images that may be scored", value=good + bad, limit=1, at_least=True),
        Figure(
            fault=fault,
            what="images given up",
            value=triggers * len(VIEWS) - good - bad,
            limit=1,
            at_least=True,
        ),
        Figure(fault=fault, what="parts with all five", value=whole),
        Figure(fault=fault, what="bad images among those that may be scored", value=bad, limit=0),
    ]
