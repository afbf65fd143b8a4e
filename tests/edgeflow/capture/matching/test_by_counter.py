"""Hardware-triggered cameras: counters pair frames, time contradicts, the line's messages name parts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.cameras.camera import Frame
from edgeflow.cameras.genicam.counter_unwrapping import UnwrappedCounter
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.contracts.images import RgbImage

MS = 1_000_000
IMAGE = np.zeros((1, 1, 3), np.uint8)
VIEWS = ("top", "left", "right")
SKEW_MS = 4
TIMEOUT_MS = 60
PERIOD_MS = 40


@dataclass
class Camera:
    """A simulated camera on a trigger line: what it counts, and what its clock says.

    Attributes:
        ppm: how fast its clock runs ahead.
    """

    view: str
    counter: int = 1
    bits: int = 16
    zero_ns: int = 0
    ppm: float = 0
    frames: int = 0
    seen: dict[int, int] = field(default_factory=dict)  # frame id → true trigger

    def expose(self, trigger: int, at_ns: int) -> Frame:
        self.frames += 1
        self.seen[self.frames] = trigger
        frame = Frame(
            view=self.view,
            image=IMAGE,
            captured_ns=at_ns,
            frame_id=self.frames,
            counter=self.counter,
            counter_bits=self.bits,
            device_ns=self.zero_ns + round(at_ns * (1 + self.ppm * 1e-6)),
            unsure_ns=0,
        )
        self.skip()
        return frame

    def skip(self) -> None:
        """Count a frame that is not delivered; 0 is reserved in GigE Vision's 16 bits."""
        self.counter = self.counter % 65535 + 1 if self.bits == 16 else self.counter + 1


def cameras(first: Sequence[int] = (1, 700, 65530), ppm: Sequence[float] = (0, 40, -40)) -> list[Camera]:
    return [
        Camera(view=view, counter=counter, zero_ns=number * 10**12, ppm=drift)
        for number, (view, counter, drift) in enumerate(zip(VIEWS, first, ppm, strict=True))
    ]


def synchronizer(*, announce_ms: float | None = None, window_ms: float | None = None) -> Synchronizer:
    return Synchronizer(
        VIEWS,
        max_skew_ms=SKEW_MS,
        timeout_ms=TIMEOUT_MS,
        window_ms=window_ms,
        mode="hardware",
        session="s",
        announce_ms=announce_ms,
    )


def true_triggers(view_set: ViewSet, used: Iterable[Camera]) -> set[int]:
    seen = {camera.view: camera.seen for camera in used}
    return {seen[view][frame.frame_id] for view, frame in view_set.frames.items()}


def good(view_set: ViewSet) -> bool:
    return not view_set.missing and not view_set.fault


def test_counters_pair_frames_across_the_wrap_of_each_camera() -> None:
    line, sync = cameras(first=(65_000, 65_530, 30)), synchronizer()
    sets: list[ViewSet] = []
    for number in range(1000):
        at_ns = number * PERIOD_MS * MS
        for camera in line:
            sets += sync.add(camera.expose(number, at_ns), at_ns + MS)
    assert [true_triggers(s, line) for s in sets] == [{n} for n in range(1000)]
    assert all(good(s) for s in sets)
    assert sync.mismatches == (0, "")
    assert sync.next_expiry_ns() is None


def test_a_camera_that_counts_zero_loses_no_part_at_its_wrap() -> None:
    line, sync = cameras(first=(65_533, 7, 9)), synchronizer()
    sets: list[ViewSet] = []
    for number in range(10):
        for camera in line:
            frame = camera.expose(number, number * PERIOD_MS * MS)
            sets += sync.add(frame, number * PERIOD_MS * MS)
            if frame.counter == 65_535:
                camera.counter = 0
    assert len(sets) == 10
    assert all(good(s) for s in sets)
    assert sync.mismatches[0] == 0


def test_a_frame_lost_on_the_way_costs_one_view_of_one_part() -> None:
    line, sync = cameras(), synchronizer()
    sets: list[ViewSet] = []
    for number in range(6):
        at_ns = number * PERIOD_MS * MS
        sets += sync.expire(at_ns)
        for camera in line:
            if (number, camera.view) == (3, "left"):
                camera.skip()
            else:
                sets += sync.add(camera.expose(number, at_ns), at_ns)
    sets += sync.expire(10**10)
    assert [s.missing for s in sets] == [(), (), (), ("left",), (), ()]
    assert [s.trigger_id for s in sets] == [f"s-{n:06d}" for n in range(1, 7)]
    assert sync.mismatches[0] == 0


def test_a_trigger_lost_on_the_way_from_every_camera_still_makes_a_set() -> None:
    line, sync = cameras(), synchronizer()
    sets: list[ViewSet] = []
    for number in range(5):
        for camera in line:
            if number == 2:
                camera.skip()
            else:
                sets += sync.add(camera.expose(number, number * PERIOD_MS * MS), number * PERIOD_MS * MS)
        sets += sync.expire(number * PERIOD_MS * MS)
    sets += sync.expire(10**10)
    assert [s.missing for s in sets] == [(), (), VIEWS, (), ()]


def test_a_pulse_that_one_camera_missed_never_pairs_it_with_the_next_part() -> None:
    line, sync = cameras(), synchronizer()
    sets: list[ViewSet] = []
    for number in range(8):
        at_ns = number * PERIOD_MS * MS
        sets += sync.expire(at_ns)
        for camera in line:
            if (number, camera.view) != (3, "left"):
                sets += sync.add(camera.expose(number, at_ns), at_ns)
    sets += sync.expire(10**10)
    assert all(len(true_triggers(s, line)) == 1 for s in sets)
    assert [number for s in sets if good(s) for number in true_triggers(s, line)] == [0, 1, 2, 4, 5, 6, 7]
    count, text = sync.mismatches
    assert count == 1
    assert "view 'left'" in text


def test_a_camera_that_began_anew_is_taken_in_again() -> None:
    line, sync = cameras(first=(1, 40_000, 500)), synchronizer()
    sets: list[ViewSet] = []
    for number in range(8):
        for camera in line:
            if number == 4 and camera.view == "left":
                camera.counter, camera.zero_ns = 1, -number * PERIOD_MS * MS
            sets += sync.add(camera.expose(number, number * PERIOD_MS * MS), number * PERIOD_MS * MS)
    assert [true_triggers(s, line) for s in sets if good(s)] == [{n} for n in range(8)]
    assert sync.mismatches[0] >= 1


def test_cameras_clocks_tell_what_late_stamps_hide() -> None:
    """Frames that share one link are stamped long after one another, although exposed together."""
    line, sync = cameras(), synchronizer(window_ms=15)
    sets: list[ViewSet] = []
    for number in range(20):
        at_ns = number * PERIOD_MS * MS
        for place, camera in enumerate(line):
            frame = camera.expose(number, at_ns)
            late_ns = 3 * place * MS
            stamped = Frame(**{**vars(frame), "captured_ns": at_ns + late_ns, "unsure_ns": None})
            sets += sync.add(stamped, at_ns + late_ns)
    assert len(sets) == 20
    assert "skew of 6.0 ms" in sets[0].fault, "nothing was known of the clocks yet"
    assert all(good(s) for s in sets[1:])
    assert max(s.skew_ms or 0 for s in sets[1:]) < 0.1
    assert sync.mismatches[0] == 0


def test_a_long_pause_of_the_line_is_no_drift() -> None:
    line, sync = cameras(ppm=(0, 100, -100)), synchronizer()
    sets: list[ViewSet] = []
    for number, at_s in enumerate((0, 1, 2, 3602, 3603)):
        for camera in line:
            sets += sync.add(camera.expose(number, at_s * 10**9), at_s * 10**9)
    assert [good(s) for s in sets] == [True] * 5
    assert sync.mismatches[0] == 0


def announced(number: int, at_ns: int) -> Trigger:
    return Trigger(
        trigger_id=f"t{number}", part_id=f"part{number}", at_ns=at_ns, given_ns=at_ns, encoder=100 * number
    )


def test_messages_of_the_line_name_the_sets_however_they_come() -> None:
    line, sync = cameras(), synchronizer(announce_ms=15)
    sets: list[ViewSet] = []
    for number in range(6):
        at_ns = number * PERIOD_MS * MS
        early = number % 2 == 0
        if early:
            sets += sync.trigger(announced(number, at_ns - 5 * MS), at_ns - 5 * MS)
        for camera in line:
            sets += sync.add(camera.expose(number, at_ns), at_ns)
        if not early:
            sets += sync.trigger(announced(number, at_ns + 9 * MS), at_ns + 9 * MS)
    assert [(s.trigger_id, s.part_id, s.encoder) for s in sets] == [
        (f"t{n}", f"part{n}", 100 * n) for n in range(6)
    ]
    assert all(good(s) for s in sets)


def test_a_lost_message_makes_its_part_unknown_and_no_other() -> None:
    line, sync = cameras(), synchronizer(announce_ms=15)
    sets: list[ViewSet] = []
    for number in range(5):
        at_ns = number * PERIOD_MS * MS
        sets += sync.expire(at_ns)
        if number != 2:
            sets += sync.trigger(announced(number, at_ns), at_ns)
        for camera in line:
            sets += sync.add(camera.expose(number, at_ns), at_ns)
    assert [s.part_id for s in sets] == ["part0", "part1", "s-000003", "part3", "part4"]
    assert [bool(s.fault) for s in sets] == [False, False, True, False, False]
    assert "no trigger message within 15 ms" in sets[2].fault


def test_a_message_without_any_frame_makes_a_set_with_all_views_missing() -> None:
    line, sync = cameras(), synchronizer(announce_ms=15)
    sets: list[ViewSet] = []
    for number in range(5):
        at_ns = number * PERIOD_MS * MS
        sets += sync.trigger(announced(number, at_ns), at_ns)
        for camera in line if number != 2 else ():
            sets += sync.add(camera.expose(number, at_ns), at_ns)
    sets += sync.expire(10**10)
    assert [(s.part_id, len(s.missing)) for s in sets] == [
        ("part0", 0), ("part1", 0), ("part2", 3), ("part3", 0), ("part4", 0),
    ]  # fmt: skip


# Whatever happens

EVENT = st.sampled_from(
    ["", "", "", "", "", "", "lost", "missed", "extra", "reset", "twice", "late", "clock", "early"]
)
TRIGGERS = st.lists(
    st.tuples(st.integers(25, 90), st.tuples(*[st.tuples(EVENT, st.integers(0, 2))] * 3)), max_size=30
)
STARTS = st.tuples(*[st.sampled_from([1, 2, 30_000, 65_530, 65_535])] * 3)


def played(
    line: list[Camera], triggers: list[tuple[int, tuple[tuple[str, int], ...]]]
) -> list[tuple[int, Frame]]:
    """Frames with the moments of their arrival, for triggers at which cameras fail in every way."""
    arrivals, at_ns = list[tuple[int, Frame]](), 0
    for number, (pause_ms, events) in enumerate(triggers):
        at_ns += pause_ms * MS
        for camera, (event, jitter_ms) in zip(line, events, strict=True):
            exposed_ns = at_ns + jitter_ms * MS
            if event == "missed":
                continue
            if event == "reset":
                camera.counter, camera.zero_ns = 1, -at_ns
            if event == "clock":
                camera.zero_ns += 5 * 10**9
            if event == "lost":
                camera.skip()
                continue
            if event == "extra":  # noise on the line, between two parts
                arrivals.append((exposed_ns, camera.expose(-1 - number, exposed_ns - 12 * MS)))
            frame = camera.expose(number, exposed_ns)
            delay_ms = {"late": 30, "early": 0}.get(event, 1)
            arrivals.append((exposed_ns + delay_ms * MS, frame))
            if event == "twice":
                arrivals.append((exposed_ns + 2 * MS, frame))
    return sorted(arrivals, key=lambda arrival: arrival[0])


def all_sets(sync: Synchronizer, arrivals: list[tuple[int, Frame]]) -> list[ViewSet]:
    sets: list[ViewSet] = []
    for now_ns, frame in arrivals:
        sets += [*sync.expire(now_ns), *sync.add(frame, now_ns), *sync.expire(now_ns)]
    return sets + sync.expire(10**12)


@given(triggers=TRIGGERS, starts=STARTS)
def test_no_set_ever_holds_frames_of_two_triggers(
    triggers: list[tuple[int, tuple[tuple[str, int], ...]]], starts: tuple[int, ...]
) -> None:
    line, sync = cameras(first=starts), synchronizer()
    sets = all_sets(sync, played(line, triggers))
    used = [id(f) for s in sets for f in s.frames.values()]
    assert len(used) == len(set(used)), "a frame was used twice"
    assert sync.next_expiry_ns() is None, "something is left behind"
    assert len({s.trigger_id for s in sets}) == len(sets)
    for s in sets:
        if not s.fault:
            assert len(true_triggers(s, line)) <= 1, "frames of two triggers"
        if good(s):
            stamps = [f.captured_ns for f in s.frames.values()]
            assert max(stamps) - min(stamps) <= SKEW_MS * MS


@given(
    pauses=st.lists(st.integers(25, 90), max_size=40),
    starts=STARTS,
    losses=st.sets(st.tuples(st.integers(3, 39), st.sampled_from(VIEWS)), max_size=10),
)
def test_every_trigger_makes_exactly_one_set_in_order_whatever_is_lost(
    pauses: list[int], starts: tuple[int, ...], losses: set[tuple[int, str]]
) -> None:
    line, sync = cameras(first=starts), synchronizer()
    quiet = [(pause, tuple((("lost" if (n, v) in losses else ""), 0) for v in VIEWS))
             for n, pause in enumerate(pauses)]  # fmt: skip
    sets = all_sets(sync, played(line, quiet))
    expected = len(pauses)
    while expected and all((expected - 1, v) in losses for v in VIEWS):
        expected -= 1  # of the last triggers no counter can tell
    assert len(sets) == expected
    for number, s in enumerate(sets):
        assert set(s.missing) == {v for n, v in losses if n == number}
        assert true_triggers(s, line) <= {number}
    assert sync.mismatches[0] == 0


@given(
    counters=st.lists(st.integers(0, 3), min_size=1, max_size=200),
    start=st.integers(1, 65_535),
    bits=st.sampled_from([16, 64]),
)
def test_positions_go_on_across_the_wrap_as_far_as_frames_were_counted(
    counters: list[int], start: int, bits: int
) -> None:
    camera, unwrapped = Camera(view="top", counter=start, bits=bits), UnwrappedCounter()
    last = unwrapped.position(camera.expose(0, 0)) if counters else 0
    for lost in counters:
        for _ in range(lost):
            camera.skip()
        position = unwrapped.position(camera.expose(0, 0))
        assert position == last + lost + 1
        last = position


def test_images_of_parts_that_are_over_are_let_go() -> None:
    """A camera has memory for 16 images: what is kept of past parts must not hold them."""
    line, sync = cameras(), synchronizer()
    images: list[weakref.ref[RgbImage]] = []
    for number in range(20):
        for camera in line:
            image = np.zeros((2, 2, 3), np.uint8)
            images.append(weakref.ref(image))
            frame = replace(camera.expose(number, number * PERIOD_MS * MS), image=image)
            assert sync.add(frame, number * PERIOD_MS * MS) == [] or camera.view == VIEWS[-1]
            del frame, image
    gc.collect()
    assert sum(kept() is not None for kept in images) == 0


# When exposures are not known exactly


def line_of_late_stamps(sync: Synchronizer, late_ms: Sequence[int], parts: int = 6) -> list[ViewSet]:
    """Cameras whose clocks are not compared: stamps are late by the quickest transfer of each."""
    line, sets, arrivals = cameras(), list[ViewSet](), list[tuple[int, Frame]]()
    for number in range(parts):
        at_ns = number * PERIOD_MS * MS
        for camera, late in zip(line, late_ms, strict=True):
            frame = Frame(
                **{
                    **vars(camera.expose(number, at_ns)),
                    "captured_ns": at_ns + late * MS,
                    "unsure_ns": None,
                }
            )
            arrivals.append((at_ns + late * MS, frame))
    for now_ns, frame in sorted(arrivals, key=lambda arrival: arrival[0]):
        sets += [*sync.expire(now_ns), *sync.add(frame, now_ns)]
    sets += sync.expire(10**12)
    for view_set in sets:
        if good(view_set):
            assert len(true_triggers(view_set, line)) == 1, "frames of two parts"
    return sets


def test_cameras_whose_transfer_differs_by_a_whole_period_are_not_mixed() -> None:
    """Stamped at one moment, exposed one part apart."""
    sets = line_of_late_stamps(synchronizer(), (0, PERIOD_MS, PERIOD_MS))
    assert not any(good(s) for s in sets)
    assert any("give sync.transfer_ms" in s.fault for s in sets)


def test_transfer_that_may_differ_by_a_whole_period_tells_no_parts_apart() -> None:
    wide = synchronizer(window_ms=2 * PERIOD_MS + 10)
    sets = line_of_late_stamps(wide, (0, 2 * PERIOD_MS + 5, 2 * PERIOD_MS + 5))
    assert not any(good(s) for s in sets)
    assert any("cannot be told apart" in s.fault for s in sets)


def test_a_deadline_counts_from_the_exposure_and_not_from_the_arrival() -> None:
    sync = Synchronizer(
        VIEWS, max_skew_ms=SKEW_MS, timeout_ms=TIMEOUT_MS, mode="hardware", session="s", transfer_ms=30
    )
    sets = line_of_late_stamps(sync, (20, 21, 22))
    assert [s.missing for s in sets] == [()] * 6
    for number, view_set in enumerate(sets):
        assert view_set.triggered_ns <= number * PERIOD_MS * MS
        assert view_set.triggered_ns >= (number * PERIOD_MS - 10) * MS


def test_at_the_end_of_a_recording_open_sets_come_at_once_with_what_they_have() -> None:
    line, sync = cameras(), synchronizer()
    sets: list[ViewSet] = []
    for number in range(4):
        at_ns = number * PERIOD_MS * MS
        for camera in line[: 2 if number >= 2 else 3]:
            sets += sync.add(camera.expose(number, at_ns), at_ns + MS)
    assert [good(each) for each in sets] == [True, True]
    end_ns = 3 * PERIOD_MS * MS + 2 * MS
    assert sync.end(VIEWS[0], end_ns) == sync.end(VIEWS[1], end_ns) == []
    over = sync.end(VIEWS[2], end_ns)
    assert [each.missing for each in over] == [("right",), ("right",)]
    assert [true_triggers(each, line) for each in over] == [{2}, {3}]
    assert sync.next_expiry_ns() is None


def test_a_recording_that_ends_before_counters_are_locked_gives_what_it_has() -> None:
    line, sync = cameras(), synchronizer()
    for camera in line[:2]:
        assert sync.add(camera.expose(0, 0), MS) == []
    over = [each for view in VIEWS for each in sync.end(view, 2 * MS)]
    assert [each.missing for each in over] == [("right",)]
