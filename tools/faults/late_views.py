"""Fault 10: views that come late or not at all, and what the box's policy makes of the part."""

from __future__ import annotations

import random
import threading
from itertools import islice
from pathlib import Path
from typing import Any

from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.decision.decision import Policy, decide
from edgeflow.errors import ConfigError
from faults.figures import Figure
from faults.synthetic_parts import VIEWS, policy, scores
from simulators.buffered_camera import PacedSource

__all__ = ["bad_views"]

_POLICIES: dict[str, dict[str, Any]] = {
    "UNDECIDED": {"on_missing": "undecided"},
    "NG": {"on_missing": "ng"},
    "OK": {"on_missing": "degraded", "min_views": 4},  # all scores are those of a good part
}
_PERIOD_MS, _TIMEOUT_MS = 40.0, 120.0
_LATE_S = 0.25


def bad_views(_folder: Path, *, triggers: int) -> list[Figure]:
    """In one of five parts one view is lost, in another it comes when the part is over."""
    return [figure for wanted in _POLICIES for figure in _under(wanted, triggers)]


def _under(wanted: str, triggers: int) -> list[Figure]:
    """One policy, and what parts with a bad view have to get by it."""
    settings = _POLICIES[wanted]
    fault = f"10 late or missing view, on_missing: {settings['on_missing']}"
    bad: dict[str, str] = {}
    kept: list[bool] = []
    others: list[str] = []
    config = _box(settings)
    rules = policy(config.sync, deadline_ms=1000)
    with Capture(config, VIEWS, "s", make=lambda view, _: _Unreliable(view, bad)) as capture:
        for view_set in islice(capture.view_sets(), triggers):
            verdict = _verdict(view_set, rules)
            if view := bad.get(view_set.trigger_id):
                kept.append(verdict == wanted and view in view_set.missing)
            else:
                others.append(verdict)
    share = 100 * sum(kept) / max(1, len(kept))
    return [
        Figure(
            fault=fault, what="parts with a late or missing view", value=len(kept), limit=1, at_least=True
        ),
        Figure(fault=fault, what=f"of these {wanted}, %", value=round(share, 2), limit=100, at_least=True),
        Figure(fault=fault, what="parts with all views", value=len(others)),
        Figure(fault=fault, what="of these OK", value=others.count("OK")),
    ]


def _verdict(view_set: ViewSet, rules: Policy) -> str:
    judged = scores(tuple(view_set.frames), 0.1) if rules.scale(view_set) is not None else None
    return decide(view_set, judged, "", rules, monotonic_ns()).verdict


class _Unreliable(PacedSource):
    """Loses an image, or delivers it when its part is over; which, follows from the trigger alone.

    Args:
        bad: trigger → the view that was harmed, for whoever judges the verdicts.
    """

    def __init__(self, view: str, bad: dict[str, str]) -> None:
        super().__init__(view, rate_hz=None)
        self._bad = bad

    def _expose(self, trigger_id: str | None) -> None:
        chance = random.Random(trigger_id)  # noqa: S311 - a fault, not a secret
        how = chance.choice(("lost", "late", "", "", ""))
        if trigger_id is None or not how or chance.choice(VIEWS) != self.view:
            super()._expose(trigger_id)
            return
        self._bad[trigger_id] = self.view
        if how == "late":
            threading.Timer(_LATE_S, super()._expose, (trigger_id,)).start()


def _box(sync: dict[str, Any]) -> BoxConfig:
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": {"source": "interval", "period_ms": _PERIOD_MS, "timeout_ms": _TIMEOUT_MS},
        "cameras": {view: {"kind": "replay", "parts": "none"} for view in VIEWS},
        "sync": {"max_skew_ms": _TIMEOUT_MS, **sync},
        "decision": {"deadline_ms": 1000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)
