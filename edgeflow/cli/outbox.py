"""``edgeflow outbox``: shows, delivers and exports the results that wait in a box's outbox."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click
from rich.console import Console

from edgeflow.cli.options import FILE, FiniteRange, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.config.box import load_config
from edgeflow.delivery.offline import (
    count_undelivered,
    deliver,
    read_set_aside,
    restore_results,
    stored_payloads,
    summarise,
    wait_until_empty,
)
from edgeflow.errors import HardwareError, StorageError, UsageError

__all__ = ["outbox"]


@click.group()
def outbox() -> None:
    """Look at the results that wait in a box's outbox, and get them out; also while the box runs."""


@outbox.command()
@click.argument("box", type=FILE)
@json_option
def status(box: Path, json_output: bool) -> None:
    """Say how many results wait in BOX's outbox, since when, and what was given up."""
    path = load_config(box).outbox.path
    found = summarise(path)
    if json_output:
        print_json(found)
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    parts = ", ".join(f"{count} {verdict}" for verdict, count in found["waiting"].items()) or "nothing"
    console.print(f"{path}: {parts} waiting ({found['mb']:g} MB)")
    if found["oldest_age_s"] is not None:
        console.print(f"the oldest waits since {found['oldest_age_s']:.0f} s")
    for drop in found["drops"]:
        span = f"{drop['count']} results from {drop['from']} to {drop['to']}"
        console.print(f"given up: {span} ({drop['why']}, {drop['at']})")
    if found["aside"]:
        console.print(
            f"set aside: {found['aside']} results that cannot be delivered; see 'edgeflow outbox aside'"
        )
    for kept in found["damaged"]:
        console.print(f"set aside as damaged: {kept}")


@outbox.command()
@click.argument("box", type=FILE)
@click.option("--timeout", "timeout_s", type=FiniteRange(min=0), default=30.0, show_default=True)
@json_option
def flush(box: Path, timeout_s: float, json_output: bool) -> None:
    """Deliver what waits now: by the box where it runs, else by this command."""
    config = load_config(box)
    path = config.outbox.path
    before = count_undelivered(path)
    try:
        left = deliver(config, timeout_s)
    except StorageError as error:
        if "another process" not in error.message:
            raise
        left = wait_until_empty(path, timeout_s)
    if json_output:
        print_json({"delivered": before - left, "waiting": left})
    else:
        print(f"{max(0, before - left)} messages delivered, {left} wait")
    if left:
        raise HardwareError(
            f"outbox {path}: {left} messages were not confirmed within {timeout_s:g} s; check the broker, "
            f"and that somebody confirms (outbox.confirm: {config.outbox.confirm})"
        )


@outbox.command()
@click.argument("box", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write here; default: standard output.")
@click.option("--aside", is_flag=True, help="Those that are set aside instead, as they are stored.")
@json_option
def export(box: Path, output: Path | None, aside: bool, json_output: bool) -> None:
    """Write the waiting results as JSON lines; they stay in the outbox."""
    path = load_config(box).outbox.path
    count = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        for payload in stored_payloads(path, aside=aside):
            target.write(payload + b"\n")
            count += 1
    if output:
        if json_output:
            print_json({"exported": count, "file": str(output)})
        else:
            print(f"{count} results written to {output}")


@outbox.command("aside")
@click.argument("box", type=FILE)
@json_option
def list_aside(box: Path, json_output: bool) -> None:
    """List the results that BOX keeps but does not send, because they cannot be delivered."""
    path = load_config(box).outbox.path
    found = read_set_aside(path)
    if json_output:
        print_json([vars(each) for each in found])
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for each in found:
        console.print(f"{each.id}: {each.result_id}, {each.size} bytes, since {each.since}: {each.why}")
    if not found:
        console.print("nothing is set aside")


@outbox.command()
@click.argument("box", type=FILE)
@click.argument("ids", type=click.IntRange(1, 2**63 - 1), nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are set aside.")
@json_option
def restore(box: Path, ids: tuple[int, ...], everything: bool, json_output: bool) -> None:
    """Have results sent again that were set aside; IDS are those that 'aside' lists."""
    path = load_config(box).outbox.path
    if everything == bool(ids):
        raise UsageError("outbox restore: give the ids that 'edgeflow outbox aside' lists, or --all")
    count = restore_results(path, None if everything else ids)
    if json_output:
        print_json({"restored": count})
    else:
        print(f"{count} results are sent again")
    if not everything and count < len(set(ids)):
        raise UsageError(f"outbox {path}: {len(set(ids)) - count} of these ids are not set aside")
