"""What ``edgeflow check`` prints."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeflow.cli.output import print_json
from edgeflow.diagnostics.check_box import check_box
from edgeflow.errors import ConfigError

__all__ = ["show"]

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def show(path: Path, overrides: tuple[str, ...], *, publish: bool, json_output: bool) -> None:
    """Print every finding.

    Raises:
        ConfigError: something failed; warnings do not stop a box.
    """
    report = check_box(path, overrides, publish=publish)
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
        raise ConfigError(f"{path}: {failed} of {len(report.findings)} checks failed")
