"""Users of a box, for its page and its OPC UA server: the options that keep them, and their passwords."""

from __future__ import annotations

import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeflow.errors import UsageError

__all__ = ["change_users", "user_options"]

F = TypeVar("F", bound=Callable[..., Any])


def user_options(command: F) -> F:
    """Add ``--add-user``, ``--role`` and ``--remove-user``."""
    for option in (
        click.option("--remove-user", metavar="NAME", help="Remove a user of the box."),
        click.option(
            "--role", type=click.Choice(["viewer", "operator", "engineer"]), help="Of the added user."
        ),
        click.option("--add-user", metavar="NAME", help="Add a user of the box, or give one a new password."),
    ):
        command = option(command)
    return command


def change_users(path: Path, add: str | None, role: str | None, remove: str | None) -> None:
    """Add or remove a user, and say so.

    Raises:
        UsageError, StorageError: it cannot be done.
    """
    from edgeflow.security import users  # noqa: PLC0415 - argon2, only where wanted

    if remove is not None:
        users.remove_user(path, remove)
        click.echo(f"{path}: {remove} is removed")
    if add is not None:
        chosen: users.Role | None = next((known for known in users.ROLES if known == role), None)
        if chosen is None:
            raise UsageError(f"--add-user {add}: give --role viewer, operator or engineer")
        users.add_user(path, add, chosen, _password())
        click.echo(f"{path}: {add} is a user with the role {chosen}")


def _password() -> str:
    """Ask for the password; a program gives it as one line of standard input."""
    if sys.stdin.isatty():
        return getpass("password: ")
    return sys.stdin.readline().rstrip("\n")
