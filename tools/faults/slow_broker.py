"""Fault 4: a way to the broker that is too slow."""

from __future__ import annotations

from pathlib import Path

from faults.figures import Figure
from faults.network import Relay
from faults.rig import site

__all__ = ["slow_broker"]

_BYTES_PER_RESULT = 1900  # with its decision, properties and headers


def slow_broker(folder: Path, *, events: int, rate_hz: float = 300.0) -> list[Figure]:
    """The way to the broker carries fewer results than are made."""
    fault = f"4 broker limited to {rate_hz:g}/s"
    with site(folder) as place:
        relay = Relay((place.host, place.port), rate_hz * _BYTES_PER_RESULT)
        place.start_box(rate_hz=2 * rate_hz, count=events, port=relay.port)
        place.boxes[-1].wait(events / rate_hz * 4 + 90)
        relay.close()
        summary = place.stop_controller()
        made, received = set(place.made_ids()), set(place.received_ids())
    return [
        Figure(fault=fault, what="results made", value=len(made)),
        Figure(fault=fault, what="lost", value=len(made - received), limit=0),
        Figure(
            fault=fault,
            what="sent again, of all",
            value=round(summary["results_again"] / events, 3),
            limit=2,
            timed=True,
        ),
    ]
