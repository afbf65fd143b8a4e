"""``edgeflow collect``: results of many boxes into one database."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click
from rich.console import Console

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.collector.collector import open_store, retry_set_aside, run_collector
from edgeflow.collector.settings import CollectorConfig, load_collector_config
from edgeflow.collector.stores.store import KeptAside, Store, StoreSummary
from edgeflow.errors import UsageError
from edgeflow.log_output import use_format

__all__ = ["collect"]

_ASIDE_AT_ONCE = 1000


@click.command()
@click.argument("collector", type=FILE)
@click.option(
    "--status", is_flag=True, help="Say what the database holds, and end; also beside a running one."
)
@click.option("--set-aside", "list_aside", is_flag=True, help="List messages that were set aside, and end.")
@click.option("--retry-set-aside", is_flag=True, help="Take in again what was set aside, and end.")
@json_option
def collect(
    collector: Path, *, status: bool, list_aside: bool, retry_set_aside: bool, json_output: bool
) -> None:
    """Collect the results of many boxes into the database that COLLECTOR (a YAML file) names.

    A result is acknowledged to its box once it is committed. Several collectors of one group divide the work.
    """
    if status + list_aside + retry_set_aside > 1:
        raise UsageError("--status, --set-aside, --retry-set-aside: one of them")
    config = load_collector_config(collector)
    if not (status or list_aside or retry_set_aside):
        _run(config, json_output=json_output)
        return
    store = open_store(config)
    try:
        if status:
            _show_status(store.summary(), json_output=json_output)
        elif list_aside:
            _list_aside(store.aside(0, _ASIDE_AT_ONCE), json_output=json_output)
        else:
            _retry(store, json_output=json_output)
    finally:
        store.close()


def _run(config: CollectorConfig, *, json_output: bool) -> None:
    use_format(config.log.format)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def ready(identity: str) -> None:
        if json_output:
            print_json({"collector": config.collector_name, "group": config.group, "database": identity})
        else:
            click.echo(
                f"collector '{config.collector_name}' of group '{config.group}': database {identity} is "
                "ready (Ctrl+C ends it)"
            )

    run_collector(config, stop, ready)


def _show_status(found: StoreSummary, *, json_output: bool) -> None:
    if json_output:
        print_json(
            {
                "kind": found.kind,
                "database": found.identity,
                "schema_version": found.schema_version,
                "results": found.results,
                "newest_at": found.newest_at.isoformat() if found.newest_at else None,
                "set_aside": found.set_aside,
                "dropped": found.dropped,
                "postings": found.postings,
                "boxes": [
                    {
                        "root": box.root,
                        "session": box.session,
                        "seen_at": box.seen_at.isoformat(),
                        "two_boxes": box.two_boxes,
                    }
                    for box in found.boxes
                ],
            }
        )
        return
    newest = f", the newest of {found.newest_at:%Y-%m-%d %H:%M:%S} UTC" if found.newest_at else ""
    click.echo(f"{found.kind}, tables of version {found.schema_version}: {found.results:,} results{newest}")
    if found.set_aside:
        are = "message is" if found.set_aside == 1 else "messages are"
        click.echo(f"{found.set_aside:,} {are} set aside; see --set-aside")
    if found.dropped:
        click.echo(f"{found.dropped:,} results were given up by their boxes; see the table dropped")
    if found.postings:
        click.echo(f"{found.postings:,} results wait for the webhook")
    if found.boxes:
        table = make_table("box", "last seen (UTC)", "session", "")
        for box in found.boxes:
            two = "two boxes have this name" if box.two_boxes else ""
            table.add_row(box.root, f"{box.seen_at:%Y-%m-%d %H:%M:%S}", box.session, two)
        print_table(Console(highlight=False), table)


def _list_aside(found: list[KeptAside], *, json_output: bool) -> None:
    if json_output:
        print_json(
            [
                {
                    "number": kept.number,
                    "root": kept.source.root,
                    "kind": kept.source.kind,
                    "result_id": kept.result_id,
                    "reason": kept.reason,
                    "at": kept.set_aside_at.isoformat(),
                    "payload": kept.source.payload.decode("utf-8", "replace"),
                }
                for kept in found
            ]
        )
        return
    if not found:
        click.echo("nothing is set aside")
    for kept in found:
        name = kept.result_id or "(no id)"
        click.echo(f"{kept.set_aside_at:%Y-%m-%d %H:%M:%S}  {kept.source.root}  {kept.source.kind} {name}")
        click.echo(f"    {kept.reason}")


def _retry(store: Store, *, json_output: bool) -> None:
    taken, stay = retry_set_aside(store)
    if json_output:
        print_json({"taken": taken, "stay": stay})
    else:
        click.echo(f"{taken:,} messages are taken in, {stay:,} stay set aside")
