"""All faults, one after the other, and a table of figures beside what they have to reach.

make faults                                       (or: PYTHONPATH=tools python -m faults.run --short)
"""

from __future__ import annotations

import logging
import math
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edgeflow.cli.terminal.output import print_json
from faults.attacks import attacks
from faults.box_files import box_files_changed
from faults.bundle_swaps import swap_killed
from faults.cameras import camera_stopped, packets_lost
from faults.changeover import changeover
from faults.clock_steps import clock_steps
from faults.collectors import collectors_killed
from faults.conservation import conservation
from faults.figures import Figure
from faults.fleet import fleet_rolled_out
from faults.frozen import frozen_view
from faults.frozen_evidence import evidence_frozen
from faults.full_disk import disk_full, row_cap
from faults.hung_scoring import hung_scoring
from faults.kills import both_killed, consumer_away
from faults.late_packets import CORNERS, SHORT_CORNERS, late_packets
from faults.late_views import bad_views
from faults.network import inside_namespace
from faults.partition import partition
from faults.refusals import oversize, rights_refused
from faults.slow_broker import slow_broker
from faults.slow_scoring import slow_scoring
from faults.throughput import backlog, clean, throughput
from faults.trigger_epoch import trigger_epoch
from simulators.gige_cameras import NotPossibleError

Fault = Callable[[Path], list[Figure]]
LONG: dict[str, Fault] = {
    "killed": lambda folder: both_killed(folder, kills=15, events=6000),
    "away": lambda folder: consumer_away(folder, kills=12, events=6000),
    "partition": lambda folder: partition(folder, cuts_s=(8.0, 4.0)),
    "slow": lambda folder: slow_broker(folder, events=6000),
    "cap": lambda folder: row_cap(folder, events=5000, rows=2000),
    "full": lambda folder: disk_full(folder, results=12_000),
    "clean": lambda folder: clean(folder, events=6000),
    "rate": lambda folder: throughput(folder, events=20_000),
    "stopped": camera_stopped,
    "scoring": lambda folder: slow_scoring(folder, seconds=30),
    "packets": lambda folder: packets_lost(folder, triggers=600),
    "late": lambda folder: late_packets(folder, CORNERS, parts=200),
    "views": lambda folder: bad_views(folder, triggers=1000),
    "frozen_view": lambda folder: frozen_view(folder, triggers=600),
    "swap": lambda folder: swap_killed(folder, kills=100),
    "attacks": attacks,
    "rights": lambda folder: rights_refused(folder, events=1200),
    "oversize": lambda folder: oversize(folder, events=120),
    "backlog": lambda folder: backlog(folder, rows=50_000, decisions=1000),
    "epoch": lambda folder: trigger_epoch(folder, parts=40, flood=20_000),
    "conservation": lambda folder: conservation(folder, parts=50_000, rate_hz=400, kills=30),
    "clock": lambda folder: clock_steps(folder, rounds=4),
    "frozen_disk": lambda folder: evidence_frozen(folder, parts=200),
    "hung": lambda folder: hung_scoring(folder, seconds=20),
    "changeover": lambda folder: changeover(folder, parts=10_000, kills=20, rate_hz=30),
    "collectors": lambda folder: collectors_killed(
        folder, boxes=20, rate_hz=500, kills=15, outage_s=(2.0, 20.0)
    ),
    "fleet": lambda folder: fleet_rolled_out(folder, boxes=8, kills=100, prove=True),
    "box_files": lambda folder: box_files_changed(folder, boxes=2, rounds=8),
}
DAY: dict[str, Fault] = {
    "day": lambda folder: conservation(folder, parts=500_000, rate_hz=600, kills=40),
}
SHORT: dict[str, Fault] = {
    "killed": lambda folder: both_killed(folder, kills=2, events=600),
    "away": lambda folder: consumer_away(folder, kills=2, events=400),
    "partition": lambda folder: partition(folder, cuts_s=(4.0,)),
    "slow": lambda folder: slow_broker(folder, events=600),
    "cap": lambda folder: row_cap(folder, events=1000, rows=300),
    "full": lambda folder: disk_full(folder, results=3600),
    "clean": lambda folder: clean(folder, events=400),
    "rate": lambda folder: throughput(folder, events=2000),
    "stopped": camera_stopped,
    "scoring": lambda folder: slow_scoring(folder, seconds=6),
    "packets": lambda folder: packets_lost(folder, triggers=60),
    "late": lambda folder: late_packets(folder, SHORT_CORNERS, parts=20, cameras=2),
    "views": lambda folder: bad_views(folder, triggers=60),
    "frozen_view": lambda folder: frozen_view(folder, triggers=40),
    "swap": lambda folder: swap_killed(folder, kills=4),
    "attacks": lambda folder: attacks(folder, every=6),
    "rights": lambda folder: rights_refused(folder, events=120),
    "oversize": lambda folder: oversize(folder, events=60),
    "backlog": lambda folder: backlog(folder, rows=5000, decisions=150),
    "epoch": lambda folder: trigger_epoch(folder, parts=12, flood=1500),
    "conservation": lambda folder: conservation(folder, parts=1200, rate_hz=200, kills=4),
    "clock": lambda folder: clock_steps(folder, rounds=1),
    "frozen_disk": lambda folder: evidence_frozen(folder, parts=60),
    "hung": lambda folder: hung_scoring(folder, seconds=3),
    "changeover": lambda folder: changeover(folder, parts=200, kills=2, rate_hz=25),
    "collectors": lambda folder: collectors_killed(
        folder, boxes=3, rate_hz=60, kills=1, outage_s=(1.5, 2.5), calm_s=2, share_s=4
    ),
    "fleet": lambda folder: fleet_rolled_out(folder, boxes=2, kills=2),
    "box_files": lambda folder: box_files_changed(folder, boxes=1, rounds=1, short=True),
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice([*LONG, *DAY]))
@click.option("--short", is_flag=True, help="The same faults in seconds instead of minutes.")
@click.option("--json", "json_output", is_flag=True)
def main(names: tuple[str, ...], short: bool, json_output: bool) -> None:
    """Break NAMES (all by default, without ``day``, which takes 20 minutes).

    Exit with 1 if a figure is not reached.
    """
    inside = inside_namespace(["-m", "faults.run", *sys.argv[1:]])
    if inside is not None:
        sys.exit(inside)
    os.system("ip link set lo up")  # noqa: S605 - a new namespace begins without it
    logging.getLogger("edgeflow").setLevel(logging.ERROR)  # warnings are what the faults are made for
    faults = SHORT if short else LONG
    chosen = faults | DAY
    figures: list[Figure] = []
    console = Console(stderr=True)
    for name in names or faults:
        console.print(f"{name} …")
        with tempfile.TemporaryDirectory() as folder:
            try:
                figures += chosen[name](Path(folder))
            except NotPossibleError as cause:  # not broken, not held either
                figures.append(
                    Figure(fault=name, what=f"not possible here: {cause}", value=math.nan, limit=0)
                )
    if json_output:
        print_json([_document(figure) for figure in figures])
    else:
        Console(soft_wrap=True).print(_table(figures))
        print("load:", *os.getloadavg())
    sys.exit(any(not figure.good for figure in figures))


def _document(figure: Figure) -> dict[str, object]:
    value = figure.value if math.isfinite(figure.value) else None
    return {**vars(figure), "value": value, "good": figure.good}


def _table(figures: list[Figure]) -> Table:
    table = Table("fault", "figure", "value", "to reach", "")
    for figure in figures:
        limit = "" if figure.limit is None else f"{'≥' if figure.at_least else '≤'} {figure.limit:g}"
        table.add_row(
            figure.fault, figure.what, f"{figure.value:g}", limit, "" if figure.good else "NOT REACHED"
        )
    return table


if __name__ == "__main__":
    main()
