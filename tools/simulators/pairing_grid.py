"""Simulated cameras whose images come late: which part each image was taken for, on the box's own matcher."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.cameras.genicam.trigger_pairing import TriggerPairing
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.trigger_messages.filter import TriggerFilter
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.contracts.messages import TriggerMessage

__all__ = ["SOURCES", "Faults", "Outcome", "Source", "simulate"]

Source = Literal["software", "hardware, latch", "hardware, transfer_ms", "hardware, neither"]
SOURCES: tuple[Source, ...] = (
    "software", "hardware, latch", "hardware, transfer_ms", "hardware, neither",
)  # fmt: skip

MS = 1_000_000
VIEWS = ("C1", "C2", "C3", "C4", "C5")
_IMAGE = np.zeros((1, 1, 3), np.uint8)
_BEGIN_NS = 10**12
_EPOCH = datetime(2026, 11, 28, 12, tzinfo=UTC)
_TIMEOUT_MS = 900.0


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares of what goes wrong.

    Attributes:
        lost: frames that the network loses.
        ignored: pulses or triggers that one camera does not answer.
        unheard: messages that never come; software triggers are not affected.
        held: messages that one retransmission holds up.
    """

    lost: float = 0.0
    ignored: float = 0.0
    unheard: float = 0.0
    held: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of the parts.

    Attributes:
        wrong: complete and without fault, although an image shows another part.
    """

    parts: int
    right: int
    wrong: int

    @property
    def undecided(self) -> int:
        return self.parts - self.right - self.wrong


class _Camera:
    """One camera with its driver's clocks and counters."""

    def __init__(self, view: str, place: int, latency_ms: float, jitter_ms: float, seed: int) -> None:
        self.view = view
        self.chance = random.Random(f"{seed} {view}")  # noqa: S311 - jitter, not secrets
        self._zero_ns = (place + 1) * 10**14
        self._ppm = self.chance.uniform(-80, 80)
        self._transfer_ms = (latency_ms + 3 * place, latency_ms + 3 * place + jitter_ms)
        self._out_ns = 0
        self.position = 60_000 + 1000 * place
        self.number = 0
        self.clock = DeviceClock()
        self.pairing = TriggerPairing(self.clock)

    def device_ns(self, at_ns: int) -> int:
        return self._zero_ns + round((at_ns - _BEGIN_NS) * (1 + self._ppm * 1e-6))

    def expose(self, at_ns: int) -> tuple[int, int]:
        """Return the frame's arrival time and position; frames of one camera come in order."""
        self.position += 1
        self._out_ns = max(self._out_ns, at_ns + round(self.chance.uniform(*self._transfer_ms) * MS))
        return self._out_ns, self.position

    def answer_ns(self, at_ns: int) -> int:
        return at_ns + round(self.chance.uniform(0.5, 2) * MS)

    def warm_up(self, now_ns: int) -> int:
        for _ in range(4):
            self.pairing.sent("", now_ns)
            exposed_ns = self.answer_ns(now_ns)
            arrived_ns, position = self.expose(exposed_ns)
            self.pairing.answered(position, self.device_ns(exposed_ns), arrived_ns, since_ns=now_ns)
            now_ns = arrived_ns + 10 * MS
        return now_ns

    def latch(self, now_ns: int) -> None:
        self.clock.read(self.device_ns(now_ns), now_ns - MS // 2, now_ns + MS // 2)

    def frame(self, exposed_ns: int, arrived_ns: int, position: int, trigger_id: str | None) -> Frame:
        device_ns = self.device_ns(exposed_ns)
        self.number += 1
        return Frame(
            view=self.view, image=_IMAGE, captured_ns=self.clock.captured_ns(device_ns, arrived_ns),
            frame_id=self.number, trigger_id=trigger_id, counter=position % 65_535 + 1, counter_bits=16,
            device_ns=device_ns, unsure_ns=self.clock.unsure_ns(device_ns),
        )  # fmt: skip


class _Line:
    """Parts that pass one after the other, through the real synchronizer."""

    def __init__(
        self, source: Source, period_ms: float, latency_ms: float, jitter_ms: float, faults: Faults, seed: int
    ) -> None:
        self._period_ms = period_ms
        self._faults = faults
        self._source = source
        self.software = source == "software"
        self.chance = random.Random(seed)  # noqa: S311 - faults, not secrets
        self.cameras = {
            view: _Camera(view, place, latency_ms, jitter_ms, seed) for place, view in enumerate(VIEWS)
        }
        self.shows: dict[tuple[str, int], str] = {}  # view and frame id → the part that it shows
        self._intake = TriggerFilter(names_only=True)
        named: dict[str, Any] = (
            {} if self.software else {"announce_ms": 0.4 * period_ms, "min_period_ms": period_ms}
        )
        transfer_ms = latency_ms + 15 + jitter_ms if source == "hardware, transfer_ms" else None
        self.sync = Synchronizer(
            VIEWS, max_skew_ms=5, timeout_ms=_TIMEOUT_MS, mode="triggered" if self.software else "hardware",
            session="s", transfer_ms=transfer_ms, **named,
        )  # fmt: skip

    def events(self, parts: int) -> Iterator[tuple[int, str, tuple[object, ...]]]:
        """(moment, what, arguments), in any order."""
        begin_ns = _BEGIN_NS
        if self.software:
            begin_ns = max(camera.warm_up(_BEGIN_NS) for camera in self.cameras.values())
        if self._source == "hardware, latch":
            until_ns = begin_ns + round((parts * self._period_ms + 2000) * MS)
            yield from ((ns, "latch", ()) for ns in range(begin_ns, until_ns, 2000 * MS))
        out_ns = 0
        for part in range(parts):
            at_ns = begin_ns + round((100 + part * self._period_ms) * MS)
            if self.software:
                yield at_ns, "trigger", (part,)
            elif self.chance.random() >= self._faults.unheard:
                held_ms = 250 if self.chance.random() < self._faults.held else 0
                out_ns = max(out_ns, at_ns + round((self.chance.uniform(1, 6) + held_ms) * MS))
                yield out_ns, "message", (part, at_ns)
            for camera in self.cameras.values():
                yield from self._exposed(camera, part, at_ns)

    def _exposed(
        self, camera: _Camera, part: int, at_ns: int
    ) -> Iterator[tuple[int, str, tuple[object, ...]]]:
        if self.chance.random() < self._faults.ignored:
            return
        exposed_ns = camera.answer_ns(at_ns) if self.software else at_ns
        arrived_ns, position = camera.expose(exposed_ns)
        if self.chance.random() >= self._faults.lost:
            yield arrived_ns, "frame", (camera, part, exposed_ns, position)

    def happens(self, now_ns: int, what: str, about: tuple[object, ...]) -> list[ViewSet]:
        return getattr(self, f"_{what}")(now_ns, *about)  # type: ignore[no-any-return]

    def _latch(self, now_ns: int) -> list[ViewSet]:
        for camera in self.cameras.values():
            camera.latch(now_ns)
        return []

    def _trigger(self, now_ns: int, part: int) -> list[ViewSet]:
        name = f"t{part}"
        sets = self.sync.trigger(Trigger(trigger_id=name, part_id=f"P{part}", at_ns=now_ns), now_ns)
        for camera in self.cameras.values():
            camera.pairing.sent(name, now_ns + MS // 5)
        return sets

    def _message(self, now_ns: int, part: int, sent_ns: int) -> list[ViewSet]:
        moment = _EPOCH + timedelta(microseconds=sent_ns // 1000)
        at = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        message = TriggerMessage(trigger_id=f"t{part}", part_id=f"P{part}", at=at)
        intake = self._intake.offer(message, retained=False, received_ns=now_ns)
        return [] if intake.trigger is None else self.sync.trigger(intake.trigger, now_ns)

    def _frame(
        self, now_ns: int, camera: _Camera, part: int, exposed_ns: int, position: int
    ) -> list[ViewSet]:
        trigger_id = None
        if self.software:
            paired = camera.pairing.arrived(position, camera.device_ns(exposed_ns), now_ns)
            if paired.why:
                return self.sync.fail(camera.view, paired.trigger_id)
            trigger_id = paired.trigger_id
        frame = camera.frame(exposed_ns, now_ns, position, trigger_id)
        self.shows[camera.view, frame.frame_id] = f"P{part}"
        return self.sync.add(frame, now_ns)


def simulate(
    source: Source,
    period_ms: float,
    latency_ms: float,
    *,
    jitter_ms: float = 30,
    parts: int = 1000,
    faults: Faults | None = None,
    seed: int = 1,
) -> Outcome:
    """Play parts through clocks, pairing and synchronizer: their clock is an argument, so nothing waits."""
    line = _Line(source, period_ms, latency_ms, jitter_ms, faults or Faults(), seed)
    sets: list[ViewSet] = []
    numbered = (
        (at_ns, number, what, about) for number, (at_ns, what, about) in enumerate(line.events(parts))
    )
    waiting = list(numbered)
    heapq.heapify(waiting)
    while waiting:
        now_ns, _, what, about = heapq.heappop(waiting)
        while (due_ns := line.sync.next_expiry_ns()) is not None and due_ns < now_ns:
            sets += line.sync.expire(due_ns)
        sets += line.happens(now_ns, what, about)
    while (due_ns := line.sync.next_expiry_ns()) is not None:
        sets += line.sync.expire(due_ns)
    return _judged(sets, line.shows, parts)


def _judged(sets: list[ViewSet], shows: dict[tuple[str, int], str], parts: int) -> Outcome:
    right = wrong = 0
    for view_set in sets:
        if view_set.missing or view_set.fault:
            continue
        seen = {shows[view, frame.frame_id] for view, frame in view_set.frames.items()}
        right += seen == {view_set.part_id}
        wrong += seen != {view_set.part_id}
    return Outcome(parts=parts, right=right, wrong=wrong)
