"""Statuses and releases of a fleet, as lines and tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.message_parts.fleet_status import BoxFileStatus, FleetStatus
from edgeflow.fleet.rollout import Release

__all__ = ["print_boxes", "print_releases", "status_line"]


def status_line(found: FleetStatus) -> str:
    """Return a box's status in one line."""
    parts = f" {found.parts} of {found.of_parts} parts" if found.of_parts else ""
    why = f": {found.reason}" if found.reason else ""
    problem = f"; {found.problem}" if found.problem else ""
    box_file = f"; {_box_file_line(found.box_file)}" if found.box_file is not None else ""
    return f"{found.release or 'no release'}: {found.phase.replace('_', ' ')}{parts}{why}{box_file}{problem}"


def _box_file_line(found: BoxFileStatus) -> str:
    parts = f" {found.parts} of {found.of_parts} parts" if found.of_parts else ""
    why = f": {found.reason}" if found.reason else ""
    return f"{found.id}: {found.phase.replace('_', ' ')}{parts}{why}"


def print_releases(console: Console, releases: Sequence[Release], groups: list[str]) -> None:
    """Print the releases, and the groups that have them."""
    if not releases:
        console.print("no release is published yet")
        return
    table = make_table("release", *groups, "")
    for one in releases:
        has = ["yes" if group in one.groups else "" for group in groups]
        table.add_row(one.id, *has, "revoked" if one.revoked else "")
    print_table(console, table)

    for one in releases:
        for reason in one.unproven:
            console.print(f"{one.id}: without a proof in the shadow for {reason}", soft_wrap=True)


def print_boxes(console: Console, statuses: Sequence[FleetStatus]) -> None:
    """Print what the boxes report."""
    if not statuses:
        console.print("no box has reported; give --broker URL, or bring the stick that boxes wrote to")
        return
    table = make_table("group", "box", "release", "phase", "parts", "shadow")
    for one in statuses:
        parts = f"{one.parts}/{one.of_parts}" if one.of_parts else ""
        table.add_row(one.group, one.box, one.release or "", one.phase.replace("_", " "), parts, _shadow(one))
    print_table(console, table)
    for one in statuses:
        box_file = _box_file_line(one.box_file) if one.box_file is not None else ""
        for text in filter(None, (one.reason, box_file, one.problem)):
            console.print(f"{one.box}: {text}", soft_wrap=True)


def _shadow(one: FleetStatus) -> str:
    """Parts that were compared in the shadow, and how many of them turned."""
    if not one.compared:
        return ""
    return f"{one.compared}, {one.turned} turn" if one.turned else str(one.compared)
