"""``edgeflow modbus``: serves a box's decisions over Modbus TCP."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.config.box import load_config
from edgeflow.errors import UsageError
from edgeflow.log_output import use_format

__all__ = ["modbus"]

_NICENESS = 5
"""Of the server's process: the line goes first."""


@click.command()
@click.argument("box", type=FILE)
@click.option("--listen", metavar="HOST:PORT", help="Instead of modbus.listen in BOX.")
@box_overrides
@json_option
def modbus(box: Path, listen: str | None, overrides: tuple[str, ...], json_output: bool) -> None:
    """Serve the decisions of the box that BOX (its YAML file) describes over Modbus TCP, read only."""
    try:
        from edgeflow.modbus.server import serve_modbus  # noqa: PLC0415
    except ImportError as cause:
        raise UsageError("Modbus needs one more package: pip install 'edgeflow[modbus]'") from cause
    config = load_config(box, overrides)
    use_format(config.log.format)
    os.nice(_NICENESS)

    def ready(address: str) -> None:
        if json_output:
            print_json({"address": address})
        else:
            click.echo(f"{config.topic_root}: Modbus TCP at {address} (Ctrl+C ends it)")

    serve_modbus(config, listen, ready)
