"""All commands of the command line, by name."""

from __future__ import annotations

import click


def commands_of(group: click.Group, path: str = "") -> dict[str, click.Command]:
    """Every command below a group, by its whole name."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= commands_of(command, f"{path}{name} ")
        elif command is not None:
            found[path + name] = command
    return found


def command_named(group: click.Group, words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words of a command line name, and the words after its name."""
    command: click.Command = group
    rest = words
    while rest and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest[0])
        if found is None:
            break
        command, rest = found, rest[1:]
    return command, rest
