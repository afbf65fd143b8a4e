"""Software triggers to frames: counted, contradicted by time, and never shifted by what was lost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.cameras.genicam.trigger_pairing import Paired, TriggerPairing

MS = 1_000_000
PARTS = 40


@dataclass
class World:
    """A camera that answers triggers, and a network that delays its frames.

    Attributes:
        transfer_ms: from exposure to arrival, at least and at most.
        answer_ms: from trigger to exposure, at least and at most.
        ignored, lost, unasked: numbers of triggers that the camera ignores, whose frame the network loses,
            or after which it takes one image too many.
    """

    transfer_ms: tuple[float, float]
    answer_ms: tuple[float, float] = (1, 2)
    ppm: float = 0
    ignored: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()
    unasked: frozenset[int] = frozenset()
    seed: int = 1
    frames: list[tuple[int, int, int, int | None]] = field(default_factory=list)  # arrival, device, position

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - jitter, not a secret
        self.clock = DeviceClock()
        self.pairing = TriggerPairing(self.clock)
        self.position = 1000
        self.now_ns = 10**12
        self.out_ns = 0

    def expose(self, at_ns: int, number: int | None) -> tuple[int, int, int, int | None]:
        self.position += 1
        self.out_ns = max(self.out_ns, at_ns + round(self.chance.uniform(*self.transfer_ms) * MS))
        device_ns = 5 * 10**9 + round(at_ns * (1 + self.ppm * 1e-6))
        return self.out_ns, device_ns, self.position, number

    def answer_ns(self, at_ns: int) -> int:
        return at_ns + round(self.chance.uniform(*self.answer_ms) * MS)

    def warm_up(self) -> None:
        for _ in range(4):
            sent_ns = self.now_ns
            self.pairing.sent("nobody", sent_ns)
            arrived_ns, device_ns, position, _ = self.expose(self.answer_ns(sent_ns), None)
            self.pairing.answered(position, device_ns, arrived_ns, since_ns=sent_ns)
            self.now_ns = arrived_ns + 5 * MS

    def run(self, gaps_ms: Sequence[float]) -> dict[int, Paired]:
        """Trigger after each pause; number of the true trigger (unasked: negative) → what was told of it."""
        events: list[tuple[int, int, object]] = []
        for number, gap_ms in enumerate(gaps_ms):
            self.now_ns += round(gap_ms * MS)
            events.append((self.now_ns, 0, f"t{number}"))
            if number not in self.ignored:
                frame = self.expose(self.answer_ns(self.now_ns), number)
                events += [(frame[0], 1, frame)] if number not in self.lost else []
            if number in self.unasked:
                extra = self.expose(self.now_ns + round(0.52 * min(gaps_ms) * MS), -1 - number)
                events.append((extra[0], 1, extra))
        told: dict[int, Paired] = {}
        for at_ns, kind, what in sorted(events, key=lambda event: event[:2]):
            if kind == 0:
                self.pairing.sent(str(what), at_ns)
            else:
                arrived_ns, device_ns, position, number = what  # type: ignore[misc]
                told[number] = self.pairing.arrived(position, device_ns, arrived_ns)  # type: ignore[index]
        return told


def right(told: dict[int, Paired]) -> int:
    """Number of frames that were used; all of them show the part of their trigger.

    An image that nobody asked for still shows the part of the trigger before it.
    """
    used = {number: paired.trigger_id for number, paired in told.items() if not paired.why}
    parts = {number: f"t{number if number >= 0 else -1 - number}" for number in used}
    assert used == parts, "a frame of another trigger"
    return len(used)


@pytest.mark.parametrize("transfer_ms", [(1, 3), (95, 110), (150, 250), (380, 420)])
@pytest.mark.parametrize("gap_ms", [100, 200, 500])
def test_however_long_transfer_takes_every_frame_finds_its_trigger(
    transfer_ms: tuple[float, float], gap_ms: float
) -> None:
    world = World(transfer_ms=transfer_ms, ppm=80)
    world.warm_up()
    assert right(world.run([gap_ms] * 300)) == 300


def test_a_trigger_that_the_camera_ignored_shifts_nothing() -> None:
    world = World(transfer_ms=(150, 160), ignored=frozenset({20}))
    world.warm_up()
    told = world.run([100] * 60)
    assert right(told) == 60 - 2
    assert "a trigger was ignored" in told[21].why
    assert told[21].trigger_id == "t20"
    assert not told[22].why


def test_an_image_that_nobody_asked_for_shifts_nothing() -> None:
    world = World(transfer_ms=(150, 160), unasked=frozenset({20}))
    world.warm_up()
    told = world.run([100] * 60)
    assert right(told) >= 60 - 3
    assert told[-21].why


def test_a_frame_lost_on_the_way_costs_itself_only() -> None:
    world = World(transfer_ms=(150, 160), lost=frozenset({20, 21, 40}))
    world.warm_up()
    assert right(world.run([100] * 60)) == 57


def test_a_damaged_frame_names_its_trigger() -> None:
    world = World(transfer_ms=(1, 2))
    world.warm_up()
    world.run([100] * 3)
    world.pairing.sent("t3", world.now_ns)
    assert world.pairing.lost(world.position + 1) == "t3"
    assert world.pairing.lost(world.position + 2) is None


def test_a_damaged_frame_without_its_number_is_of_the_only_trigger_that_is_owed_one() -> None:
    world = World(transfer_ms=(1, 2))
    world.warm_up()
    world.run([100] * 3)
    world.pairing.sent("t3", world.now_ns)
    assert world.pairing.lost(None) == "t3"
    world.pairing.sent("t4", world.now_ns + MS)
    world.pairing.sent("t5", world.now_ns + 2 * MS)
    assert world.pairing.lost(None) is None
    assert world.pairing.owed_since_ns == world.now_ns + MS


def test_before_anything_was_answered_no_frame_belongs_to_a_trigger() -> None:
    world = World(transfer_ms=(1, 2))
    assert right(world.run([100] * 5)) == 0


@pytest.mark.parametrize("gap_ms", [41, 43, 50, 60])
def test_answers_as_irregular_as_the_triggers_are_never_counted_anew_by_time(gap_ms: float) -> None:
    for seed in range(5):
        world = World(transfer_ms=(1, 2), seed=seed)
        world.warm_up()
        ticks = world.now_ns
        world.answer_ns = lambda at_ns, t=ticks: at_ns + (t - at_ns) % (40 * MS)  # type: ignore[method-assign]
        assert right(world.run([gap_ms] * 600)) > 100


@pytest.mark.parametrize(("answer_ms", "parts"), [(70, 60), (79, 60), (84, 58)])
def test_a_slow_answer_costs_nothing_before_the_next_trigger_is_near(answer_ms: int, parts: int) -> None:
    world = World(transfer_ms=(150, 160))
    world.warm_up()
    answers = iter([MS] * 20 + [answer_ms * MS] + [MS] * 60)
    world.answer_ns = lambda at_ns: at_ns + next(answers)  # type: ignore[method-assign]
    assert right(world.run([100] * 60)) == parts


def test_a_camera_of_25_ticks_a_second_is_paired_at_10_triggers_a_second() -> None:
    world = World(transfer_ms=(200, 230), answer_ms=(0, 40))
    world.warm_up()
    assert right(world.run([100] * 400)) >= 396


def test_after_a_long_pause_with_long_transfer_the_camera_is_set_up_anew_rather_than_guessed() -> None:
    world = World(transfer_ms=(150, 160), ppm=90)
    world.warm_up()
    told = world.run([100] * 5 + [3600_000] + [100] * 20)
    assert right(told) == 5
    assert told[24].hopeless
    assert not told[6].hopeless


def test_after_a_long_pause_with_short_transfer_nothing_is_lost() -> None:
    world = World(transfer_ms=(10, 30), ppm=-90)
    world.warm_up()
    assert right(world.run([100] * 5 + [3600_000] + [100] * 20)) == 26


def test_a_camera_whose_clock_was_set_is_not_guessed_at() -> None:
    world = World(transfer_ms=(10, 30))
    world.warm_up()
    world.run([100] * 5)
    for number in range(12):
        world.now_ns += 100 * MS
        world.pairing.sent(f"u{number}", world.now_ns)
        arrived_ns, device_ns, position, _ = world.expose(world.now_ns + MS, number)
        paired = world.pairing.arrived(position, device_ns + 50 * 10**9, arrived_ns)
        assert "clock was set" in paired.why
        assert paired.hopeless == (number == 11)


@settings(max_examples=60)
@given(
    gap_ms=st.sampled_from([100, 150, 200, 350, 500]),
    transfer_ms=st.integers(0, 400),
    jitter_ms=st.integers(0, 120),
    answer_ms=st.sampled_from([(0.5, 1), (1, 10), (0, 40)]),
    pauses=st.dictionaries(st.integers(0, PARTS - 1), st.integers(0, 20_000), max_size=3),
    ignored=st.frozensets(st.integers(0, PARTS - 1), max_size=4),
    lost=st.frozensets(st.integers(0, PARTS - 1), max_size=10),
    unasked=st.frozensets(st.integers(0, PARTS - 1), max_size=3),
    ppm=st.integers(-90, 90),
    seed=st.integers(0, 1000),
)
def test_whatever_is_lost_ignored_or_unasked_no_frame_is_used_for_another_trigger(
    gap_ms: int,
    transfer_ms: int,
    jitter_ms: int,
    answer_ms: tuple[float, float],
    pauses: dict[int, int],
    ignored: frozenset[int],
    lost: frozenset[int],
    unasked: frozenset[int],
    ppm: int,
    seed: int,
) -> None:
    world = World(
        transfer_ms=(transfer_ms, transfer_ms + jitter_ms), answer_ms=answer_ms, ppm=ppm, ignored=ignored,
        lost=lost, unasked=unasked, seed=seed,
    )  # fmt: skip
    world.warm_up()
    told = world.run([gap_ms + pauses.get(number, 0) for number in range(PARTS)])
    used = right(told)
    if not ignored and not unasked:
        early_surprise = 3 if answer_ms[1] > gap_ms / 4 else 0  # quicker than any of the few before
        assert used >= PARTS - len(lost) - early_surprise
