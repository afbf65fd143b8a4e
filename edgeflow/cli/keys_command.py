"""The ``edgeflow keys`` commands: each parses and calls one function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["keys"]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def _as_json(command: F) -> F:
    return click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")(command)


def _passphrase(command: F) -> F:
    return click.option(
        "--passphrase-file",
        type=FILE,
        help="File with the private key's passphrase; default: the variable EDGEFLOW_KEY_PASSPHRASE, if set.",
    )(command)


def _view() -> Any:
    """Imported late: cryptography costs a command that needs no key time to start."""
    return importlib.import_module("edgeflow.cli.keys")


@click.group()
def keys() -> None:
    """Make keys, sign bundles with them, and prove who signed a bundle."""


@keys.command()
@click.argument("name", type=FILE)
@_passphrase
@_as_json
def new(name: Path, passphrase_file: Path | None, json_output: bool) -> None:
    """Make a key pair: NAME.key.pem signs, NAME.pub.pem goes to the boxes."""
    _view().new(name, passphrase_file=passphrase_file, json_output=json_output)


@keys.command()
@click.argument("file", type=FILE)
@_passphrase
@_as_json
def show(file: Path, passphrase_file: Path | None, json_output: bool) -> None:
    """Say which key FILE holds, and whether it is the public or the private half."""
    _view().show(file, passphrase_file=passphrase_file, json_output=json_output)


@keys.command()
@click.argument("bundle", type=FILE)
@click.option("--key", type=FILE, required=True, help="The private key, NAME.key.pem.")
@_passphrase
@_as_json
def sign(bundle: Path, key: Path, passphrase_file: Path | None, json_output: bool) -> None:
    """Sign BUNDLE in place, instead of any signature that it had."""
    _view().sign(bundle, key=key, passphrase_file=passphrase_file, json_output=json_output)


@keys.command()
@click.argument("bundle", type=FILE)
@click.option("--trust", type=FILE, multiple=True, required=True, help="A trusted public key, NAME.pub.pem.")
@_as_json
def check(bundle: Path, trust: tuple[Path, ...], json_output: bool) -> None:
    """Prove that BUNDLE is whole, has not expired and was signed by a trusted key."""
    _view().check(bundle, trust=trust, json_output=json_output)
