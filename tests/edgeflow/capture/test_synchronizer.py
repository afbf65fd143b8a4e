"""Frames to view sets."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.cameras.camera import Frame
from edgeflow.capture.part_product import PartProduct, ProductTimeline
from edgeflow.capture.synchronizer import Synchronizer, SyncMode
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

MS = 1_000_000
VIEWS = ("top", "left", "right")
TIMEOUT_MS = 100
IMAGE = np.zeros((1, 1, 3), np.uint8)


def synchronizer(
    mode: SyncMode = "triggered",
    views: Sequence[str] = VIEWS,
    *,
    window_ms: float | None = None,
    frame_delay_ms: float = 0,
) -> Synchronizer:
    return Synchronizer(
        views,
        max_skew_ms=10,
        timeout_ms=TIMEOUT_MS,
        mode=mode,
        session="s",
        window_ms=window_ms,
        frame_delay_ms=frame_delay_ms,
    )


def frame(
    view: str, at_ms: float, number: int = 0, *, trigger: str | None = None, part: str | None = None
) -> Frame:
    return Frame(
        view=view,
        image=IMAGE,
        captured_ns=round(at_ms * MS),
        frame_id=number,
        trigger_id=trigger,
        part_id=part,
    )


def trigger(at_ms: float, name: str = "t0", part: str | None = None) -> Trigger:
    return Trigger(trigger_id=name, part_id=part, at_ns=round(at_ms * MS))


def add_all(sync: Synchronizer, frames: Sequence[Frame]) -> list[ViewSet]:
    """Frames that come without delay."""
    return [view_set for f in frames for view_set in sync.add(f, f.captured_ns)]


def stamps_ms(view_set: ViewSet) -> dict[str, float]:
    return {view: f.captured_ns / MS for view, f in view_set.frames.items()}


# Triggered


def test_a_set_is_complete_as_soon_as_every_view_has_a_frame() -> None:
    sync = synchronizer()
    assert sync.trigger(trigger(0), 0) == []
    assert add_all(sync, [frame("right", 1), frame("top", 2)]) == []
    (view_set,) = add_all(sync, [frame("left", 4)])
    assert list(view_set.frames) == ["top", "left", "right"]
    assert (view_set.missing, view_set.fault, view_set.skew_ms) == ((), "", 3.0)
    assert (view_set.trigger_id, view_set.triggered_ns) == ("t0", 0)
    assert sync.next_expiry_ns() is None


def test_a_frame_from_before_the_trigger_is_never_used() -> None:
    sync = synchronizer(views=("top",))
    sync.add(frame("top", 9.999), 10 * MS)
    sync.trigger(trigger(10), 10 * MS)
    assert sync.add(frame("top", 9.9999, 1), 11 * MS) == []
    (view_set,) = sync.add(frame("top", 10, 2), 11 * MS)
    assert view_set.frames["top"].frame_id == 2


def test_a_frame_that_overtakes_the_news_of_its_trigger_is_used() -> None:
    sync = synchronizer(views=("top",))
    assert sync.add(frame("top", 10.1), 11 * MS) == []
    (view_set,) = sync.trigger(trigger(10), 11 * MS)
    assert stamps_ms(view_set) == {"top": 10.1}


def test_the_first_frame_after_the_trigger_is_used_and_later_ones_are_not() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0), 0)
    add_all(sync, [frame("top", 5, 1), frame("top", 6, 2)])
    (view_set,) = add_all(sync, [frame("left", 7)])
    assert view_set.frames["top"].frame_id == 1


def test_missing_views_are_named_at_the_timeout() -> None:
    sync = synchronizer()
    sync.trigger(trigger(10), 10 * MS)
    add_all(sync, [frame("left", 12)])
    assert sync.next_expiry_ns() == (10 + TIMEOUT_MS) * MS
    assert sync.expire((10 + TIMEOUT_MS) * MS - 1) == []
    (view_set,) = sync.expire((10 + TIMEOUT_MS) * MS)
    assert view_set.missing == ("top", "right")
    assert list(view_set.frames) == ["left"]
    assert (view_set.skew_ms, view_set.fault) == (0.0, "")
    assert sync.next_expiry_ns() is None


def test_a_trigger_without_any_frame_still_makes_a_set() -> None:
    sync = synchronizer()
    sync.trigger(trigger(0), 0)
    (view_set,) = sync.expire(TIMEOUT_MS * MS)
    assert (view_set.missing, view_set.frames, view_set.skew_ms) == (VIEWS, {}, None)


def test_a_frame_captured_after_the_timeout_is_not_used() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0, "t0"), 0)
    late_ns = TIMEOUT_MS * MS + 1
    assert sync.add(frame("top", late_ns / MS, trigger="t0"), late_ns) == []


def test_a_frame_that_knows_its_trigger_goes_to_no_other() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0, "t0"), 0)
    sync.trigger(trigger(5, "t1"), 5 * MS)
    assert sync.add(frame("top", 6, 0, trigger="t1"), 6 * MS) == []
    first, second = sync.add(frame("top", 7, 1, trigger="t0"), 7 * MS)
    assert [(s.trigger_id, s.frames["top"].frame_id) for s in (first, second)] == [("t0", 1), ("t1", 0)]


def test_a_frame_of_an_unknown_trigger_is_not_used() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0), 0)
    assert sync.add(frame("top", 1, trigger="other"), 1 * MS) == []


def test_sets_come_out_in_the_order_of_their_triggers() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0, "t0"), 0)
    add_all(sync, [frame("top", 1)])
    sync.trigger(trigger(20, "t1"), 20 * MS)
    assert add_all(sync, [frame("top", 21, 1), frame("left", 21, 1)]) == []
    sets = sync.expire(TIMEOUT_MS * MS)
    assert [(s.trigger_id, s.missing) for s in sets] == [("t0", ("left",)), ("t1", ())]


def test_what_a_free_running_camera_sees_after_the_next_trigger_is_the_next_part() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0, "t0"), 0)
    sync.trigger(trigger(20, "t1"), 20 * MS)
    add_all(sync, [frame("top", 21, 1), frame("left", 22, 1)])
    first, second = sync.expire(TIMEOUT_MS * MS)
    assert (first.trigger_id, first.missing) == ("t0", ("top", "left"))
    assert (second.trigger_id, second.missing) == ("t1", ())


def test_the_same_frame_delivered_twice_is_used_once() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(10, "t0"), 10 * MS)
    assert len(sync.add(frame("top", 15), 15 * MS)) == 1
    sync.trigger(trigger(12, "t1"), 16 * MS)
    assert sync.add(frame("top", 15), 16 * MS) == []


def test_frames_of_different_parts_are_a_fault() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0), 0)
    (view_set,) = add_all(sync, [frame("top", 1, part="p1"), frame("left", 1, part="p2")])
    assert view_set.fault == "frames of different parts: top p1, left p2"
    assert view_set.part_id == "t0"


def test_skew_over_the_tolerance_is_a_fault() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0), 0)
    (view_set,) = add_all(sync, [frame("top", 1), frame("left", 11.5)])
    assert view_set.fault == "skew of 10.5 ms is over max_skew_ms 10"
    sync.trigger(trigger(20, "t1"), 20 * MS)
    (view_set,) = add_all(sync, [frame("top", 21, 1), frame("left", 31, 1)])
    assert view_set.fault == ""


@pytest.mark.parametrize(
    ("of_trigger", "of_frames", "expected"),
    [
        ("line-7", ("p1", "p1"), "line-7"),
        (None, ("p1", "p1"), "p1"),
        (None, ("p1", None), "p1"),
        (None, ("p1", "p2"), "t0"),
        (None, (None, None), "t0"),
    ],
)
def test_the_part_is_named_by_the_line_else_the_recording_else_the_trigger(
    of_trigger: str | None, of_frames: tuple[str | None, str | None], expected: str
) -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0, "t0", of_trigger), 0)
    (view_set,) = add_all(sync, [frame("top", 1, part=of_frames[0]), frame("left", 1, part=of_frames[1])])
    assert view_set.part_id == expected


def test_nobody_waits_for_a_view_that_is_known_to_fail() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0, "t0"), 0)
    sync.trigger(trigger(1, "t1"), 1 * MS)
    add_all(sync, [frame("top", 2, trigger="t0"), frame("top", 3, 1, trigger="t1")])
    (view_set,) = sync.fail("left", "t0")
    assert (view_set.trigger_id, view_set.missing) == ("t0", ("left",))
    assert sync.fail("left", None) == []


def test_at_the_end_of_all_recordings_only_parts_with_frames_come_out() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0, "t0"), 0)
    sync.trigger(trigger(1, "t1"), 1 * MS)
    add_all(sync, [frame("top", 2, trigger="t0")])
    assert sync.end("top", 0) == []
    (view_set,) = sync.end("left", 0)
    assert (view_set.trigger_id, view_set.missing) == ("t0", ("left",))
    assert sync.trigger(trigger(2, "t2"), 2 * MS) == []
    assert sync.next_expiry_ns() is None


def test_a_part_lost_in_every_view_comes_out_although_the_recordings_end() -> None:
    sync = synchronizer(views=("top", "left"))
    sync.trigger(trigger(0), 0)
    assert sync.fail("top", "t0") == []
    assert sync.end("top", 0) == []
    (view_set,) = sync.fail("left", "t0")
    assert view_set.missing == ("top", "left")


def test_a_frame_of_a_view_that_is_none_of_the_bundles_is_ignored() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0), 0)
    assert sync.add(frame("bottom", 1), 1 * MS) == []


def test_a_frame_stamped_after_exposure_transfer_and_margin_is_not_used() -> None:
    sync = synchronizer(views=("top",), window_ms=30)
    sync.trigger(trigger(0, "t0"), 0)
    assert sync.add(frame("top", 30.001, 1, trigger="t0"), 31 * MS) == []
    assert sync.add(frame("top", 30.001, 2), 31 * MS) == []
    (view_set,) = sync.add(frame("top", 30, 3, trigger="t0"), 99 * MS)  # sent late, but exposed in time
    assert view_set.frames["top"].frame_id == 3


def test_what_was_exposed_before_the_trigger_is_not_used_although_it_is_stamped_after_it() -> None:
    sync = synchronizer(views=("top",), frame_delay_ms=20)
    sync.trigger(trigger(0, "t0"), 0)
    assert sync.add(frame("top", 19.9, 1), 20 * MS) == []
    sync.trigger(trigger(40, "t1"), 40 * MS)
    (first,) = sync.add(frame("top", 59, 2), 60 * MS)  # exposed at 39, the first part still
    (second,) = sync.add(frame("top", 60, 3), 60 * MS)
    assert [(s.trigger_id, s.frames["top"].frame_id) for s in (first, second)] == [("t0", 2), ("t1", 3)]


def test_a_camera_with_a_clock_of_its_own_is_stamped_at_the_exposure() -> None:
    sync = synchronizer(views=("top", "left"), frame_delay_ms=20)
    sync.trigger(trigger(0, "t0"), 0)
    exact = replace(frame("top", 1), device_ns=77, unsure_ns=0)
    (view_set,) = add_all(sync, [exact, frame("left", 6), frame("left", 21)])
    assert view_set.frames["left"].captured_ns == 21 * MS
    assert view_set.frames["top"] is exact


def test_a_deadline_counts_from_the_moment_when_a_held_up_trigger_was_given() -> None:
    sync = synchronizer(views=("top",))
    held = replace(trigger(30, "t0"), given_ns=10 * MS)
    sync.trigger(held, 30 * MS)
    assert sync.add(frame("top", 20), 31 * MS) == [], "exposed before the cameras were asked"
    (view_set,) = sync.add(frame("top", 31, 1), 32 * MS)
    assert view_set.triggered_ns == 10 * MS
    assert sync.refuse(held, "late")[0].triggered_ns == 10 * MS


def test_a_box_that_asked_the_cameras_too_late_does_not_use_the_next_parts_image() -> None:
    """The message of the second part was given at 20, whenever it was read."""
    sync = synchronizer(views=("top",), window_ms=50)
    sync.trigger(replace(trigger(18, "t0"), given_ns=0), 18 * MS)
    sync.trigger(replace(trigger(35, "t1"), given_ns=20 * MS), 35 * MS)
    shows_second = replace(frame("top", 25, 1, trigger="t0"), device_ns=5, unsure_ns=0)
    assert sync.add(shows_second, 40 * MS) == []
    after_window = replace(frame("top", 71, 2, trigger="t1"), device_ns=6, unsure_ns=0)
    assert sync.add(after_window, 72 * MS) == []
    assert [s.missing for s in sync.expire((20 + TIMEOUT_MS) * MS)] == [("top",), ("top",)]


def test_what_a_software_trigger_caused_after_the_next_one_is_not_used() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0, "t0"), 0)
    sync.trigger(trigger(20, "t1"), 20 * MS)
    late = replace(frame("top", 21, 1, trigger="t0"), device_ns=5, unsure_ns=0)
    assert sync.add(late, 22 * MS) == []
    in_time = replace(frame("top", 19, 2, trigger="t0"), device_ns=5, unsure_ns=0)
    assert [s.trigger_id for s in sync.add(in_time, 23 * MS)] == ["t0"]


@pytest.mark.parametrize(("unsure_ms", "used"), [(0.5, True), (1.5, False), (None, False)])
def test_a_free_running_image_is_used_only_where_it_surely_follows_its_trigger(
    unsure_ms: float | None, used: bool
) -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(10), 10 * MS)
    unsure_ns = None if unsure_ms is None else round(unsure_ms * MS)
    seen = replace(frame("top", 11), device_ns=5, unsure_ns=unsure_ns)
    assert bool(sync.add(seen, 12 * MS)) == used


@pytest.mark.parametrize(("given_ms", "used"), [(40, False), (60, True), (-10, True)])
def test_an_image_of_a_refused_part_is_not_that_of_the_part_before(given_ms: float, used: bool) -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0, "t0"), 0)
    sync.refuse(replace(trigger(70, "t1"), given_ns=round(given_ms * MS)), "too many parts wait")
    sets = add_all(sync, [frame("top", 50)]) + sync.expire(2 * TIMEOUT_MS * MS)
    assert [(s.trigger_id, list(s.frames)) for s in sets] == [("t0", ["top"] if used else []), ("t1", [])]


def test_a_refused_trigger_makes_a_set_without_frames_in_its_turn() -> None:
    sync = synchronizer(views=("top",))
    sync.trigger(trigger(0, "t0"), 0)
    assert sync.refuse(trigger(5, "t1", "p1"), "too late") == []
    first, second = add_all(sync, [frame("top", 6)])
    assert (first.trigger_id, first.fault) == ("t0", "")
    assert (second.trigger_id, second.part_id, second.fault) == ("t1", "p1", "too late")
    assert (second.frames, second.missing) == ({}, ())
    assert sync.next_expiry_ns() is None


# Free-running


def test_free_frames_close_in_time_are_a_set_with_an_id_of_the_session() -> None:
    sync = synchronizer("free")
    (view_set,) = add_all(sync, [frame("top", 3), frame("right", 5), frame("left", 8)])
    assert (view_set.skew_ms, view_set.fault, view_set.missing) == (5.0, "", ())
    assert (view_set.trigger_id, view_set.part_id, view_set.triggered_ns) == ("s-000001", "s-000001", 3 * MS)


def test_of_several_free_sets_the_one_of_least_spread_is_chosen() -> None:
    sync = synchronizer("free", views=("top", "left"))
    late = [frame("top", 0, 0), frame("top", 6, 1), frame("top", 15, 2)]
    assert [sync.add(f, 20 * MS) for f in late] == [[], [], []]
    leftover, best = sync.add(frame("left", 7), 20 * MS)
    assert (stamps_ms(leftover), leftover.missing) == ({"top": 0.0}, ("left",))
    assert stamps_ms(best) == {"top": 6.0, "left": 7.0}


def test_of_free_sets_with_equal_spread_the_newest_is_chosen() -> None:
    sync = synchronizer("free", views=("top", "left"))
    sync.add(frame("top", 0, 0), 5 * MS)
    sync.add(frame("top", 4, 1), 5 * MS)
    sets = sync.add(frame("left", 2), 5 * MS)
    assert stamps_ms(sets[-1]) == {"left": 2.0, "top": 4.0}


def test_a_lost_free_frame_makes_one_incomplete_set_before_the_next_one() -> None:
    sync = synchronizer("free")
    sets = add_all(
        sync,
        [frame("top", 0), frame("left", 1), *(frame(view, 33 + n, 1) for n, view in enumerate(VIEWS))],
    )
    assert [(s.trigger_id, s.missing) for s in sets] == [("s-000001", ("right",)), ("s-000002", ())]


def test_free_frames_without_partner_expire_as_one_set_per_group() -> None:
    sync = synchronizer("free")
    add_all(sync, [frame("top", 0), frame("left", 1), frame("top", 33, 1), frame("left", 34, 1)])
    assert sync.next_expiry_ns() == TIMEOUT_MS * MS
    (first,) = sync.expire(TIMEOUT_MS * MS)
    assert (list(first.frames), first.missing) == (["top", "left"], ("right",))
    (second,) = sync.expire((33 + TIMEOUT_MS) * MS)
    assert stamps_ms(second) == {"top": 33.0, "left": 34.0}


def test_free_frames_that_never_come_close_enough_say_how_far_apart_they_are() -> None:
    sync = synchronizer("free", views=("top", "left"))
    add_all(sync, [frame("top", 0), frame("left", 15)])
    (view_set,) = sync.expire(TIMEOUT_MS * MS)
    assert view_set.fault == "skew of 15.0 ms is over max_skew_ms 10"


def test_at_most_four_unmatched_frames_of_a_view_are_kept() -> None:
    sync = synchronizer("free", views=("top", "left"))
    sets = add_all(sync, [frame("top", 11 * n, n) for n in range(6)])
    assert [s.frames["top"].frame_id for s in sets] == [0, 1]
    assert all(s.missing == ("left",) for s in sets)


def test_what_waits_at_the_end_of_all_free_recordings_comes_out() -> None:
    sync = synchronizer("free", views=("top", "left"))
    add_all(sync, [frame("top", 0)])
    assert sync.end("left", 0) == []
    (view_set,) = sync.end("top", 0)
    assert view_set.missing == ("left",)


def test_free_cameras_ignore_triggers() -> None:
    sync = synchronizer("free", views=("top", "left"))
    assert sync.trigger(trigger(0), 0) == []
    assert sync.next_expiry_ns() is None


# Both, whatever happens

PAIR = ("top", "left")  # two views make complete sets likely
ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from(["frame", "frame", "frame", "again", "again", "trigger", "trigger", "fail", "end"]),
        st.sampled_from(PAIR),
        st.one_of(st.integers(0, 8), st.integers(0, 60)).map(MS.__mul__),  # since the arrival before
        st.one_of(st.integers(0, 6), st.integers(-5, 150)).map(MS.__mul__),  # age at arrival
        st.booleans(),  # whether the frame knows a trigger
        st.sampled_from([None, "p1", "p2"]),
    ),
    max_size=60,
)


def replayed(
    sync: Synchronizer, arrivals: list[tuple[str, str, int, int, bool, str | None]]
) -> list[ViewSet]:
    """View sets of arrivals in any order, with any delay, loss and repetition."""
    now_ns, sets, sent, triggers = 0, list[ViewSet](), list[Frame](), list[Trigger]()
    for number, (kind, view, pause_ns, age_ns, knows, part) in enumerate(arrivals):
        now_ns += pause_ns
        last = triggers[-1].trigger_id if triggers else None
        if kind == "trigger":
            triggers.append(trigger((now_ns - age_ns) / MS, f"t{number}"))
            sets += sync.trigger(triggers[-1], now_ns)
        elif kind == "fail":
            sets += sync.fail(view, last)
        elif kind == "end" and age_ns < 0:
            sets += sync.end(view, now_ns)
        elif kind == "again" and sent:
            sets += sync.add(sent[-1 - age_ns // MS % len(sent)], now_ns)
        else:
            stamp_ms = (now_ns - age_ns) / MS
            sent.append(frame(view, stamp_ms, number, trigger=last if knows else None, part=part))
            sets += sync.add(sent[-1], now_ns)
        if knows:
            sets += sync.expire(now_ns)
    return sets + sync.expire(now_ns + 10_000 * MS)


@pytest.mark.parametrize("mode", ["triggered", "free"])
@given(arrivals=ARRIVALS)
def test_whatever_happens_no_wrong_set_comes_out(
    mode: SyncMode, arrivals: list[tuple[str, str, int, int, bool, str | None]]
) -> None:
    sync = synchronizer(mode, PAIR)
    sets = replayed(sync, arrivals)
    used = [id(f) for s in sets for f in s.frames.values()]
    assert len(used) == len(set(used)), "a frame was used twice"
    assert len({s.trigger_id for s in sets}) == len(sets), "a trigger made two sets"
    assert sync.next_expiry_ns() is None, "something is left behind"
    for s in sets:
        assert set(s.missing) == set(PAIR) - set(s.frames)
        stamps = [f.captured_ns for f in s.frames.values()]
        assert all(s.triggered_ns <= stamp for stamp in stamps), "a frame from before its trigger"
        if not s.missing and not s.fault:
            assert max(stamps) - min(stamps) <= 10 * MS
            assert len({f.part_id for f in s.frames.values() if f.part_id}) <= 1
        if mode == "triggered":
            assert all(stamp <= s.triggered_ns + TIMEOUT_MS * MS for stamp in stamps)
            assert all(f.trigger_id in {None, s.trigger_id} for f in s.frames.values())


@given(arrivals=ARRIVALS.map(lambda items: [item for item in items if item[0] != "end"]))
def test_every_trigger_makes_exactly_one_set_in_order(
    arrivals: list[tuple[str, str, int, int, bool, str | None]],
) -> None:
    sets = replayed(synchronizer(views=PAIR), arrivals)
    expected = [f"t{number}" for number, item in enumerate(arrivals) if item[0] == "trigger"]
    assert [s.trigger_id for s in sets] == expected


def test_real_free_running_webcams_are_matched_as_recorded(shared: Path) -> None:
    table = shared / "sync" / "4_cam_recording_recordings_recording_1_timestamps.csv"
    if not table.exists():
        table = shared / "data" / "sync" / table.name
    groups: dict[str, dict[str, Frame]] = defaultdict(dict)
    with table.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            taken = frame(row["cam_id"], float(row["frame_time"]) * 1000, number)
            groups[row["sync_index"]][row["cam_id"]] = taken
    frames = sorted((f for group in groups.values() for f in group.values()), key=lambda f: f.captured_ns)
    sync = Synchronizer(["0", "1", "2", "3"], max_skew_ms=20, timeout_ms=200, mode="free", session="s")
    sets = [*add_all(sync, frames), *sync.expire(frames[-1].captured_ns + 10**10)]
    complete = [s for s in sets if not s.missing and not s.fault]
    recorded = {frozenset(id(f) for f in g.values()) for g in groups.values() if len(g) == 4}
    matched = {frozenset(id(f) for f in s.frames.values()) for s in complete}
    assert sum(len(s.frames) for s in sets) == len(frames)
    assert len(matched & recorded) >= 0.98 * len(recorded)


# Products with fewer views


def of_products(mode: SyncMode) -> Synchronizer:
    """Product A has all views, B two of them; B is chosen from 1000 ms on."""
    timeline = ProductTimeline(PartProduct(name="A"), clock=lambda: 1000 * MS)
    timeline.views_of = {"A": VIEWS, "B": ("top", "right")}.get
    timeline.choose(PartProduct(name="B"))
    return Synchronizer(
        VIEWS, max_skew_ms=10, timeout_ms=TIMEOUT_MS, mode=mode, session="s", own_views=timeline.views
    )


def test_a_triggered_part_waits_for_the_views_of_its_product_alone() -> None:
    sync = of_products("triggered")
    sync.trigger(trigger(2000), 2000 * MS)
    (view_set,) = add_all(sync, [frame("top", 2001), frame("right", 2002)])
    assert (list(view_set.frames), view_set.missing) == (["top", "right"], ())
    # What another camera sends afterwards is of no part.
    sync.trigger(trigger(2050, "t1"), 2050 * MS)
    assert add_all(sync, [frame("left", 2051), frame("top", 2052)]) == []
    (view_set,) = add_all(sync, [frame("right", 2053)])
    assert list(view_set.frames) == ["top", "right"]


def test_the_product_that_a_trigger_names_goes_before_the_one_that_is_chosen() -> None:
    sync = of_products("triggered")
    sync.trigger(replace(trigger(2000), product=PartProduct(name="A")), 2000 * MS)
    assert add_all(sync, [frame("top", 2001), frame("right", 2002)]) == []
    (view_set,) = add_all(sync, [frame("left", 2003)])
    assert list(view_set.frames) == list(VIEWS)


def test_a_camera_that_a_product_lacks_neither_spoils_its_parts_nor_is_missed() -> None:
    sync = of_products("triggered")
    sync.trigger(trigger(2000), 2000 * MS)
    # Of another part, and too late for the others.
    add_all(sync, [frame("left", 2000, part="x"), frame("top", 2015, part="y")])
    (view_set,) = add_all(sync, [frame("right", 2016, part="y")])
    assert (view_set.fault, view_set.skew_ms, view_set.part_id) == ("", 1.0, "y")
    sync.trigger(trigger(2200, "t1"), 2200 * MS)
    add_all(sync, [frame("top", 2201)])
    (view_set,) = sync.expire((2200 + TIMEOUT_MS) * MS)
    assert view_set.missing == ("right",)


def test_parts_of_cameras_that_run_by_themselves_have_their_products_views() -> None:
    sync = of_products("free")
    sets = add_all(sync, [frame(view, at, at) for at in (100, 200) for view in VIEWS])
    assert [list(found.frames) for found in sets] == [list(VIEWS)] * 2
    sets = add_all(sync, [frame(view, at, at) for at in (1100, 1200) for view in VIEWS])
    assert [list(found.frames) for found in sets] == [["top", "right"]] * 2
    assert sync.expire(10_000 * MS) == []


def test_parts_of_cameras_with_a_trigger_line_have_their_products_views() -> None:
    sync = of_products("hardware")
    times = (100, 200, 1100, 1200)
    sets = add_all(sync, [frame(view, at, n) for n, at in enumerate(times) for view in VIEWS])
    assert [list(found.frames) for found in sets] == [list(VIEWS)] * 2 + [["top", "right"]] * 2
    (found,) = add_all(sync, [frame(view, 1300, 4) for view in ("top", "right")])
    assert found.missing == ()
