"""``edgeflow opcua``: serves a box over OPC UA, and keeps its users and trusted clients."""

from __future__ import annotations

import os
from pathlib import Path

import click

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.users import change_users, user_options
from edgeflow.config.box import load_config
from edgeflow.errors import UsageError
from edgeflow.log_output import use_format

__all__ = ["opcua"]

_NICENESS = 5
"""Of the server's process: the line goes first, browsers after both."""


@click.command()
@click.argument("box", type=FILE)
@click.option("--listen", metavar="HOST:PORT", help="Instead of opcua.listen in BOX.")
@click.option(
    "--trust", metavar="THUMBPRINT", help="Trust a client that was refused, or a certificate's FILE."
)
@user_options
@box_overrides
@json_option
def opcua(
    box: Path,
    listen: str | None,
    trust: str | None,
    add_user: str | None,
    role: str | None,
    remove_user: str | None,
    overrides: tuple[str, ...],
    json_output: bool,
) -> None:
    """Serve the box that BOX (its YAML file) describes over OPC UA, beside the running box.

    With --trust, --add-user or --remove-user it does that and ends; a running server takes it up at once.
    --add-user asks for a password, or reads one line of standard input.
    """
    try:
        from edgeflow.opcua.clients.trust_list import trust_refused  # noqa: PLC0415
        from edgeflow.opcua.server import serve_opcua  # noqa: PLC0415
        from edgeflow.opcua.settings import server_settings  # noqa: PLC0415
    except ImportError as cause:
        raise UsageError("OPC UA needs more packages: pip install 'edgeflow[opcua]'") from cause
    config = load_config(box, overrides)
    if trust:
        click.echo(f"{trust_refused(config.opcua_path, trust)}: this client is trusted")
    if add_user or remove_user:
        change_users(config.web_users_path, add_user, role, remove_user)
    if trust or add_user or remove_user:
        return

    use_format(config.log.format)
    os.nice(_NICENESS)

    def ready(address: str) -> None:
        if json_output:
            print_json({"address": address})
        else:
            click.echo(f"{config.topic_root}: OPC UA at {address} (Ctrl+C ends it)")

    serve_opcua(server_settings(config, listen), ready)
