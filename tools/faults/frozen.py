"""Fault 13: views that show nothing of the part: frozen, black, white, covered, out of focus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeflow.alarms import Alarms
from edgeflow.capture.capture import Capture
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.decision import Policy, Verdict, decide
from edgeflow.errors import ConfigError
from edgeflow.monitoring.view_appearance import Baseline, make_baseline
from edgeflow.station.view_check import ViewCheck
from faults.figures import Figure
from faults.synthetic_parts import VIEWS, policy, scores
from simulators.buffered_camera import PacedSource

__all__ = ["frozen_view"]

_SPOILT = "C3"
_SIDE = 96
_PERIOD_MS, _TIMEOUT_MS = 50.0, 2000.0
_SENSOR = {"kind": "genicam", "address": "10.0.0.1"}
_PICTURES = {"kind": "rtsp", "url": "http://10.0.0.1/video"}
_STREAM = {"kind": "rtsp", "url": "rtsp://10.0.0.1/video"}
_BLIND: dict[str, Callable[[RgbImage], RgbImage]] = {
    "black": np.zeros_like,
    "white": lambda image: np.full_like(image, 255),
    "covered": lambda image: np.full_like(image, 90),
    "out of focus": lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), 3), np.uint8),
}


def frozen_view(_folder: Path, *, triggers: int) -> list[Figure]:
    """One of five views is spoilt after the first half of the parts; then scenes that only stand still."""
    figures = _spoilt("frozen sensor", _SENSOR, triggers, None, passed=0)
    figures += _spoilt("frozen, MJPEG", _PICTURES, triggers, None, passed=1)
    figures += _spoilt("frozen stream, its time goes on", _STREAM, triggers, None, passed=1)
    for how, spoil in _BLIND.items():
        figures += _spoilt(how, _SENSOR, triggers, spoil, passed=0)
    return [*figures, _still(triggers)]


class _Scene(PacedSource):
    """A camera over parts that all look a little different, with the noise of a sensor.

    Args:
        spoil: what becomes of its pictures from trigger ``after`` on; None: it gives the last one for ever.
        noise: standard deviation, in grey levels.
    """

    def __init__(
        self, view: str, *, after: int, spoil: Callable[[RgbImage], RgbImage] | None, noise: float = 2.0
    ) -> None:
        super().__init__(view, rate_hz=None, transfer_ms=1)
        self._rng = np.random.default_rng(VIEWS.index(view))
        self._after = after
        self._spoil = spoil
        self._noise = noise
        self._last: RgbImage = _part(view, 0)

    def image(self, number: int) -> RgbImage:
        if number >= self._after and self._spoil is None:
            return np.array(self._last)  # the same picture in another buffer
        seen: Any = _part(self.view, number) + self._rng.normal(0, self._noise, (_SIDE, _SIDE, 3))
        self._last = np.asarray(np.clip(seen, 0, 255), np.uint8)
        if self._spoil is None or number < self._after:
            return self._last
        return self._spoil(self._last)


class _Told:
    """The views of alarms that were ever raised."""

    def __init__(self) -> None:
        self.views: set[str] = set()

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is not None:
            self.views.add(name.partition(".")[2])


def _spoilt(
    how: str,
    camera: dict[str, Any],
    triggers: int,
    spoil: Callable[[RgbImage], RgbImage] | None,
    *,
    passed: int,
) -> list[Figure]:
    """Verdicts before and after one view is spoilt.

    Args:
        passed: so many parts may be decided as good before a frozen view is told from a still scene.
    """
    after = triggers // 2
    decided, told = _decided(
        camera,
        triggers,
        lambda view: _Scene(view, after=after if view == _SPOILT else triggers, spoil=spoil),
    )
    before, behind = decided[:after], decided[after:]
    named = [verdict.verdict == "UNDECIDED" and f"'{_SPOILT}'" in verdict.reason for verdict in behind]
    fault = f"13 {how}"
    return [
        Figure(fault=fault, what="good parts not OK before", value=_count(before, ok=False), limit=0),
        Figure(fault=fault, what="parts after it", value=len(behind), limit=after, at_least=True),
        Figure(fault=fault, what="of these OK", value=_count(behind, ok=True), limit=passed),
        Figure(
            fault=fault, what="of these UNDECIDED, the view named", value=sum(named), limit=after - passed,
            at_least=True,
        ),
        Figure(fault=fault, what="alarms of other views", value=len(told.views - {_SPOILT}), limit=0),
        Figure(fault=fault, what="alarm of the view", value=_SPOILT in told.views, limit=1, at_least=True),
    ]  # fmt: skip


def _count(decided: list[Verdict], *, ok: bool) -> int:
    return sum((verdict.verdict == "OK") == ok for verdict in decided)


def _still(triggers: int) -> Figure:
    """Five streams of a scene in which nothing changes; an encoder sends the same pictures all the time."""
    decided, _ = _decided(_STREAM, triggers, lambda view: _Scene(view, after=0, spoil=None))
    wrong = _count(decided, ok=False)
    return Figure(fault="13 still scene", what="parts of five streams not OK", value=wrong, limit=0)


def _decided(
    camera: dict[str, Any], triggers: int, make: Callable[[str], _Scene]
) -> tuple[list[Verdict], _Told]:
    config, told, baseline = _box(camera), _Told(), _golden()
    rules = policy(config.sync, deadline_ms=10_000)
    check = ViewCheck(config, Alarms("s", told))
    with Capture(config, VIEWS, "s", make=lambda view, _: make(view)) as capture:
        sets = islice(capture.view_sets(), triggers)
        return [_verdict(view_set, check, baseline, rules) for view_set in sets], told


def _verdict(view_set: ViewSet, check: ViewCheck, baseline: Baseline, rules: Policy) -> Verdict:
    """As the line decides, with scores of a good part."""
    judged = None
    if not view_set.missing:
        inputs = np.stack([view_set.frames[view].image for view in VIEWS])
        judged = replace(scores(VIEWS, 0.1), inputs=inputs)
    return decide(check.checked(view_set, judged, baseline), judged, "", rules, monotonic_ns())


def _golden() -> Baseline:
    return make_baseline([{view: _part(view, number) for view in VIEWS} for number in range(1000, 1004)])


def _part(view: str, number: int) -> RgbImage:
    """A textured block on a dark ground; where it lies, differs from part to part."""
    texture = np.random.default_rng(VIEWS.index(view)).integers(60, 200, (48, 48, 3))
    place = np.random.default_rng(number).integers(10, 30, 2)
    image = np.full((_SIDE, _SIDE, 3), 30, np.uint8)
    image[place[0] : place[0] + 48, place[1] : place[1] + 48] = texture
    return image


def _box(camera: dict[str, Any]) -> BoxConfig:
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": {"source": "interval", "period_ms": _PERIOD_MS, "timeout_ms": _TIMEOUT_MS},
        "cameras": {view: camera if view == _SPOILT else _others(camera) for view in VIEWS},
        "sync": {"max_skew_ms": _TIMEOUT_MS},
        "decision": {"deadline_ms": 10_000.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)


def _others(camera: dict[str, Any]) -> dict[str, Any]:
    return camera if camera is _STREAM else _SENSOR
