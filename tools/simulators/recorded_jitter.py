"""Hours of camera jitter in seconds: recorded time stamps drawn again and again, with faults, no waiting."""

from __future__ import annotations

import csv
import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeflow.cameras.camera import Frame
from edgeflow.capture.synchronizer import Synchronizer, SyncMode
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["Outcome", "Profile", "load_profile", "simulate"]

MS = 1_000_000
_IMAGE = np.zeros((1, 1, 3), np.uint8)
_DEVICE_NS = 10**15


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One recording of several cameras.

    Attributes:
        offsets_ms: (n, V) of the cameras' frames behind the first one of each exposure.
        intervals_ms: (m,) between exposures.
    """

    name: str
    views: tuple[str, ...]
    offsets_ms: npt.NDArray[np.float64]
    intervals_ms: npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Outcome of the simulated parts.

    Attributes:
        tolerance_ms: what was allowed as skew.
        false_matches: sets that could be scored although their frames are of several parts.
        missing: sets with missing views, as lost frames and missed pulses make them.
        faulty: complete sets that were refused.
        skew_ms: the largest of any set that could be scored.
    """

    tolerance_ms: float
    parts: int
    frames: int
    sets: int
    complete: int
    missing: int
    faulty: int
    false_matches: int
    used_twice: int
    mismatches: int
    skew_ms: float


def load_profile(table: Path) -> Profile:
    """A table with the columns sync_index, cam_id and frame_time (s)."""
    exposures: dict[int, dict[str, float]] = defaultdict(dict)
    with table.open(newline="") as file:
        for row in csv.DictReader(file):
            exposures[int(row["sync_index"])][row["cam_id"]] = float(row["frame_time"]) * 1000
    views = tuple(sorted({view for stamps in exposures.values() for view in stamps}))
    complete = [stamps for _, stamps in sorted(exposures.items()) if len(stamps) == len(views)]
    stamps = np.array([[one[view] for view in views] for one in complete])
    starts = stamps.min(axis=1)
    return Profile(
        name=table.stem, views=views, offsets_ms=stamps - starts[:, None], intervals_ms=np.diff(starts)
    )


def simulate(profile: Profile, mode: SyncMode, seconds: float, seed: int = 0) -> Outcome:
    """Play ``seconds`` of jitter through the synchronizer: its clock is an argument, so nothing waits.

    One frame in 500 is lost, one in 500 comes twice, one in 1000 comes too late. On a trigger line, one pulse
    in 2000 is missed by one camera, and a camera begins anew now and then; counters have 16 bits.
    """
    spread_ms = float(profile.offsets_ms.max())
    tolerance_ms = float(np.ceil(spread_ms)) + 1
    if (
        mode != "triggered"
    ):  # time alone tells two exposures apart only where they are further apart than this
        tolerance_ms = min(tolerance_ms, float(np.floor(profile.intervals_ms.min() - spread_ms)))
    timeout_ms = 3 * tolerance_ms
    sync = Synchronizer(
        profile.views,
        max_skew_ms=tolerance_ms,
        timeout_ms=timeout_ms,
        window_ms=tolerance_ms if mode == "triggered" else None,
        mode=mode,
        session="s",
    )
    truth: dict[tuple[str, int], int] = {}
    world = _World(profile, mode, seconds, seed, late_ms=timeout_ms)
    sets: list[ViewSet] = []
    for now_ns, what in _in_order(world.arrivals(truth)):
        sets += sync.expire(now_ns)
        sets += sync.trigger(what, now_ns) if isinstance(what, Trigger) else sync.add(what, now_ns)
    sets += sync.expire(10**18)
    return _judged(sets, truth, world.parts, sync.mismatches[0], tolerance_ms)


class _World:
    """Cameras that see one part after another, and a network that loses, repeats and delays."""

    def __init__(
        self, profile: Profile, mode: SyncMode, seconds: float, seed: int, *, late_ms: float
    ) -> None:
        self._profile = profile
        self._mode = mode
        self._until_ms = seconds * 1000
        self._late_ms = late_ms
        self._rng = np.random.default_rng(seed)
        self._counters = [int(c) for c in self._rng.integers(1, 65_536, len(profile.views))]
        self.parts = 0

    def arrivals(self, truth: dict[tuple[str, int], int]) -> Iterator[tuple[int, Frame | Trigger]]:
        """(arrival, frame or trigger), nearly in order; ``truth`` learns which part a frame shows."""
        at_ms = 1000.0
        while at_ms < self._until_ms:
            at_ms += float(self._rng.choice(self._profile.intervals_ms))
            at_ns = round(at_ms * MS)
            if self._mode == "triggered":
                yield at_ns, Trigger(trigger_id=f"t{self.parts}", part_id=None, at_ns=at_ns)
            offsets = self._profile.offsets_ms[self._rng.integers(len(self._profile.offsets_ms))]
            for place, offset_ms in enumerate(offsets):
                yield from self._exposed(place, round((at_ms + offset_ms) * MS), truth)
            self.parts += 1

    def _exposed(
        self, place: int, at_ns: int, truth: dict[tuple[str, int], int]
    ) -> Iterator[tuple[int, Frame]]:
        chance, transfer_ms = self._rng.random(4), 2 + 8 * self._rng.random()
        if self._mode == "hardware" and chance[3] < 1 / 2000:
            if chance[2] < 0.8:
                return  # the camera missed the pulse
            self._counters[place] = 1  # it began anew
        view, counter = self._profile.views[place], self._counters[place]
        self._counters[place] = counter % 65_535 + 1
        if chance[0] < 1 / 500:
            return
        frame = Frame(
            view=view, image=_IMAGE, captured_ns=at_ns, frame_id=self.parts, counter=counter,
            counter_bits=16, device_ns=_DEVICE_NS * (place + 1) + at_ns, unsure_ns=0,
        )  # fmt: skip
        truth[view, self.parts] = self.parts
        late_ms = self._late_ms if chance[1] < 1 / 1000 else transfer_ms
        yield at_ns + round(late_ms * MS), frame
        if chance[2] < 1 / 500:
            yield at_ns + round((late_ms + 1) * MS), frame


def _in_order(arrivals: Iterator[tuple[int, Frame | Trigger]]) -> Iterator[tuple[int, Frame | Trigger]]:
    """Sorted by arrival; nothing is more than a few parts late, so a small heap is enough."""
    numbered = ((at_ns, number, what) for number, (at_ns, what) in enumerate(arrivals))
    heap = list(islice(numbered, 64))
    heapq.heapify(heap)
    for later in numbered:
        at_ns, _, what = heapq.heappushpop(heap, later)
        yield at_ns, what
    while heap:
        at_ns, _, what = heapq.heappop(heap)
        yield at_ns, what


def _judged(
    sets: list[ViewSet], truth: dict[tuple[str, int], int], parts: int, mismatches: int, tolerance_ms: float
) -> Outcome:
    usable = [s for s in sets if not s.missing and not s.fault]
    wrong = [s for s in sets if not s.fault and len({truth[v, f.frame_id] for v, f in s.frames.items()}) > 1]
    used = [(view, frame.frame_id) for s in sets for view, frame in s.frames.items()]
    return Outcome(
        tolerance_ms=tolerance_ms,
        parts=parts,
        frames=len(used),
        sets=len(sets),
        complete=len(usable),
        missing=sum(bool(s.missing) for s in sets),
        faulty=sum(bool(s.fault) and not s.missing for s in sets),
        false_matches=len(wrong),
        used_twice=len(used) - len(set(used)),
        mismatches=mismatches,
        skew_ms=max((s.skew_ms or 0.0 for s in usable), default=0.0),
    )
