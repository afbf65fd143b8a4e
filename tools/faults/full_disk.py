"""Fault 5: no room on the disk, and the cap on rows; what was given up is told exactly."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from faults.figures import Figure
from faults.rig import Site, site, wait_for

__all__ = ["disk_full", "row_cap"]

RATE_HZ = 200.0
DISK_BYTES = 24_000_000


def row_cap(folder: Path, *, events: int, rows: int) -> list[Figure]:
    """No broker, more results than may wait; then the broker comes."""
    fault = f"5 cap of {rows} rows"
    with site(folder, controller=False) as place:
        place.limits = {"max_rows": rows}
        place.kill_broker()
        place.start_box(rate_hz=0, count=events)
        wait_for(lambda: len(place.made_ids()) >= events, events / 100 + 30)
        place.start_broker()
        place.start_controller()
        place.boxes[-1].wait(90)
        return _accounts(fault, place)


def disk_full(folder: Path, *, results: int) -> list[Figure]:
    """A small disk is filled by something else while nobody takes the results, then has room again."""
    fault = "5 disk full"
    disk = folder / "disk"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(disk)], check=True)
    try:
        with site(folder, controller=False) as place:
            place.outbox = disk / "outbox.db"
            place.kill_broker()
            place.start_box(rate_hz=RATE_HZ, count=results)
            wait_for(lambda: len(place.made_ids()) > results / 4, 60)
            filler = disk / "filler"
            _fill(filler)
            wait_for(lambda: "cannot be written" in place.box_said(), results / RATE_HZ)
            full_at = len(place.made_ids())
            for _ in range(25):  # whatever the box gives back is taken too
                time.sleep(0.2)
                _fill(filler)
            during, said = len(place.made_ids()), len(place.box_said())
            filler.unlink()
            freed_s = time.monotonic()
            wait_for(lambda: len(place.made_ids()) > during, 30)
            stored_s = time.monotonic() - freed_s
            wait_for(lambda: "written again" in place.box_said()[said:], 30)
            well_s = time.monotonic() - freed_s
            place.start_broker()
            place.start_controller()
            died = place.boxes[-1].wait(results / RATE_HZ + 120)
            return [
                *_accounts(fault, place),
                Figure(fault=fault, what="stored while full", value=during - full_at),
                Figure(
                    fault=fault,
                    what="next result stored after room returned, s",
                    value=round(stored_s, 2),
                    limit=5,
                    timed=True,
                ),
                Figure(
                    fault=fault,
                    what="nothing given up any more after, s",
                    value=round(well_s, 2),
                    limit=5,
                    timed=True,
                ),
                Figure(fault=fault, what="box ended with", value=died, limit=0),
            ]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _fill(filler: Path) -> None:
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65_536))
        except OSError:
            pass
    assert shutil.disk_usage(filler.parent).free < 65_536  # noqa: S101 - else it was no fault


def _accounts(fault: str, place: Site) -> list[Figure]:
    wait_for(lambda: place.waiting() == 0, 30)
    told = _told(place)
    place.stop_controller()
    made, received = set(place.made_ids()), set(place.received_ids())
    missing = made - received
    return [
        Figure(fault=fault, what="results made", value=len(made)),
        Figure(fault=fault, what="given up", value=len(told)),
        Figure(fault=fault, what="record and missing differ by", value=len(told ^ missing), limit=0),
        Figure(fault=fault, what="outbox damaged", value=not place.outbox_is_sound(), limit=0),
        Figure(fault=fault, what="free disk, bytes", value=shutil.disk_usage(place.outbox.parent).free),
    ]


def _told(place: Site) -> set[str]:
    """Ids that the controller was told of, as it kept them."""
    file = place.folder / "results.jsonl.dropped"
    lines = file.read_text().splitlines() if os.path.exists(file) else []  # noqa: PTH110
    return {name for line in lines for name in json.loads(line)["result_ids"]}
