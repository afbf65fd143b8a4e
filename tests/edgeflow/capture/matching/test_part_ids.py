"""Parts are named by messages only where no other name would do, whatever is late, lost or begun anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgeflow.cameras.camera import Frame
from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.capture.capture import make_synchronizer
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.trigger_messages.filter import TriggerFilter
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import load_config
from edgeflow.contracts.messages import TriggerMessage

MS = 1_000_000
IMAGE = np.zeros((1, 1, 3), np.uint8)
PERIOD_MS, WINDOW_MS = 200, 90


class ProductionLine:
    """Two cameras on a trigger line, and the line's messages.

    Args:
        unsure_ms: how well the cameras' clocks are known; None: not at all.
    """

    def __init__(
        self, *, latency_ms: float = 120, unsure_ms: float | None = 0.5, transfer_ms: float | None = None
    ) -> None:
        self.latency_ms, self.unsure_ms = latency_ms, unsure_ms
        self.sync = Synchronizer(
            ("a", "b"), max_skew_ms=2, timeout_ms=400, mode="hardware", session="s",
            announce_ms=WINDOW_MS, min_period_ms=PERIOD_MS, transfer_ms=transfer_ms,
        )  # fmt: skip
        self.events: list[tuple[float, int, int, float]] = []
        self.sets: list[ViewSet] = []

    def part(
        self, number: int, at_ms: float, message_ms: float | None, *, seen: bool = True, since_ms: float = 0
    ) -> None:
        """A part passes; its message comes at ``message_ms``, having been sent ``since_ms`` before."""
        if seen:
            self.events.append((at_ms + self.latency_ms, 1, number, at_ms))
        if message_ms is not None:
            self.events.append((message_ms, 0, number, message_ms - since_ms))

    def run(self, *, with_clock: bool = True) -> list[ViewSet]:
        intake = TriggerFilter(names_only=True)
        for now_ms, kind, number, at_ms in sorted(self.events):
            now_ns = round(now_ms * MS)
            while (due_ns := self.sync.next_expiry_ns()) is not None and due_ns < now_ns:
                self.sets += self.sync.expire(due_ns)
            if kind == 0:
                at = f"2026-11-28T12:{at_ms // 60_000:02.0f}:{at_ms % 60_000 / 1000:06.3f}Z"
                sent = TriggerMessage(
                    trigger_id=f"t{number}", part_id=f"P{number}", at=at if with_clock else None
                )
                trigger = intake.offer(sent, retained=False, received_ns=now_ns).trigger
                assert isinstance(trigger, Trigger)
                self.sets += self.sync.trigger(trigger, now_ns)
                continue
            for view in ("a", "b"):
                self.sets += self.sync.add(self._frame(view, number, at_ms), now_ns)
        while (due_ns := self.sync.next_expiry_ns()) is not None:
            self.sets += self.sync.expire(due_ns)
        return self.sets

    def _frame(self, view: str, number: int, at_ms: float) -> Frame:
        at_ns = round(at_ms * MS)
        known = self.unsure_ms is not None
        return Frame(
            view=view, image=IMAGE, captured_ns=at_ns if known else at_ns + round(self.latency_ms * MS),
            frame_id=number, counter=number + 1, counter_bits=16, device_ns=at_ns + 10**12,
            unsure_ns=round(self.unsure_ms * MS) if self.unsure_ms is not None else None,
        )  # fmt: skip


def judged(sets: list[ViewSet]) -> dict[int, str]:
    """Part whose images were decided → the name that they were decided under."""
    good = [s for s in sets if not s.missing and not s.fault]
    return {next(iter(s.frames.values())).frame_id: s.part_id for s in good}


def named_right(sets: list[ViewSet]) -> int:
    names = judged(sets)
    assert names == {number: f"P{number}" for number in names}, "a part under another part's name"
    return len(names)


@pytest.mark.parametrize("latency_ms", [20, 80, 120, 199, 260, 350])
def test_transfer_of_any_length_takes_no_neighbours_name(latency_ms: float) -> None:
    line = ProductionLine(latency_ms=latency_ms)
    for k in range(50):
        line.part(k, 200 * k, 200 * k + 5)
    assert named_right(line.run()) == 50


def test_a_clock_that_is_not_known_names_nothing() -> None:
    line = ProductionLine(unsure_ms=None)
    for k in range(10):
        line.part(k, 200 * k, 200 * k + 5)
    sets = line.run()
    assert named_right(sets) == 0
    assert any("give sync.transfer_ms" in s.fault for s in sets)
    assert {s.part_id for s in sets} >= {f"P{k}" for k in range(10)}, "every part gets its UNDECIDED by name"


@pytest.mark.parametrize(("latency_ms", "right"), [(20, 50), (100, 50), (150, 0)])
def test_transfer_bounded_by_the_box_file_names_what_fits_one_message_only(
    latency_ms: float, right: int
) -> None:
    line = ProductionLine(latency_ms=latency_ms, unsure_ms=None, transfer_ms=100)
    for k in range(50):
        line.part(k, 200 * k, 200 * k + 5)
    assert named_right(line.run()) == right


def test_a_lost_message_makes_its_part_unknown_and_no_other() -> None:
    line = ProductionLine(latency_ms=180)
    for k in range(20):
        line.part(k, 200 * k, None if k == 7 else 200 * k + 5)
    assert sorted(judged(line.run())) == [k for k in range(20) if k != 7]


def test_a_message_held_up_by_a_retransmission_names_its_own_part_or_none() -> None:
    line = ProductionLine(latency_ms=180)
    for k in range(20):
        held_ms = {7: 250, 8: 50}.get(k, 0)
        line.part(k, 200 * k, 200 * k + 5 + held_ms, since_ms=held_ms + 5)
    sets = line.run()
    assert named_right(sets) >= 18
    assert [s.part_id for s in sets if s.part_id == "P7"] == ["P7"]


def test_without_the_senders_clock_a_held_up_message_names_no_part_after_its_own() -> None:
    for held_ms in range(100, 900, 50):
        line = ProductionLine(latency_ms=180)
        for k in range(30):
            late_ms = held_ms if k == 7 else 0
            message_ms = max(200 * k + 5 + late_ms, 200 * 7 + 5 + held_ms if k > 7 else 0)
            line.part(k, 200 * k, message_ms)
        assert named_right(line.run(with_clock=False)) >= 20


@pytest.mark.parametrize("with_clock", [True, False])
def test_a_message_of_a_part_before_the_start_names_no_part_after_it(with_clock: bool) -> None:
    for held_ms in range(110, 290, 20):
        line = ProductionLine(latency_ms=1)
        line.part(0, 0, 5 + held_ms, seen=False, since_ms=held_ms)
        for k in range(1, 20):
            line.part(k, 200 * k, max(200 * k + 5, 6 + held_ms), since_ms=max(0, held_ms + 1 - 200 * k))
        assert named_right(line.run(with_clock=with_clock)) >= 15


def test_parts_nearer_than_the_box_file_says_are_named_only_where_that_is_sure() -> None:
    line = ProductionLine(latency_ms=180)
    for k in range(40):
        line.part(k, 120 * k, 120 * k + 5 if k % 9 else None)
    assert named_right(line.run()) <= 40


@pytest.mark.parametrize("latch", [True, False])
def test_gige5_names_its_parts_at_its_own_figures(repository: Path, latch: bool) -> None:
    """500 ms between parts, 220 ms of transfer on one link, the message a little after the pulse."""
    config = load_config(repository / "firmware_configs" / "boxes" / "gige5.yaml")
    sync, sets = make_synchronizer(config, tuple(config.cameras), "s"), list[ViewSet]()
    clocks = {view: DeviceClock() for view in config.cameras}
    for part in range(200):
        at_ns = 10**12 + part * 500 * MS
        told = Trigger(trigger_id=f"t{part}", part_id=f"P{part}", at_ns=at_ns + 3 * MS)
        sets += [*sync.expire(at_ns), *sync.trigger(told, told.at_ns)]
        for place, (view, clock) in enumerate(clocks.items()):
            now_ns = at_ns + (220 + (7 * part + 3 * place) % 10) * MS
            if latch and part % 4 == 0:
                clock.read(at_ns + 10**15, at_ns - MS // 2, at_ns + MS // 2)
            frame = Frame(
                view=view, image=IMAGE, captured_ns=clock.captured_ns(at_ns + 10**15, now_ns), frame_id=part,
                counter=part + 1, counter_bits=16, device_ns=at_ns + 10**15,
                unsure_ns=clock.unsure_ns(at_ns + 10**15),
            )  # fmt: skip
            sets += sync.add(frame, now_ns)
    assert named_right(sets) >= 198


PARTS = st.lists(
    st.tuples(
        st.integers(200, 900),  # ms since the part before
        st.sampled_from([0, 0, 0, 0, 0, 60, 180, 250, 420, 900]),  # ms that the network holds a message
        st.sampled_from(["", "", "", "", "", "", "unheard", "unseen"]),
    ),
    max_size=40,
)


Parts = list[tuple[int, int, str]]


def check_no_wrong_name(
    parts: Parts, latency_ms: int, unsure_ms: float, offset_ms: int, restart: int, *, first_is_held: bool
) -> None:
    """Messages come in order, as over one connection; at ``restart`` the box begins anew."""
    line, at_ms, out_ms, first = ProductionLine(latency_ms=latency_ms, unsure_ms=unsure_ms), 1000, 0, True
    lines = [line]
    for number, (gap_ms, held_ms, what) in enumerate(parts):
        at_ms += gap_ms
        if number == restart:
            line, first = ProductionLine(latency_ms=latency_ms, unsure_ms=unsure_ms), True
            lines.append(line)
        sent_ms = at_ms + offset_ms
        heard = what != "unheard"
        way_ms = 2 + number % 5 + (0 if first and not first_is_held else held_ms)
        first = first and not heard
        out_ms = max(out_ms, sent_ms + way_ms)
        line.part(number, at_ms, out_ms if heard else None, seen=what != "unseen", since_ms=out_ms - sent_ms)
    for each in lines:
        sets = each.run()
        named_right(sets)
        assert len({s.trigger_id for s in sets}) == len(sets)


@settings(max_examples=150)
@example([(200, 0, ""), (200, 420, "unseen"), (488, 420, "")], 1, 0.5, 0, 0)
@given(
    parts=PARTS,
    latency_ms=st.integers(1, 390),
    unsure_ms=st.sampled_from([0.5, 3, 40]),
    offset_ms=st.integers(-40, 40),
    restart=st.integers(0, 60),
)
def test_whatever_is_late_lost_or_begun_anew_no_part_gets_another_ones_name(
    parts: Parts, latency_ms: int, unsure_ms: float, offset_ms: int, restart: int
) -> None:
    """But for the first message: where it and those after it are late by one time, nothing tells."""
    check_no_wrong_name(parts, latency_ms, unsure_ms, offset_ms, restart, first_is_held=False)


@pytest.mark.parametrize(
    "parts",
    [
        [(200, 900, ""), (200, 0, ""), (449, 250, ""), (346, 0, "")],
        [(200, 900, ""), (200, 0, ""), (626, 250, ""), (200, 0, "")],
    ],
)
def test_messages_that_were_held_up_together_at_the_start_name_no_part_after_theirs(parts: Parts) -> None:
    check_no_wrong_name(parts, 1, 0.5, 0, 0, first_is_held=True)


def test_what_the_message_says_of_its_part_goes_with_the_set_of_that_name() -> None:
    line = ProductionLine()
    for number in range(3):
        line.part(number, 200 * number, None)
    sync_trigger = line.sync.trigger

    def message(number: int, now_ns: int) -> Trigger:
        return Trigger(
            trigger_id=f"t{number}", part_id=f"P{number}", at_ns=now_ns, given_ns=now_ns,
            encoder=100 + number, context={"order": f"A{number}"},
        )  # fmt: skip

    arrivals = [(200 * n + 5, n) for n in range(3)]
    for now_ms, number in arrivals:
        line.sets += sync_trigger(message(number, now_ms * MS), now_ms * MS)
        for view in ("a", "b"):
            line.sets += line.sync.add(line._frame(view, number, 200 * number), (now_ms + 115) * MS)
    while (due_ns := line.sync.next_expiry_ns()) is not None:
        line.sets += line.sync.expire(due_ns)
    assert named_right(line.sets) >= 1
    for each in line.sets:
        if each.part_id.startswith("P"):
            number = int(each.part_id[1:])
            assert (each.encoder, each.context) == (100 + number, {"order": f"A{number}"})
