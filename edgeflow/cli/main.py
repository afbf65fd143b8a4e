"""The command line: each command parses, calls one function and prints."""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from edgeflow import __version__
from edgeflow.cli.bench import bench
from edgeflow.cli.cameras_command import cameras, record
from edgeflow.cli.ctl_command import ctl
from edgeflow.cli.errors import ended_in_words
from edgeflow.cli.evidence_command import evidence
from edgeflow.cli.keys_command import keys
from edgeflow.cli.outbox_command import outbox
from edgeflow.cli.replay import replay
from edgeflow.errors import UsageError

__all__ = ["cli", "main"]

F = TypeVar("F", bound=Callable[..., Any])
EXISTING = click.Path(path_type=Path)
NEW_BUNDLE = "The bundle file to write; one that is there is never replaced."
DEVICE_HELP = "where graphs run: CPU, GPU, NPU (OpenVINO); CPU, CUDA (ONNX Runtime)"


def main() -> None:
    """Entry point: whatever goes wrong ends in one message and its exit code, no traceback."""
    ended_in_words(functools.partial(cli, standalone_mode=False))


def as_json(command: F) -> F:
    """The ``--json`` option that every command has."""
    return click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")(command)


def model_source(command: F) -> F:
    """Which model a workstation command takes: a checkpoint of our own, or official files."""
    options = (
        click.argument("checkpoint", type=EXISTING, required=False),
        click.option("--multiflow", type=EXISTING, help="Official Multi-Flow file."),
        click.option("--backbone", type=EXISTING, help="EfficientNet-B5's file, published or timm's names."),
        click.option("--mvanet", type=EXISTING, help="Official MVANet file."),
        click.option("--graph", help="Graph of an official flow with attention messages."),
        click.option("--recipe", type=EXISTING, help="Take what was not trained from this recipe."),
        click.option("--parts", "--calibration", type=EXISTING, help="Other parts than the recipe's."),
        click.option("--class", "class_name", help="Which class of a folder with several."),
    )
    names = ("checkpoint", "multiflow", "backbone", "mvanet", "graph", "recipe", "parts", "class_name")

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        source = {name: values.pop(name) for name in names}
        return command(source=source, **values)

    for option in reversed(options):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgeflow")
@click.option("-v", "--verbose", count=True, help="More messages on standard error; twice for all.")
def cli(verbose: int) -> None:
    """Multi-camera anomaly detection from a trained model to the factory line.

    Workstation: train, evaluate, export.  Box: check, run, ctl, evidence, calibrate, outbox.
    Anywhere: inspect, verify, bench, score, monitor, keys.
    """
    level = [logging.WARNING, logging.INFO, logging.DEBUG][min(verbose, 2)]
    logging.basicConfig(
        level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


@cli.command()
@click.argument("box", type=EXISTING)
@click.option("--once", is_flag=True, help="Inspect one part, then stop.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of the file.")
@click.option("-q", "--quiet", is_flag=True, help="No line per part.")
@as_json
def run(box: Path, once: bool, overrides: tuple[str, ...], quiet: bool, json_output: bool) -> None:
    """Run the inspection box that BOX (a YAML file) describes, until SIGTERM or the end of recorded parts."""
    station = importlib.import_module("edgeflow.station.station")
    view = importlib.import_module("edgeflow.cli.run").make_view(quiet=quiet, json_output=json_output)
    with importlib.import_module("edgeflow.cli.output_thread").BackgroundView(view) as unhurried:
        station.run_box(box, overrides=overrides, once=once, view=unhurried)


@cli.command()
@click.argument("box", type=EXISTING)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of the file.")
@click.option("--publish", is_flag=True, help="Try publishing, too, with messages that are no decision.")
@as_json
def check(box: Path, overrides: tuple[str, ...], publish: bool, json_output: bool) -> None:
    """Check everything that BOX (a YAML file) needs, without running the line.

    It logs in at the broker under a client id of its own; where the box runs, it asks the box instead.
    """
    view = importlib.import_module("edgeflow.cli.check")
    view.show(box, overrides, publish=publish, json_output=json_output)


@cli.command()
@click.argument("url", default="mqtt://127.0.0.1:1883")
@click.option("--topic", default="edgeflow/v1/#", show_default=True, help="Topics to watch.")
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after this many results.")
@click.option("--username", help="The broker's user; default: the one in the URL.")
@click.option("--password-file", type=EXISTING, help="Holds the password; or set EDGEFLOW_MQTT_PASSWORD.")
@click.option("--ca", type=EXISTING, help="Certificate authority of the broker; default: the system's.")
@click.option("--cert", type=EXISTING, help="The client's certificate, with --key.")
@click.option("--key", type=EXISTING, help="The certificate's private key.")
@as_json
def monitor(url: str, topic: str, count: int | None, json_output: bool, **login: Any) -> None:
    """Show decisions and results from the broker at URL as a live table."""
    importlib.import_module("edgeflow.cli.monitor").run_monitor(
        url, topic=topic, as_json=json_output, count=count, **login
    )


@cli.command()
@click.argument("bundle", type=EXISTING)
@click.option("--report", type=EXISTING, metavar="FILE", help="Write its report for people (HTML) there.")
@as_json
def inspect(bundle: Path, report: Path | None, json_output: bool) -> None:
    """Say what BUNDLE holds and what was proven of it."""
    importlib.import_module("edgeflow.cli.bundle").show(bundle, report=report, json_output=json_output)


@cli.command()
@click.argument("bundle", type=EXISTING)
@click.option("--device", default="CPU", show_default=True, help=DEVICE_HELP)
@click.option("--graph", "graph_id", help="Only this graph, such as openvino-int8.")
@as_json
def verify(bundle: Path, device: str, graph_id: str | None, json_output: bool) -> None:
    """Replay BUNDLE's golden parts on this machine and compare with the trained model."""
    view = importlib.import_module("edgeflow.cli.bundle")
    view.verify(bundle, device=device, graph_id=graph_id, json_output=json_output)


@cli.command()
@click.argument("bundle", type=EXISTING)
@click.argument("parts", type=EXISTING)
@click.option("--class", "class_name", help="Which class of a Real-IAD folder with several.")
@click.option("--maps", type=EXISTING, metavar="DIR", help="Write heat maps and raw maps there.")
@click.option("--backend", type=click.Choice(["openvino", "onnxruntime"]), help="Default: the first graph's.")
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "int8"]), help="Default: int8 where the bundle has it."
)
@click.option("--device", default="CPU", show_default=True, help=DEVICE_HELP)
@as_json
def score(json_output: bool, **options: Any) -> None:
    """Score recorded PARTS with BUNDLE: Real-IAD layout, or one folder per part with one image per view."""
    importlib.import_module("edgeflow.cli.score").score(json_output=json_output, **options)


@cli.command()
@click.argument("bundle", type=EXISTING)
@click.argument("parts", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, required=True, help=NEW_BUNDLE)
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of good parts that may be rejected; default: the bundle's.",
)
@click.option("--method", type=click.Choice(["auto", "quantile", "tail"]), default="auto", show_default=True)
@click.option("--graph", "graph_id", help="Whose scores count; default: the bundle's first, in fp32.")
@click.option("--device", default="CPU", show_default=True, help=DEVICE_HELP)
@click.option("--accept", is_flag=True, help="Take thresholds that move by more than 0.25 in scaled score.")
@click.option("--sign", type=EXISTING, metavar="KEY", help="Sign with this private key, NAME.key.pem.")
@click.option("--passphrase-file", type=EXISTING, help="As for 'edgeflow keys sign'.")
@click.option("--allow-dark", is_flag=True, help="Accept images that use less than a quarter of their depth.")
@as_json
def calibrate(json_output: bool, **options: Any) -> None:
    """Give BUNDLE new thresholds from good PARTS recorded at this box, as its next version.

    The graphs and golden parts stay as they are, and are replayed before the new bundle takes its name.
    """
    importlib.import_module("edgeflow.cli.calibrate").calibrate(json_output=json_output, **options)


@cli.command()
@click.argument("recipe", type=EXISTING)
@click.option("-o", "--output", type=EXISTING, help="Folder of the run; default: runs/NAME.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on where a run stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, or cuda:N.")
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    metavar="NAME",
    help="One model per neighbour graph; all for every one.",
)
@click.option("--tensorboard", type=EXISTING, metavar="DIR", help="Write curves for TensorBoard there.")
@as_json
def train(json_output: bool, **options: Any) -> None:
    """Train the model that RECIPE (a YAML file) describes on normal parts.

    On several processes or nodes: torchrun --nproc-per-node N -m edgeflow.cli train RECIPE
    """
    _export_line("train").train(json_output=json_output, **options)


@cli.command()
@click.argument("checkpoints", type=EXISTING, nargs=-1, required=True, metavar="CHECKPOINT|BUNDLE...")
@click.option("--parts", type=EXISTING, help="Other parts than the recipe's.")
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option("--recipe", type=EXISTING, help="Take what was not trained from this recipe.")
@click.option("--backbone", type=EXISTING, help="For an official flow: EfficientNet-B5's file.")
@click.option("--mvanet", type=EXISTING, help="For an official flow: MVANet's file.")
@click.option("--graph", help="For an official flow with attention messages: its graph.")
@click.option("--bundle-graph", help="Of a BUNDLE, such as openvino-int8; default: its first, in fp32.")
@click.option(
    "-o", "--output", type=EXISTING, help="Folder for reports and pictures; default: beside each CHECKPOINT."
)
@click.option("--device", default="cpu", show_default=True, help="torch device, such as cpu or cuda:0.")
@as_json
def evaluate(json_output: bool, **options: Any) -> None:
    """Measure each CHECKPOINT, or a graph of a BUNDLE, on labelled test parts: AUROC of parts, views, pixels.

    A BUNDLE needs --parts, and is judged with its own thresholds. AUPRO, views and pixels need defect masks.

    Several checkpoints, or a folder that holds some, make a table with their mean.
    """
    _export_line("evaluate").evaluate(json_output=json_output, **options)


@cli.command()
@click.option("-o", "--output", type=EXISTING, required=True, help=NEW_BUNDLE)
@model_source
@click.option("--precision", type=click.Choice(["fp32", "bf16", "int8"]), help="Besides fp32.")
@click.option(
    "--foreground",
    type=click.Choice(["auto", "none", "fixed", "distilled", "mvanet"]),
    help="Which pixels count; default: the recipe's, or mvanet where --mvanet is given.",
)
@click.option("--foreground-size", type=int, help="Side of MVANet's image; published: 1024.")
@click.option(
    "--foreground-augmentation/--no-foreground-augmentation",
    "augmentation",
    default=None,
    help="Six looks at every image, as published; default: where the size is a multiple of 512.",
)
@click.option("--sign", type=EXISTING, help="Private key of 'edgeflow keys new'; default: unsigned.")
@click.option("--passphrase-file", type=EXISTING, help="Of the private key.")
@click.option("--bundle-version", type=click.IntRange(min=0), default=0, help="Boxes only go forward.")
@click.option("--device-class", help="Only boxes of this class run the bundle.")
@click.option("--expires", type=click.DateTime(["%Y-%m-%d"]), help="No box runs it from this day on (UTC).")
@click.option("--device", default="cpu", show_default=True, help="torch device for foreground masks.")
@click.option(
    "--only",
    type=click.Choice(["features", "flow", "maps", "foreground"]),
    help="One graph alone, as files in the folder OUTPUT: no thresholds, no bundle.",
)
@click.option("--restart", is_flag=True, help="Take nothing over from an interrupted export.")
@click.option("--ignore-memory", is_flag=True, help="Begin even where the memory at hand will not do.")
@click.option("--accept-low-recall", is_flag=True, help="Write a bundle though it lets most defects pass.")
@as_json
def export(source: dict[str, Any], json_output: bool, **options: Any) -> None:
    """Turn CHECKPOINT, or official files, into a bundle: graphs, thresholds, and the proof of both.

    Official files: --multiflow X.pth --backbone efficientnet-b5.pth [--mvanet Model_80.pth]
    --calibration PARTS.
    """
    _export_line("export").export_command(source, json_output=json_output, **options)


cli.add_command(bench)
cli.add_command(cameras)
cli.add_command(keys)
cli.add_command(record)
cli.add_command(replay)
cli.add_command(outbox)
cli.add_command(ctl)
cli.add_command(evidence)


def _export_line(module: str) -> Any:
    """A module of the workstation package, which only the ``export`` extra can run."""
    try:
        return importlib.import_module(f"edgeflow_export.cli.{module}")
    except ModuleNotFoundError as cause:
        raise UsageError(
            f"this command needs the workstation packages ({cause.name} is missing); "
            "run: pip install 'edgeflow[export]'"
        ) from cause


if __name__ == "__main__":
    main()
