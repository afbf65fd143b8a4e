"""The table of all commands, loaded when used; errors become exit codes."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from edgeflow import __version__
from edgeflow.cli.errors import ended_in_words
from edgeflow.log_output import begin_log

__all__ = ["COMMANDS", "CommandSource", "cli", "main"]


@dataclass(frozen=True)
class CommandSource:
    """The place of a command's function, and its one line in the list of commands.

    Attributes:
        module: below ``edgeflow.cli``.
        function: the decorated function in that module.
        help: first sentence of the command's own help.
    """

    module: str
    function: str
    help: str

    def short_help(self, width: int) -> str:
        """The help cut to so many letters, as click cuts the help of a command that it has loaded."""
        return click.Command(self.function, help=self.help).get_short_help_str(width)


COMMANDS: Mapping[str, CommandSource] = {
    "bench": CommandSource(
        "bench",
        "bench",
        "Measure what BUNDLE's graphs cost here: milliseconds by stage, starts, memory, share of the peak.",
    ),
    "calibrate": CommandSource(
        "calibrate",
        "calibrate",
        "Give BUNDLE new thresholds from good PARTS recorded at this box, as its next version.",
    ),
    "cameras": CommandSource("cameras", "cameras", "Find cameras, and see what they see."),
    "check": CommandSource(
        "check", "check", "Check everything that BOX (a YAML file) needs, without running the line."
    ),
    "collect": CommandSource(
        "collect",
        "collect",
        "Collect the results of many boxes into the database that COLLECTOR (a YAML file) names.",
    ),
    "config": CommandSource(
        "config",
        "config",
        "List, show and write files that configure devices: box files, units, broker, line controller.",
    ),
    "ctl": CommandSource(
        "ctl", "ctl", "Command the running box that BOX (its YAML file) describes; needs no broker."
    ),
    "data": CommandSource("data", "data", "Look at recorded parts before a training."),
    "evaluate": CommandSource(
        "workstation",
        "evaluate",
        "Measure each CHECKPOINT, or a graph of a BUNDLE, on labelled test parts: "
        "AUROC of parts, views, pixels.",
    ),
    "evidence": CommandSource(
        "evidence",
        "evidence",
        "Look at the parts whose images a box has kept, and label them; also while it runs.",
    ),
    "export": CommandSource(
        "workstation",
        "export",
        "Turn CHECKPOINT, or official files, into a bundle: graphs, thresholds, and the proof of both.",
    ),
    "fleet": CommandSource(
        "fleet",
        "fleet",
        "Publish bundles for groups of boxes in a repository of static files, and follow it at a box.",
    ),
    "inspect": CommandSource("bundle", "inspect", "Say what BUNDLE holds and what was verified of it."),
    "keys": CommandSource(
        "keys", "keys", "Make keys and certificates, sign bundles, and verify who signed a bundle."
    ),
    "monitor": CommandSource(
        "monitor", "monitor", "Show decisions and results from the broker at URL as a live table."
    ),
    "modbus": CommandSource(
        "modbus",
        "modbus",
        "Serve the decisions of the box that BOX (its YAML file) describes over Modbus TCP, read only.",
    ),
    "opcua": CommandSource(
        "opcua",
        "opcua",
        "Serve the box that BOX (its YAML file) describes over OPC UA, beside the running box.",
    ),
    "outbox": CommandSource(
        "outbox",
        "outbox",
        "Look at the results that wait in a box's outbox, and get them out; also while the box runs.",
    ),
    "record": CommandSource(
        "cameras",
        "record",
        "Record view sets of BOX's cameras, with their timing, for training, scoring and replay.",
    ),
    "replay": CommandSource(
        "replay",
        "replay",
        "Inspect recorded PARTS as BOX would, without publishing: no broker, no outbox, no evidence.",
    ),
    "report": CommandSource(
        "report",
        "report",
        "Write one shift of BOX as one HTML page: counts, trends, alarms, times, rejected parts, "
        "for printing.",
    ),
    "results": CommandSource(
        "results",
        "results",
        "Look at the results that a box has recorded: list, statistics, export; also while it runs.",
    ),
    "run": CommandSource(
        "run",
        "run",
        "Run the inspection box that BOX (a YAML file) describes, "
        "until SIGTERM or the end of recorded parts.",
    ),
    "schema": CommandSource(
        "schema",
        "schema",
        "Print the JSON Schema of a box file, collector's file or recipe, "
        "for editors to complete and check it.",
    ),
    "score": CommandSource(
        "score",
        "score",
        "Score recorded PARTS with BUNDLE: Real-IAD layout, or one folder per part with one image per view.",
    ),
    "shadow": CommandSource(
        "shadow", "shadow", "Look at a candidate bundle that judges the same parts beside the running one."
    ),
    "train": CommandSource(
        "workstation", "train", "Train the model that RECIPE (a YAML file) describes on normal parts."
    ),
    "verify": CommandSource(
        "bundle",
        "verify",
        "Replay BUNDLE's golden parts on this machine and compare with the trained model.",
    ),
    "web": CommandSource(
        "web", "web", "Serve the page of the box that BOX (its YAML file) describes, beside the running box."
    ),
}


def main() -> None:
    """Run the command line; every failure ends in one message and its exit code, without a traceback."""
    ended_in_words(functools.partial(cli, standalone_mode=False))


class _LazyGroup(click.Group):
    """Imports a command's module when that command is used; lists and completes names from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        source = COMMANDS.get(cmd_name)
        if source is None:
            return None
        module = importlib.import_module(f"edgeflow.cli.{source.module}")
        command = getattr(module, source.function)
        if not isinstance(command, click.Command):
            raise TypeError(f"edgeflow.cli.{source.module}.{source.function} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [(name, COMMANDS[name].short_help(width)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=COMMANDS[name].help) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="edgeflow")
@click.option("-v", "--verbose", count=True, help="More messages on standard error; twice for all.")
def cli(verbose: int) -> None:
    """Multi-camera anomaly detection from a trained model to the factory line.

    Workstation: data, train, evaluate, export.  Box: check, run, web, opcua, modbus, ctl, results, report,
    evidence, calibrate, outbox.  Plant: collect.
    Anywhere: inspect, verify, bench, score, monitor, keys, config, schema.
    """
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    begin_log(level)


if __name__ == "__main__":
    main()
