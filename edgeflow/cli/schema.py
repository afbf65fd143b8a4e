"""``edgeflow schema``: JSON Schemas of box file and recipe, for editors."""

from __future__ import annotations

import json

import click
from pydantic import BaseModel

from edgeflow.cli.options import json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.workstation import workstation_module
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import file_schema

__all__ = ["schema"]

_RECIPES = {"recipe": "Recipe", "network-recipe": "ImportRecipe"}


@click.command()
@click.argument("file", type=click.Choice(["box", *_RECIPES]))
@json_option
def schema(file: str, json_output: bool) -> None:
    """Print the JSON Schema of a box file or a recipe, with which editors complete and check it.

    A network-recipe describes a network that was trained elsewhere. With --json on a single line.
    """
    model: type[BaseModel] = BoxConfig
    if file in _RECIPES:
        model = getattr(workstation_module("recipe", needed_by=f"'edgeflow schema {file}'"), _RECIPES[file])
    document = file_schema(model)
    if json_output:
        print_json(document)
    else:
        click.echo(json.dumps(document, indent=2))
