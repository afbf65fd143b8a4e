"""Fault 3: box and broker cannot reach each other, and nobody tells them."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from edgeflow.delivery.store.database_file import read_only
from faults.cuttable_link import Way, way
from faults.figures import Figure
from faults.kills import accounts
from faults.network import in_own_network
from faults.rig import Site, site, wait_for

__all__ = ["partition"]

RATE_HZ = 200.0
BEFORE_S = 3.0
SEEN_S, DRAINED_S = 2.5, 10.0
_ENOUGH = 1_000_000
_SEEN = ("connection lost", "does not acknowledge")


def partition(folder: Path, *, cuts_s: Sequence[float]) -> list[Figure]:
    """Results are made all the time; the way is cut for so many seconds, one cut after the other."""
    with way() as cable, site(folder, host=cable.host) as place:
        fault = f"3 partition ({cable.name})"
        place.box_prefix = cable.prefix
        place.start_box(rate_hz=RATE_HZ, count=_ENOUGH, port=cable.join(place.port))
        if not wait_for(lambda: len(place.received_ids()) > 0, 30):
            raise SystemExit(f"no result arrives even before the cut: {place.box_said()}")
        figures = [figure for cut_s in cuts_s for figure in _cut(fault, place, cable, cut_s)]
        place.boxes[-1].send_signal(signal.SIGTERM)
        place.boxes[-1].wait(90)
        return [*figures, *accounts(fault, place)]


def _cut(fault: str, place: Site, cable: Way, cut_s: float) -> list[Figure]:
    time.sleep(BEFORE_S)
    said = len(place.box_said())
    cable.cut()
    begun_s = time.monotonic()
    wait_for(lambda: any(words in place.box_said()[said:] for words in _SEEN), cut_s)
    seen_s = time.monotonic() - begun_s
    time.sleep(max(0.0, begun_s + cut_s - time.monotonic()))
    waited = place.waiting()
    newest = _newest(place)
    cable.mend()
    ended_s = time.monotonic()
    wait_for(lambda: _older(place, newest) == 0, 6 * DRAINED_S)
    drained_s = time.monotonic() - ended_s
    # A relay cannot make packets vanish: there only the broker's silence tells.
    limit = SEEN_S if in_own_network() else None
    return [
        Figure(
            fault=fault, what=f"{cut_s:g} s: seen after, s", value=round(seen_s, 2), limit=limit, timed=True
        ),
        Figure(fault=fault, what=f"{cut_s:g} s: results that waited at its end", value=waited),
        Figure(
            fault=fault,
            what=f"{cut_s:g} s: drained after, s",
            value=round(drained_s, 2),
            limit=DRAINED_S,
            timed=True,
        ),
    ]


def _newest(place: Site) -> int:
    with closing(read_only(place.outbox)) as outbox:
        found: int = outbox.execute("SELECT COALESCE(MAX(id), 0) FROM results").fetchone()[0]
    return found


def _older(place: Site, row_id: int) -> int:
    """Number of results that waited at the end of the cut and still wait."""
    with closing(read_only(place.outbox)) as outbox:
        count: int = outbox.execute("SELECT COUNT(*) FROM results WHERE id <= ?", (row_id,)).fetchone()[0]
    return count
