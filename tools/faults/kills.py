"""Faults 1 and 2: broker, box, both, or an absent consumer, killed again and again."""

from __future__ import annotations

import random
import time
from pathlib import Path

from faults.figures import Figure
from faults.rig import Site, site, wait_for

__all__ = ["accounts", "both_killed", "consumer_away"]

RATE_HZ = 200.0
DRAIN_S = 30.0


def both_killed(folder: Path, *, kills: int, events: int) -> list[Figure]:
    """Broker and box each killed ``kills`` times, at random moments, while results are made."""
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    with site(folder) as place:
        place.start_box(rate_hz=RATE_HZ, count=events)
        whom = ["broker", "box"] * kills
        chance.shuffle(whom)
        pause_s = events / RATE_HZ / len(whom)
        for victim in whom:
            time.sleep(pause_s * chance.uniform(0.5, 1.5))
            if victim == "broker":
                place.kill_broker()
                time.sleep(0.2)
                place.start_broker()
            else:
                place.kill_box()
                place.start_box(rate_hz=RATE_HZ, count=max(1, events - len(place.made_ids())))
        place.boxes[-1].wait(events / RATE_HZ + DRAIN_S + 60)
        return [*accounts("1 broker and box killed", place), _kills("1 broker and box killed", 2 * kills)]


def consumer_away(folder: Path, *, kills: int, events: int) -> list[Figure]:
    """The broker killed ``kills`` times while nobody subscribes; then the consumer comes."""
    with site(folder, controller=False) as place:
        place.start_box(rate_hz=RATE_HZ, count=events)
        for _ in range(kills):
            time.sleep(events / RATE_HZ / kills)
            place.kill_broker()
            time.sleep(0.1)
            place.start_broker()
        place.start_controller()
        started_s = time.monotonic()
        place.boxes[-1].wait(events / RATE_HZ + DRAIN_S + 60)
        drained = Figure(
            fault="2 consumer away, broker killed",
            what="drained after it came, s",
            value=round(time.monotonic() - started_s, 1),
            limit=DRAIN_S,
            timed=True,
        )
        return [*accounts("2 consumer away, broker killed", place), drained]


def _kills(fault: str, count: int) -> Figure:
    return Figure(fault=fault, what="kills", value=count)


def accounts(fault: str, place: Site) -> list[Figure]:
    """Results made and results received, once the outbox is empty."""
    wait_for(lambda: place.waiting() == 0, DRAIN_S)
    left = place.waiting()
    summary = place.stop_controller()
    made, received = set(place.made_ids()), place.received_ids()
    return [
        Figure(fault=fault, what="results made", value=len(made)),
        Figure(fault=fault, what="lost", value=len(made - set(received)), limit=0),
        Figure(
            fault=fault, what="double after deduplication", value=len(received) - len(set(received)), limit=0
        ),
        Figure(fault=fault, what="sent again", value=summary["results_again"]),
        Figure(fault=fault, what="left in the outbox", value=left, limit=0),
        Figure(fault=fault, what="set aside", value=len(place.aside_ids()), limit=0),
        Figure(fault=fault, what="outbox damaged", value=not place.outbox_is_sound(), limit=0),
    ]
