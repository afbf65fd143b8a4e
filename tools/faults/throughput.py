"""Fault 6, no fault at all: delays at 200 results/s, the highest rate, and decisions over a backlog."""

from __future__ import annotations

import time
from pathlib import Path

from faults.figures import Figure, percentile
from faults.latency_subscriber import Watcher
from faults.rig import Site, site, wait_for

__all__ = ["backlog", "clean", "throughput"]

DECISIONS_HZ = 50.0  # more than the fastest line: many decisions make a p99


def clean(folder: Path, *, events: int) -> list[Figure]:
    """Decision to subscriber of the result, through the disk with full durability, at 200/s."""
    fault = "6 clean, 200 results/s"
    with site(folder, controller=False) as place:
        watcher = Watcher(place.host, place.port, "result", acks=True)
        place.start_box(rate_hz=200, count=events)
        place.boxes[-1].wait(events / 200 + 60)
        watcher.close()
        delays = watcher.delays_ms.get("s0001", [])
        return [
            Figure(fault=fault, what="results", value=len(delays)),
            Figure(fault=fault, what="p50 to subscriber, ms", value=round(percentile(delays, 0.5), 2)),
            Figure(
                fault=fault, what="p99 to subscriber, ms", value=round(percentile(delays, 0.99), 2), limit=15
            ),
        ]


def throughput(folder: Path, *, events: int) -> list[Figure]:
    """As many as the box can make, store, deliver and have acknowledged, all at once."""
    fault = "6 highest rate"
    with site(folder) as place:
        time.sleep(1.0)
        place.start_box(rate_hz=0, count=events)
        wait_for(lambda: place.made.exists() and place.made.stat().st_size > 0, 30)
        started_s = time.monotonic()
        place.boxes[-1].wait(events / 100 + 60)
        took_s = time.monotonic() - started_s
        place.stop_controller()
        received = len(set(place.received_ids()))
        return [
            Figure(fault=fault, what="results", value=received, limit=events, at_least=True),
            Figure(
                fault=fault, what="stored, delivered and acknowledged, 1/s", value=round(received / took_s),
                limit=1000, at_least=True,
            ),
        ]  # fmt: skip


def backlog(folder: Path, *, rows: int, decisions: int) -> list[Figure]:
    """Decisions at 50/s while a backlog drains."""
    fault = f"decisions over a backlog of {rows:,}"
    with site(folder) as place:
        stored_s = _fill(place, rows)
        watcher = Watcher(place.host, place.port, "decision")
        place.start_box(rate_hz=DECISIONS_HZ, count=decisions)
        wait_for(lambda: len(watcher.delays_ms.get("s0002", [])) >= decisions, decisions / DECISIONS_HZ + 60)
        left = place.waiting()
        wait_for(lambda: place.waiting() == 0, rows / 100 + 60)
        drained_s = time.monotonic() - watcher.first_s
        watcher.close()
        delays = watcher.delays_ms["s0002"]
        return [
            Figure(
                fault=fault,
                what="stored with full durability, 1/s",
                value=round(rows / stored_s),
                limit=1000,
                at_least=True,
            ),
            Figure(fault=fault, what="decisions", value=len(delays), limit=decisions, at_least=True),
            Figure(fault=fault, what="rows left after the last decision", value=left, limit=1, at_least=True),
            Figure(fault=fault, what="p50 to subscriber, ms", value=round(percentile(delays, 0.5), 2)),
            Figure(
                fault=fault, what="p99 to subscriber, ms", value=round(percentile(delays, 0.99), 2), limit=5
            ),
            Figure(fault=fault, what="drained, 1/s", value=round((rows + decisions) / drained_s)),
        ]


def _fill(place: Site, rows: int) -> float:
    started_s = time.monotonic()
    place.start_box(rate_hz=0, count=rows, options=("--hold",))
    place.boxes[-1].wait(rows / 100 + 60)
    return time.monotonic() - started_s
