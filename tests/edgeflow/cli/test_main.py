"""The command table loads a command when it is used, and its help is the commands' own."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from edgeflow.cli.main import COMMANDS, cli

OWN = (
    "edgeflow.cli",
    "edgeflow.cli.errors",
    "edgeflow.cli.main",
    "edgeflow.cli.terminal",
    "edgeflow.cli.terminal.output",
)


def modules_after(*arguments: str) -> set[str]:
    """Modules of the command line, and others that cost time, in a process that ran a command."""
    script = (
        "import json, sys\n"
        "from edgeflow.cli import main\n"
        f"sys.argv = ['edgeflow', *{list(arguments)!r}]\n"
        "try:\n"
        "    main.cli(standalone_mode=False)\n"
        "finally:\n"
        "    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_in_the_table_is_the_first_sentence_of_the_commands_own(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    for width in (20, 45, 70, 200):
        assert COMMANDS[name].short_help(width) == command.get_short_help_str(width)


def test_help_of_the_group_lists_every_command_without_loading_one() -> None:
    loaded = modules_after("--help")
    assert {name for name in loaded if name.startswith("edgeflow.cli")} == set(OWN)
    assert loaded.isdisjoint({"cv2", "cryptography", "numpy", "paho", "pydantic", "rich", "yaml"})


def test_one_command_does_not_load_the_others() -> None:
    loaded = modules_after("keys", "--help")
    assert "edgeflow.cli.keys" in loaded
    assert loaded.isdisjoint({"edgeflow.cli.run", "edgeflow.cli.cameras", "edgeflow.cli.workstation"})


def test_command_that_does_not_exist_is_no_command() -> None:
    assert cli.get_command(click.Context(cli), "frobnicate") is None


def test_names_are_completed_from_the_table() -> None:
    items = cli.shell_complete(click.Context(cli), "ev")
    assert [(item.value, item.help) for item in items] == [
        (name, COMMANDS[name].help) for name in ("evaluate", "evidence")
    ]
