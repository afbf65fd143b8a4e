"""Fault 11: a change of bundles killed at every step."""

from __future__ import annotations

from pathlib import Path

from faults.bundle_swap_kills import kill_again_and_again
from faults.figures import Figure
from simulators.small_box import write_box

__all__ = ["swap_killed"]


def swap_killed(folder: Path, *, kills: int) -> list[Figure]:
    """To and fro between two bundles, each time killed one step later; then the box has to start."""
    fault = "11 bundle swap killed"
    done = kill_again_and_again(write_box(folder, 1), kills)
    killed = [one for one in done if one.step]
    return [
        Figure(fault=fault, what="kills", value=len(killed), limit=kills, at_least=True),
        Figure(
            fault=fault, what="different steps killed", value=len({(one.verb, one.step) for one in killed})
        ),
        Figure(fault=fault, what="changes to their end", value=len(done) - len(killed)),
        Figure(
            fault=fault,
            what="started with neither bundle",
            value=sum(one.version not in (1, 2) for one in done),
            limit=0,
        ),
    ]
