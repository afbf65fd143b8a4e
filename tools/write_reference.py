"""Write ``docs/reference/`` from the code: commands, box file, recipe, messages and exit codes.

python tools/write_reference.py     (``--check``: exit with 1 where a page is stale, and name it)
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from edgeflow import errors
from edgeflow.cli.main import cli
from edgeflow.collector.settings import CollectorConfig
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import MESSAGES
from edgeflow_export.recipe import ImportRecipe, Recipe

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by tools/write_reference.py: change the code, then run `make reference`. -->\n\n"
BOX_FILE = """# The box file

One YAML file per inspection box. Unknown keys, doubled keys and wrong types are refused, all in one report.
`edgeflow check BOX.yaml` reads it and looks at everything that it names.
"""
RECIPE = "# The recipe\n\nOne YAML file per product: what to train, and how to export it.\n"
NETWORK_RECIPE = """# The recipe of a network from elsewhere

One YAML file per product whose network was [trained elsewhere](../how-to/other-models.md), for
`edgeflow export --recipe`.
The section `network` makes it one.
"""
COLLECTOR = """# The collector's file

One YAML file per [collector](../how-to/collector.md), for `edgeflow collect`.
"""
DOCUMENTS: dict[str, tuple[type[BaseModel], str]] = {
    "box-file": (BoxConfig, BOX_FILE),
    "recipe": (Recipe, RECIPE),
    "network-recipe": (ImportRecipe, NETWORK_RECIPE),
    "collector-file": (CollectorConfig, COLLECTOR),
}
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}
LIMITS = ((">", "gt"), ("≥", "ge"), ("<", "lt"), ("≤", "le"))


def main() -> None:
    """Write every page, or with ``--check`` compare."""
    pages = {f"{name}.md": NOTE + text for name, text in _pages()}
    if sys.argv[1:] == ["--check"]:
        stale = [name for name, text in pages.items() if _read(FOLDER / name) != text]
        if stale:
            sys.exit(f"docs/reference: {', '.join(stale)} differ from the code; run 'make reference'")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages.items():
        (FOLDER / name).write_text(text, "utf-8")


def _read(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""


def _pages() -> Iterator[tuple[str, str]]:
    yield "cli", "# Commands\n\n" + "\n".join(_commands(cli, "edgeflow"))
    for name, (model, introduction) in DOCUMENTS.items():
        yield name, introduction + "".join(_sections(model))
    yield "messages", _messages()
    yield "exit-codes", _exit_codes()


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    if isinstance(command, click.Group):
        if " " in path:
            yield f"## `{path}`\n\n{_paragraphs(command.help)}\n"
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _commands(found, f"{path} {name}")
        return
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    yield f"## `{path}`\n\n{_paragraphs(command.help)}\n\n```text\n{usage}\n```\n"
    rows = [_cells(*record) for p in command.get_params(context) if (record := p.get_help_record(context))]
    if rows:
        yield "| option | meaning |\n|---|---|\n" + "".join(rows)


def _paragraphs(text: str | None) -> str:
    paragraphs = (text or "").replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _cells(first: str, *others: str) -> str:
    cells = [f"`{first}`", *(" ".join(other.split()).replace("|", "\\|") for other in others)]
    return f"| {' | '.join(cells)} |\n"


def _sections(root: type[BaseModel]) -> Iterator[str]:
    """One table for the document and one for each section in it, in the order of the file."""
    waiting: list[tuple[str, type[BaseModel]]] = [("", root)]
    while waiting:
        path, model = waiting.pop(0)
        heading = f"\n## `{path}`\n\n{_first_paragraph(model)}\n\n" if path else "\n"
        yield heading + _table(model)
        waiting = [*_inner(path, model), *waiting]


def _inner(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections in a section, with their paths in the file."""
    for key, field in model.model_fields.items():
        models = list(_models(field.annotation))
        named = ".NAME" if _is_mapping(field.annotation) else ""
        place = ".".join(filter(None, (path, field.alias or key))) + named
        for found in models:
            yield place + (_kind(found) if len(models) > 1 else ""), found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _is_mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict or any(map(_is_mapping, typing.get_args(annotation)))


def _kind(model: type[BaseModel]) -> str:
    field = model.model_fields.get("kind")
    values = typing.get_args(field.annotation) if field else ()
    return f" (kind: {values[0]})" if values else f" ({model.__name__})"


def _first_paragraph(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def _type(field: FieldInfo) -> str:
    return _words(field.annotation, field.metadata)


def _words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in plain words, with its limits."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(arguments[0], arguments[1:])
    if origin in (typing.Union, types.UnionType):
        given = [argument for argument in arguments if argument is not type(None)]
        sections = all(next(_models(argument), None) for argument in given)
        return "section" if sections else " or ".join(map(_words, given))
    if origin is None:
        return _plain(annotation, metadata)
    inner = [_words(argument) for argument in arguments if argument is not Ellipsis and origin is not Literal]
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    return f"mapping of {inner[0]} to {inner[1]}" if origin is dict else f"list of {inner[0]}"


def _plain(annotation: Any, metadata: Sequence[Any]) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    words = PLAIN.get(annotation, getattr(annotation, "__name__", str(annotation)))
    for given in metadata:
        words = getattr(given, "words", words)
    limits = [
        f"{sign} {getattr(given, name)}"
        for sign, name in LIMITS
        for given in metadata
        if hasattr(given, name)
    ]
    return f"{words} {' and '.join(limits)}" if limits else words


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "–"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (tuple, list)):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _meaning(field: FieldInfo, models: list[type[BaseModel]]) -> str:
    return field.description or (_first_paragraph(models[0]) if len(models) == 1 else "")


MESSAGES_PAGE = """# Messages

One JSON document per MQTT message. Their JSON Schemas ship with the package in `edgeflow/contracts/schemas/`.
Readers ignore keys that they do not know: later versions add some.
"""
HEAD = "| key | value | default | meaning |\n|---|---|---|---|\n"


def _messages() -> str:
    return MESSAGES_PAGE + "".join(text for name, model in MESSAGES.items() for text in _message(name, model))


def _message(name: str, model: type[BaseModel]) -> Iterator[str]:
    """One message's table, and one for each kind of section in it."""
    yield f"\n## {name}\n\n{_first_paragraph(model)}\n\n{_table(model)}"
    for path, inner in _inner(name, model):
        yield f"\n### `{path}`\n\n{_first_paragraph(inner)}\n\n{_table(inner)}"


def _table(model: type[BaseModel]) -> str:
    rows = [
        _cells(
            field.alias or key,
            _type(field),
            _default(field),
            _meaning(field, list(_models(field.annotation))),
        )
        for key, field in model.model_fields.items()
    ]
    return HEAD + "".join(rows)


def _exit_codes() -> str:
    codes: dict[int, list[str]] = {
        0: ["Everything was done."],
        130: ["Interrupted with Ctrl+C."],
        141: ["Whoever read the output closed it, as ``head`` does."],
    }
    for name in errors.__all__:
        error = getattr(errors, name)
        if (
            isinstance(error, type)
            and issubclass(error, errors.EdgeflowError)
            and error is not errors.EdgeflowError
        ):
            codes.setdefault(error.exit_code, []).append(_first_paragraph_of(error))
    rows = "".join(f"| {code} | {' '.join(texts)} |\n" for code, texts in sorted(codes.items()))
    return f"# Exit codes\n\n| code | meaning |\n|---|---|\n{rows}"


def _first_paragraph_of(error: type[Exception]) -> str:
    return " ".join(json.dumps((error.__doc__ or "").strip().split("\n\n")[0])[1:-1].split())


if __name__ == "__main__":
    main()
