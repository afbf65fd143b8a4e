"""``edgeflow config``: files that configure devices are listed, shown, and written where they are edited."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.device_files import choose_files, device_files, summary
from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically

__all__ = ["config"]

_CONTROLLER = "line_controller/"
_LONGEST_NAME = 36
_READABLE = 0o644  # by the programs that they configure, whatever the umask; no file holds a secret


@click.group()
def config() -> None:
    """List, show and write files that configure devices: box files, units, broker, line controller."""


@config.command("list")
@json_option
def list_(*, json_output: bool) -> None:
    """Name every file, with one sentence about each; 'line_controller' is a folder."""
    rows = [
        (name if not name.startswith(_CONTROLLER) else "line_controller", summary(name, path))
        for name, path in device_files().items()
        if not name.startswith(_CONTROLLER) or name == f"{_CONTROLLER}line_controller.py"
    ]
    if json_output:
        for name, text in rows:
            print_json({"name": name, "summary": text})
        return
    formatter = click.HelpFormatter(width=shutil.get_terminal_size().columns)
    formatter.write_dl(rows, col_max=_LONGEST_NAME)
    click.echo(formatter.getvalue(), nl=False)


@config.command()
@click.argument("name")
@json_option
def show(name: str, *, json_output: bool) -> None:
    """Print the file NAME."""
    path = device_files().get(name)
    if path is None:
        choose_files((name,))  # says where no such name is known
        raise UsageError(f"{name} is a folder; 'edgeflow config write {name} -o FOLDER' writes its files")
    text = path.read_text("utf-8")
    if json_output:
        print_json({"name": name, "text": text})
    else:
        click.echo(text, nl=False)


@config.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-o", "--output", type=FILE, required=True, help="The folder to write to; made where missing.")
@click.option("--force", is_flag=True, help="Replace files that are there already.")
@json_option
def write(names: tuple[str, ...], *, output: Path, force: bool, json_output: bool) -> None:
    """Write files, or all below a folder such as 'line_controller', to a folder; default: all."""
    chosen = {output / target: path for target, path in choose_files(names).items()}
    there = [str(target) for target in chosen if target.exists() or target.is_symlink()]
    if there and not force:
        raise UsageError(f"{', '.join(there)}: there already, nothing was written; --force replaces files")
    for target, path in chosen.items():
        _write(target, path.read_bytes())
    if json_output:
        print_json({"written": [str(target) for target in chosen]})
    else:
        for target in chosen:
            click.echo(str(target))


def _write(target: Path, content: bytes) -> None:
    try:
        with replace_atomically(target) as file:
            Path(file.name).chmod(_READABLE)
            file.write(content)
    except OSError as cause:
        raise StorageError(
            f"{target}: cannot be written: {cause.strerror or cause}; check the folder's rights and room"
        ) from cause
