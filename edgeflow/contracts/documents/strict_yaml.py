"""YAML read without its traps: small, no aliases, merges or duplicate keys, plain scalars only."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import yaml

from edgeflow.errors import ConfigError

__all__ = ["MAX_BYTES", "Lines", "read_yaml", "read_yaml_text"]

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")  # no file name, and no UTF-8 text, holds these

Lines = dict[tuple[str | int, ...], int]


class _PlainLoader(yaml.SafeLoader):
    """Scalars as JSON has them: ``no`` and ``12:30:45`` and dates stay the text that was written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's name


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.IGNORECASE), list("tTfF")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$", re.IGNORECASE), ["n", "N", "~", ""]
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """Read one YAML file.

    Returns:
        Plain data (dicts, lists, scalars) and the line number of each path.

    Raises:
        ConfigError: unreadable, too large, not YAML, or using a refused construct.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as cause:
        raise ConfigError(f"{path}: cannot be read: {cause.strerror}; check the path") from cause
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} kB; this is no configuration file")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise ConfigError(f"{path}: not UTF-8 text (byte {cause.start}); save it as UTF-8") from cause
    return read_yaml_text(text, what=str(path))


def read_yaml_text(text: str, *, what: str) -> tuple[Any, Lines]:
    """As :func:`read_yaml`, from text; ``what`` names the document in errors."""
    refused = _refused_constructs(text, what)
    if refused:
        raise ConfigError(f"{what}: uses YAML that is refused here", problems=refused)
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{what}: empty; write at least one key")
        lines: Lines = {}
        problems: list[str] = []
        data = _build(loader, node, (), lines, problems)
    except yaml.YAMLError as cause:
        raise ConfigError(f"{what}: not valid YAML: {_one_line(cause)}") from cause
    finally:
        loader.dispose()
    if problems:
        raise ConfigError(f"{what}: refused", problems=problems)
    return data, lines


def _refused_constructs(text: str, what: str) -> list[str]:
    """Aliases, tags and deep nesting, found in the event stream before anything is built."""
    problems: list[str] = []
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent):
                problems.append(f"line {line}: alias; write the values out")
            elif getattr(event, "anchor", None):
                problems.append(f"line {line}: anchor; write the values out")
            if getattr(event, "tag", None):
                problems.append(f"line {line}: tag; use plain values")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                return [*problems, f"line {line}: nested deeper than {MAX_DEPTH} levels"]
    except yaml.YAMLError as cause:
        raise ConfigError(f"{what}: not valid YAML: {_one_line(cause)}") from cause
    return problems


def _build(
    loader: _PlainLoader, node: yaml.Node, path: tuple[str | int, ...], lines: Lines, problems: list[str]
) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*path, i), lines, problems) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(loader, node, path, problems)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
        if key is None or key == "<<":
            what = "merge key; write the values out" if key else "key that is not a plain name; use text"
            problems.append(f"line {line}: {what}")
            continue
        here = (*path, key)
        if key in result:
            where = ".".join(str(step) for step in here)
            problems.append(f"{where} (line {line}): key given twice; first on line {lines[here]}")
            continue
        result[key] = _build(loader, value_node, here, lines, problems)
        lines[here] = line
    return result


def _scalar(
    loader: _PlainLoader, node: yaml.Node, path: tuple[str | int, ...], problems: list[str]
) -> str | int | float | bool | None:
    """One value; what neither JSON nor a file name can hold becomes a problem."""
    where = f"{'.'.join(str(step) for step in path)} (line {node.start_mark.line + 1})".lstrip()
    try:
        value: str | int | float | bool | None = loader.construct_object(node)
    except ValueError:  # Python refuses to convert thousands of digits
        problems.append(f"{where}: number with too many digits")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{where}: number too large")
    if isinstance(value, str) and _UNUSABLE.search(value):
        problems.append(f"{where}: text holds a character that cannot be used")
    return value


def _one_line(cause: yaml.YAMLError) -> str:
    mark = getattr(cause, "problem_mark", None)
    problem = getattr(cause, "problem", None) or str(cause).splitlines()[0]
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)
