"""Fault 20: packets that are delayed, on real GigE Vision cameras; whose image and name a part got."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from edgeflow.capture.capture import Capture
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.messages import TriggerMessage, to_json
from edgeflow.errors import ConfigError
from edgeflow.mqtt.subscriptions import Incoming
from faults.figures import Figure
from faults.late_cameras import Late, late_cameras

__all__ = ["CORNERS", "SHORT_CORNERS", "Corner", "late_packets"]

MS = 1_000_000
_FAULT = "20 delayed packets"
_FEATURES = "features: {Width: 128, Height: 128}\n"  # few packets: it is their delay that counts
_TICK_MS = 40
_UNSURE_MS = 10  # what the computer knows of such a camera's clock
_START = 100  # sets that may come before all cameras answer


@dataclass(frozen=True, kw_only=True)
class Corner:
    """One corner of the grid.

    Attributes:
        known: exposures can be known to less than half the period, so that parts have to be decided.
    """

    source: str  # software or hardware
    period_ms: int
    latency_ms: int
    ignore_one_in: int = 0
    latch: bool = True

    @property
    def known(self) -> bool:
        if self.source == "software":  # these cameras answer a trigger within a tick, at any time of it
            return self.period_ms / 2 > _TICK_MS + _UNSURE_MS
        return self.latch

    @property
    def name(self) -> str:
        extra = f", one trigger in {self.ignore_one_in} ignored" if self.ignore_one_in else ""
        extra += ", no latch" if not self.known else ""
        return f"{self.source}, {self.latency_ms} ms late, parts {self.period_ms} ms apart{extra}"


CORNERS = (
    Corner(source="software", period_ms=100, latency_ms=0),
    Corner(source="software", period_ms=100, latency_ms=150),
    Corner(source="software", period_ms=100, latency_ms=400),
    Corner(source="software", period_ms=200, latency_ms=190),
    Corner(source="software", period_ms=500, latency_ms=400),
    Corner(source="software", period_ms=200, latency_ms=250, ignore_one_in=60),
    Corner(source="hardware", period_ms=120, latency_ms=0),
    Corner(source="hardware", period_ms=120, latency_ms=120),
    Corner(source="hardware", period_ms=120, latency_ms=400),
    Corner(source="hardware", period_ms=200, latency_ms=200),
    Corner(source="hardware", period_ms=480, latency_ms=400),
    Corner(source="hardware", period_ms=480, latency_ms=240, latch=False),
)
SHORT_CORNERS = (
    Corner(source="software", period_ms=200, latency_ms=250),
    Corner(source="hardware", period_ms=200, latency_ms=250),
)


def late_packets(folder: Path, corners: Sequence[Corner], *, parts: int, cameras: int = 5) -> list[Figure]:
    """Every corner with real cameras; one wrong part is too many."""
    figures = []
    for corner in corners:
        right, undecided, wrong = _corner(folder, corner, parts, cameras)
        judged = right + undecided + wrong
        share, least = round(100 * right / max(1, judged), 1), 90 if corner.ignore_one_in else 99
        figures += [
            Figure(
                fault=_FAULT, what=f"{corner.name}: parts with another's image or name", value=wrong, limit=0
            ),
            Figure(
                fault=_FAULT, what=f"{corner.name}: of {judged} exposed together, decided right, %",
                value=share, limit=least if corner.known else None, at_least=True, timed=True,
            ),
            Figure(
                fault=_FAULT, what=f"{corner.name}: parts decided right", value=right,
                limit=1 if corner.known else None, at_least=True,
            ),
            Figure(fault=_FAULT, what=f"{corner.name}: UNDECIDED", value=undecided),
        ]  # fmt: skip
    return figures


def _corner(folder: Path, corner: Corner, parts: int, count: int) -> tuple[int, int, int]:
    """Numbers of parts that were right, UNDECIDED and wrong.

    Left out are parts that these cameras exposed further apart than the box allows, as they do when the
    computer that runs them all is slow: UNDECIDED is right for them.
    """
    hardware = corner.source == "hardware"
    late = Late(
        latency_ms=corner.latency_ms, jitter_ms=20, pulse_ms=corner.period_ms if hardware else 0,
        latch=corner.latch, ignore_one_in=corner.ignore_one_in,
    )  # fmt: skip
    views = tuple(f"C{k}" for k in range(1, count + 1))
    config = _box(folder, corner, views)
    messages = MqttTriggers(names_only=True) if hardware else None
    with late_cameras(count, late), Capture(config, views, "s", messages=messages) as capture:
        sets = capture.view_sets()
        taken: list[_Taken] = []
        with _announced(messages, corner.period_ms):
            for view_set in islice(sets, 3 * parts + _START):
                this = _Taken.of(view_set)
                del view_set  # its images are in use as long as somebody holds it
                if taken or this.good or not corner.known:  # these cameras begin one by one
                    taken.append(this)
                if len(_decidable(taken)) > parts:
                    break
    limit_ns = round(_skew_ms(corner) * MS)
    judged = _named(taken, corner.period_ms, limit_ns) if hardware else _triggered(taken, limit_ns)
    judged = judged[:parts]
    return judged.count("right"), judged.count("UNDECIDED"), judged.count("wrong")


@dataclass(frozen=True, kw_only=True)
class _Taken:
    """A view set without its images, on the wall clock, which is the clock of these cameras."""

    part_id: str
    trigger_id: str
    at_ns: int
    good: bool
    exposed_ns: tuple[int, ...]

    @property
    def apart_ns(self) -> int:
        """Time between the first and the last exposure of this part."""
        return max(self.exposed_ns, default=0) - min(self.exposed_ns, default=0)

    @classmethod
    def of(cls, view_set: ViewSet) -> _Taken:
        return cls(
            part_id=view_set.part_id,
            trigger_id=view_set.trigger_id,
            at_ns=view_set.triggered_ns + time.time_ns() - monotonic_ns(),
            good=not view_set.missing and not view_set.fault,
            exposed_ns=tuple(f.device_ns for f in view_set.frames.values() if f.device_ns is not None),
        )


def _decidable(taken: Sequence[_Taken]) -> list[_Taken]:
    """One set a part: of one that could not be named, the set of its message."""
    return [each for each in taken if not each.trigger_id.startswith("s-") or each.part_id == each.trigger_id]


def _triggered(taken: Sequence[_Taken], limit_ns: int) -> list[str]:
    """Judge parts by time: every image must be exposed between its own trigger and the next one."""
    judged = []
    for this, following in pairwise(taken):
        if not this.good and this.apart_ns > limit_ns:
            continue
        inside = all(this.at_ns <= ns < following.at_ns for ns in this.exposed_ns)
        judged.append("UNDECIDED" if not this.good else "right" if inside else "wrong")
    return judged


def _named(taken: Sequence[_Taken], period_ms: int, limit_ns: int) -> list[str]:
    """Judge parts by name: every image must be exposed at the pulse that gave the part its name."""
    judged = []
    apart = {
        str(ns // MS // period_ms) for each in taken if each.apart_ns > limit_ns for ns in each.exposed_ns
    }
    for each in taken:
        if each.trigger_id.startswith("s-") and not each.good:
            continue  # its message makes a set of its own
        if not each.good and each.part_id in apart:
            continue
        pulses = {ns // MS // period_ms for ns in each.exposed_ns}
        right = pulses == {int(each.part_id)} if each.part_id.isdigit() else False
        judged.append("UNDECIDED" if not each.good else "right" if right else "wrong")
    return judged


class _announced:  # noqa: N801 - reads as what it is, a block in which parts are announced
    """The line's messages: one at every pulse, a few milliseconds late."""

    def __init__(self, triggers: MqttTriggers | None, period_ms: int) -> None:
        self._triggers = triggers
        self._period_ms = period_ms
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._chance = random.Random(1)  # noqa: S311 - jitter, not a secret

    def __enter__(self) -> None:
        if self._triggers is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        assert self._triggers is not None  # noqa: S101 - started only then
        for pulse in self._pulses():
            sent = TriggerMessage(trigger_id=f"t{pulse}", part_id=str(pulse), at=self._pulse_text(pulse))
            time.sleep(self._chance.uniform(0, 0.005))
            self._triggers.handle(
                Incoming(
                    topic="trigger",
                    payload=to_json(sent),
                    retained=False,
                    duplicate=False,
                    received_ns=monotonic_ns(),
                )
            )

    def _pulse_text(self, pulse: int) -> str:
        """Time of the pulse, as a controller stamps it, however late the message is sent."""
        moment = datetime.fromtimestamp(pulse * self._period_ms / 1000, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _pulses(self) -> Iterator[int]:
        pulse = time.time_ns() // MS // self._period_ms + 1
        while not self._stop.wait(max(0.0, pulse * self._period_ms / 1000 - time.time())):
            yield pulse
            pulse += 1


def _skew_ms(corner: Corner) -> float:
    """These cameras answer a trigger at their next tick; a pulse reaches all of them at one tick."""
    return (
        max(_TICK_MS + 5, 0.4 * corner.period_ms) if corner.source == "software" else 0.35 * corner.period_ms
    )


def _box(folder: Path, corner: Corner, views: Sequence[str]) -> BoxConfig:
    features = folder / "features.yaml"
    features.write_text(_FEATURES)
    trigger: dict[str, Any] = {"source": "interval", "period_ms": corner.period_ms, "timeout_ms": 900}
    camera: dict[str, Any] = {"kind": "genicam", "features": str(features), "read_timeout_ms": 4000}
    if corner.source == "hardware":
        trigger = {
            "source": "hardware", "timeout_ms": 900, "part_ids": "mqtt",
            "part_id_window_ms": 0.4 * corner.period_ms, "min_period_ms": corner.period_ms,
        }  # fmt: skip
        camera["trigger_line"] = "Line0"
    document = {
        "station": {"site": "s", "line": "l", "station": "t"},
        "bundle": "none",
        "trigger": trigger,
        "cameras": {view: {**camera, "address": f"127.0.0.{k}"} for k, view in enumerate(views, 2)},
        "sync": {"max_skew_ms": _skew_ms(corner)},
        "decision": {"deadline_ms": 2000},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "localhost"},
        "outbox": {"path": "outbox.db"},
    }
    return parse_document(BoxConfig, document, what="box", error=ConfigError)
