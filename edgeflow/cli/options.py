"""Options that several commands share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = [
    "FILE",
    "NEW_BUNDLE",
    "FiniteRange",
    "box_overrides",
    "device_option",
    "json_option",
    "model_source",
    "passphrase_option",
]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)
"""A file or folder; the command that opens it says what is wrong with it."""


class FiniteRange(click.FloatRange):
    """A number within a range; neither "nan" nor "inf", which ``float`` reads too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


NEW_BUNDLE = "The bundle file to write; one that is there is never replaced."
_DEVICES = "where graphs run: CPU, GPU, NPU (OpenVINO); CPU, CUDA (ONNX Runtime)"
_MODEL_SOURCE = (
    click.argument("checkpoint", type=FILE, required=False),
    click.option("--multiflow", type=FILE, help="Official Multi-Flow file."),
    click.option("--backbone", type=FILE, help="EfficientNet-B5's file, published or timm's names."),
    click.option("--mvanet", type=FILE, help="Official MVANet file."),
    click.option("--graph", help="Graph of an official flow with attention messages."),
    click.option("--recipe", type=FILE, help="Take what was not trained from this recipe."),
    click.option("--parts", "--calibration", type=FILE, help="Other parts than the recipe's."),
    click.option("--class", "class_name", help="Which class of a folder with several."),
)
_MODEL_SOURCE_NAMES = (
    "checkpoint",
    "multiflow",
    "backbone",
    "mvanet",
    "graph",
    "recipe",
    "parts",
    "class_name",
)


def json_option(command: F) -> F:
    """Add ``--json``, which every command has, as ``json_output``."""
    return click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")(command)


def box_overrides(command: F) -> F:
    """Add ``--set KEY=VALUE``, which replaces values of the box file, as ``overrides``."""
    return click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of BOX."
    )(command)


def device_option(command: F) -> F:
    """Add ``--device``, on which a bundle's graphs run."""
    return click.option("--device", default="CPU", show_default=True, help=_DEVICES)(command)


def passphrase_option(command: F) -> F:
    """Add ``--passphrase-file``, which decrypts a private key."""
    return click.option(
        "--passphrase-file",
        type=FILE,
        help="File with the private key's passphrase; default: the variable EDGEFLOW_KEY_PASSPHRASE, if set.",
    )(command)


def model_source(command: F) -> F:
    """Add a trained model's source, a checkpoint or official files, as one mapping ``source``."""

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        source = {name: values.pop(name) for name in _MODEL_SOURCE_NAMES}
        return command(source=source, **values)

    for option in reversed(_MODEL_SOURCE):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]
