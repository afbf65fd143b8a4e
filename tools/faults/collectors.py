"""Fault: database, broker and collectors killed in turn while many boxes deliver into one database."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faults.collector_rig import CollectorSite
from faults.figures import Figure, percentile
from simulators.gige_cameras import NotPossibleError
from simulators.postgresql import postgresql_programs

__all__ = ["collectors_killed"]

FAULT = "collectors"
CALM_S = 10.0  # after this the lag is held
MEASURED_S = 2.0
SHARE_S = 10.0
LAG_LIMIT_S = 1.0
STOOD_S = 0.5
NAMES = ("c1", "c2")


@dataclass(frozen=True, kw_only=True)
class Calm:
    """A time after an outage in which the lag is held.

    Attributes:
        stood_s: so much longer than wanted this process slept: the machine itself stood still.
    """

    begin: datetime
    end: datetime
    stood_s: float


def collectors_killed(
    folder: Path,
    *,
    boxes: int,
    rate_hz: float,
    kills: int,
    outage_s: tuple[float, float],
    calm_s: float = CALM_S,
    share_s: float = SHARE_S,
) -> list[Figure]:
    """Each of the three killed ``kills`` times, and away for a while.

    Every third kill of a collector takes both. Between two outages all have time to calm down, and then the
    time from decision to commit is taken, by the database's record of its commits.

    Args:
        calm_s: that time.
        share_s: in which the work of both collectors is compared, before anything is killed.
    """
    if postgresql_programs() is None:
        raise NotPossibleError("no PostgreSQL")
    place = CollectorSite(folder=folder, boxes=boxes)
    try:
        place.start()
        for name in NAMES:
            place.start_collector(name)
        place.wait_for_collectors()
        chance = random.Random(7)  # noqa: S311 - moments, not secrets
        victims = ["database", "broker", "collector"] * kills
        chance.shuffle(victims)
        outages = [chance.uniform(*outage_s) for _ in victims]
        seconds = share_s + 15 + sum(outages) + len(victims) * (calm_s + MEASURED_S)
        place.start_boxes(rate_hz=rate_hz / boxes, count=int(3 * seconds * rate_hz / boxes))
        place.wait_for_first_results()
        share = _share(place, share_s)
        calm = [
            _outage(place, victim, away_s, number, calm_s)
            for number, (victim, away_s) in enumerate(zip(victims, outages, strict=True))
        ]
        place.end_boxes()
        return [
            *_accounts(place),
            *_lag(place, calm, calm_s),
            *share,
            Figure(fault=FAULT, what="kills", value=len(victims)),
        ]
    finally:
        place.end()


def _outage(place: CollectorSite, victim: str, away_s: float, number: int, calm_s: float) -> Calm:
    """One outage and the calm after it; return when the lag is held, from and to.

    The calm begins with the restart, of the broker with the moment when the last box has connected again.
    """
    names = NAMES if number % 3 == 0 else (NAMES[number % 2],)
    if victim == "database":
        place.database.kill()
    elif victim == "broker":
        place.broker.kill_broker()
    else:
        for name in names:
            place.kill_collector(name)
    time.sleep(away_s)
    if victim == "database":
        place.database.start()
    elif victim == "broker":
        place.broker.start_broker()
        place.wait_for_boxes()
    else:
        for name in names:
            place.start_collector(name)
    started_s = time.monotonic()
    time.sleep(calm_s)
    begin = datetime.now(UTC)
    time.sleep(MEASURED_S)
    stood_s = time.monotonic() - started_s - calm_s - MEASURED_S
    return Calm(begin=begin, end=begin + timedelta(seconds=MEASURED_S - LAG_LIMIT_S), stood_s=stood_s)


def _share(place: CollectorSite, share_s: float) -> list[Figure]:
    """The work of both collectors while nothing is broken."""
    counts = place.counts(NAMES, share_s)
    new, spent_s = ([counts[name][kind] for name in NAMES] for kind in (0, 1))
    difference = abs(new[0] - new[1]) / max(1.0, sum(new) / 2)
    return [
        Figure(
            fault=FAULT,
            what="difference of both collectors' results, %",
            value=round(100 * difference, 1),
            limit=20,
        ),
        Figure(fault=FAULT, what="results a second", value=round(sum(new) / share_s)),
        Figure(
            fault=FAULT,
            what="results per second of a collector's processor time",
            value=round(sum(new) / max(0.01, sum(spent_s))),
        ),
    ]


def _accounts(place: CollectorSite) -> list[Figure]:
    made, rows = place.made_ids(), [name for name, _, _ in place.committed()]
    found = Counter(rows)
    return [
        Figure(fault=FAULT, what="results made", value=len(made)),
        Figure(fault=FAULT, what="lost", value=len(set(made) - set(rows)), limit=0),
        Figure(fault=FAULT, what="double", value=sum(count - 1 for count in found.values()), limit=0),
        Figure(fault=FAULT, what="never made", value=len(set(rows) - set(made)), limit=0),
        Figure(fault=FAULT, what="set aside", value=place.set_aside(), limit=0),
    ]


def _lag(place: CollectorSite, calm: Sequence[Calm], calm_s: float) -> list[Figure]:
    """From decision to commit, of results that were decided while all had calmed down."""
    lags: list[float] = []
    worst: list[float] = []
    rows = place.committed()
    held = [span for span in calm if span.stood_s <= STOOD_S]
    for span in held:
        here = [(at - decided).total_seconds() for _, decided, at in rows if span.begin <= decided < span.end]
        lags += here
        worst.append(max(here, default=float("inf")))
    late = sum(value > LAG_LIMIT_S for value in worst)
    return [
        Figure(
            fault=FAULT,
            what=f"lag p50 after {calm_s:g} s, s",
            value=round(percentile(lags, 0.5), 3),
            timed=True,
        ),
        Figure(
            fault=FAULT,
            what=f"lag p99 after {calm_s:g} s, s",
            value=round(percentile(lags, 0.99), 3),
            timed=True,
        ),
        Figure(
            fault=FAULT,
            what=f"longest lag after {calm_s:g} s, s",
            value=round(max(worst, default=0.0), 3),
            limit=LAG_LIMIT_S,
            timed=True,
        ),
        Figure(fault=FAULT, what="outages after which it was longer than 1 s", value=late, timed=True),
        Figure(
            fault=FAULT,
            what=f"outages not held: the machine stood still for {STOOD_S:g} s",
            value=len(calm) - len(held),
            timed=True,
        ),
    ]
