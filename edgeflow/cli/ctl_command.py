"""The ``edgeflow ctl`` command: a running box, commanded from its own computer."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import get_args

import click

from edgeflow.contracts.commands import Verb

__all__ = ["ctl"]


@click.command()
@click.argument("box", type=click.Path(path_type=Path))
@click.argument("verb", type=click.Choice([*get_args(Verb), "status", "audit"]))
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")
def ctl(box: Path, verb: str, arguments: tuple[str, ...], json_output: bool) -> None:
    """Command the running box that BOX (its YAML file) describes; needs no broker.

    start, stop: whether parts are inspected.  reset: clear alarms.  snapshot: keep the next part's images.
    reload [bundle=NAME]: another bundle, once it is proven.  rollback: the one before.
    status: what runs.  audit: who commanded what.
    """
    importlib.import_module("edgeflow.cli.ctl").control(box, verb, arguments, json_output=json_output)
