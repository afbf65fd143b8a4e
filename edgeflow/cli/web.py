"""``edgeflow web``: serves the box's page, and keeps its users."""

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

__all__ = ["web"]

_NICENESS = 10
"""Of the page's process: where the line wants the processor, browsers wait."""


@click.command()
@click.argument("box", type=FILE)
@click.option("--listen", metavar="HOST:PORT", help="Instead of web.listen in BOX.")
@user_options
@box_overrides
@json_option
def web(
    box: Path,
    listen: str | None,
    add_user: str | None,
    role: str | None,
    remove_user: str | None,
    overrides: tuple[str, ...],
    json_output: bool,
) -> None:
    """Serve the page of the box that BOX (its YAML file) describes, beside the running box.

    With --add-user it asks for a password (or reads one line of standard input) and ends.
    """
    try:
        from edgeflow.web.server import serve_page  # noqa: PLC0415
        from edgeflow.web.settings import page_settings  # noqa: PLC0415
    except ImportError as cause:
        raise UsageError("the page needs more packages: pip install 'edgeflow[web]'") from cause
    config = load_config(box, overrides)
    if add_user or remove_user:
        change_users(config.web_users_path, add_user, role, remove_user)
        return

    use_format(config.log.format)
    os.nice(_NICENESS)

    def ready(address: str) -> None:
        if json_output:
            print_json({"address": address})
        else:
            click.echo(f"{config.topic_root}: the page is at {address} (Ctrl+C ends it)")

    serve_page(page_settings(config, listen), ready)
