"""``edgeflow check``: looks at everything that a box file names, and prints what it found."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.diagnostics.check_box import check_box
from edgeflow.errors import ConfigError

__all__ = ["check"]

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command()
@click.argument("box", type=FILE)
@box_overrides
@click.option("--publish", is_flag=True, help="Try publishing, too, with messages that are no decision.")
@json_option
def check(box: Path, overrides: tuple[str, ...], publish: bool, json_output: bool) -> None:
    """Check everything that BOX (a YAML file) needs, without running the line.

    It logs in at the broker under a client id of its own; where the box runs, it asks the box instead.
    """
    report = check_box(box, overrides, publish=publish)
    if json_output:
        print_json({"ok": report.ok, "findings": [asdict(finding) for finding in report.findings]})
    else:
        table = Table("what", "state", "found", box=None)
        for finding in report.findings:
            table.add_row(
                Text(finding.name),
                Text(finding.state, style="bold red" if finding.grave else _COLOURS[finding.state]),
                Text(finding.text, overflow="fold"),
            )
        Console(highlight=False).print(table)
    if not report.ok:
        failed = sum(finding.state == "failed" for finding in report.findings)
        raise ConfigError(f"{box}: {failed} of {len(report.findings)} checks failed")
