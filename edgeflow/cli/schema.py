"""``edgeflow schema``: JSON Schemas of box file, collector's file and recipe, for editors."""

from __future__ import annotations

import json

import click
from pydantic import BaseModel

from edgeflow.cli.options import json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.workstation import workstation_module
from edgeflow.collector.settings import CollectorConfig
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import file_schema

__all__ = ["schema"]

_RECIPES = {"recipe": "Recipe", "network-recipe": "ImportRecipe"}


@click.command()
@click.argument("file", type=click.Choice(["box", "collector", *_RECIPES]))
@json_option
def schema(file: str, json_output: bool) -> None:
    """Print the JSON Schema of a box file, collector's file or recipe, for editors to complete and check it.

    A network-recipe describes a network that was trained elsewhere. With --json on a single line.
    """
    model: type[BaseModel] = CollectorConfig if file == "collector" else BoxConfig
    if file in _RECIPES:
        model = getattr(workstation_module("recipe", needed_by=f"'edgeflow schema {file}'"), _RECIPES[file])
    document = file_schema(model)
    if json_output:
        print_json(document)
    else:
        click.echo(json.dumps(document, indent=2))
