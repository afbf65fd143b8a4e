"""``edgeflow train``, ``evaluate`` and ``export``: options; the workstation package is loaded when used."""

from __future__ import annotations

import importlib
from typing import Any

import click

from edgeflow.cli.options import FILE, NEW_BUNDLE, json_option, model_source
from edgeflow.errors import UsageError

__all__ = ["evaluate", "export", "train", "workstation_module"]


def workstation_module(name: str, *, needed_by: str = "this command") -> Any:
    """A module of the workstation package, which the ``export`` extra alone brings.

    Args:
        name: below ``edgeflow_export``.
        needed_by: what the user asked for, as the error names it.

    Raises:
        UsageError: the workstation package, or a library that it needs, is not installed.
    """
    try:
        return importlib.import_module(f"edgeflow_export.{name}")
    except ModuleNotFoundError as cause:
        raise UsageError(
            f"{needed_by} needs the workstation packages ({cause.name} is missing); "
            "run: pip install 'edgeflow[export]'"
        ) from cause


@click.command()
@click.argument("recipe", type=FILE)
@click.option("-o", "--output", type=FILE, help="Folder of the run; default: runs/NAME.")
@click.option("--restart", is_flag=True, help="Begin anew instead of going on where a run stopped.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, or cuda:N.")
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    metavar="NAME",
    help="One model per neighbour graph; all for every one.",
)
@click.option(
    "--compare", is_flag=True, help="Train both models, multi_flow and patch_memory, and measure them."
)
@click.option("--tensorboard", type=FILE, metavar="DIR", help="Write curves for TensorBoard there.")
@click.option(
    "--show-views", is_flag=True, help="Draw what the network will see to DIR/views.png, and do not train."
)
@json_option
def train(json_output: bool, **options: Any) -> None:
    """Train the model that RECIPE (a YAML file) describes on normal parts.

    On several processes or nodes: torchrun --nproc-per-node N -m edgeflow.cli train RECIPE
    """
    workstation_module("cli.train").train(json_output=json_output, **options)


@click.command()
@click.argument("checkpoints", type=FILE, nargs=-1, required=True, metavar="CHECKPOINT|BUNDLE...")
@click.option("--parts", type=FILE, help="Other parts than the recipe's.")
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option("--recipe", type=FILE, help="Take what was not trained from this recipe.")
@click.option("--backbone", type=FILE, help="For an official flow: EfficientNet-B5's file.")
@click.option("--mvanet", type=FILE, help="For an official flow: MVANet's file.")
@click.option("--graph", help="For an official flow with attention messages: its graph.")
@click.option("--bundle-graph", help="Of a BUNDLE, such as openvino-int8; default: its first, in fp32.")
@click.option(
    "-o", "--output", type=FILE, help="Folder for reports and pictures; default: beside each CHECKPOINT."
)
@click.option("--device", default="cpu", show_default=True, help="torch device, such as cpu or cuda:0.")
@json_option
def evaluate(json_output: bool, **options: Any) -> None:
    """Measure each CHECKPOINT, or a graph of a BUNDLE, on labelled test parts: AUROC of parts, views, pixels.

    A BUNDLE needs --parts, and is judged with its own thresholds. AUPRO, views and pixels need defect masks.

    Several checkpoints, or a folder that holds some, make a table with their mean.
    """
    workstation_module("cli.evaluate").evaluate(json_output=json_output, **options)


@click.command()
@click.option("-o", "--output", type=FILE, required=True, help=NEW_BUNDLE)
@model_source
@click.option("--onnx", type=FILE, help="A network from elsewhere instead: its ONNX file.")
@click.option(
    "--anomalib", type=FILE, help="A network of anomalib's: its ONNX or OpenVINO export, file or folder."
)
@click.option("--graph-output", metavar="NAME", help="Its map or score, where it has more outputs.")
@click.option("--image-size", metavar="HxW", help="Of its images, where the file leaves it open.")
@click.option("--value-range", metavar="LOW,HIGH", help="Values of black and white: 0,1 or 0,255.")
@click.option("--mean", metavar="R,G,B", help="Subtracted from these values.")
@click.option("--std", metavar="R,G,B", help="Divided by afterwards.")
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), help="Order that the network reads.")
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
@click.option("--sign", type=FILE, help="Private key of 'edgeflow keys new'; default: unsigned.")
@click.option("--passphrase-file", type=FILE, help="Of the private key.")
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
@json_option
def export(source: dict[str, Any], json_output: bool, **options: Any) -> None:
    """Turn CHECKPOINT, or official files, into a bundle: graphs, thresholds, and the proof of both.

    Official files: --multiflow X.pth --backbone efficientnet-b5.pth [--mvanet Model_80.pth]
    --calibration PARTS.

    A network from elsewhere: --onnx or --anomalib with --parts PARTS, or a recipe with a section network.
    """
    workstation_module("cli.export").export_command(source, json_output=json_output, **options)
