"""Feature files of GenICam cameras: read, applied in their order, and read back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from edgeflow.contracts.documents.document import Document, Text, parse_document
from edgeflow.contracts.documents.strict_yaml import read_yaml
from edgeflow.errors import ConfigError

__all__ = ["FeatureFile", "FeatureValue", "apply_features", "read_features"]

FeatureValue = bool | int | float | str | None
"""``None`` runs a command such as UserSetLoad."""

_Name = Annotated[str, Text(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$", words="a GenICam feature name")]


class FeatureFile(Document):
    """Features in the order in which they are to be set: cameras care."""

    features: dict[_Name, FeatureValue] = Field(min_length=1)


def read_features(path: Path) -> dict[str, FeatureValue]:
    """Return the features of a file, in its order.

    Raises:
        ConfigError: unreadable, or with every problem named.
    """
    data, lines = read_yaml(path)
    return parse_document(FeatureFile, data, what=str(path), error=ConfigError, lines=lines).features


def apply_features(
    camera: Any, aravis: Any, failure: type[Exception], features: dict[str, FeatureValue]
) -> list[str]:
    """Set features and read them back; return those that the camera refuses, with its accepted values.

    Args:
        camera: an open ``Aravis.Camera``.
        failure: the error of Aravis' calls.
    """
    problems = []
    for name, value in features.items():
        try:
            problem = _apply(camera, aravis, name, value)
        except failure as cause:
            problem = f"{name} cannot be set to {value}: {getattr(cause, 'message', cause)}"
        if problem:
            problems.append(problem + _offer(camera, aravis, failure, name))
    return problems


def _apply(camera: Any, aravis: Any, name: str, value: FeatureValue) -> str:
    """Set one feature; return the problem, or nothing."""
    node = camera.get_device().get_feature(name)
    if node is None or not camera.is_feature_available(name):
        return f"the camera has no feature {name}"
    if value is None:
        camera.execute_command(name)
        return ""
    if isinstance(value, bool):
        camera.set_boolean(name, value)
        actual: FeatureValue = camera.get_boolean(name)
    elif isinstance(value, str):
        camera.set_string(name, value)
        actual = camera.get_string(name)
    elif isinstance(node, aravis.GcFloat):
        camera.set_float(name, float(value))
        actual = camera.get_float(name)
    elif isinstance(value, int):
        camera.set_integer(name, value)
        actual = camera.get_integer(name)
    else:
        return f"{name} takes no fraction such as {value}"
    return "" if _same(value, actual) else f"{name} is {actual} instead of {value}"


def _same(wanted: FeatureValue, actual: FeatureValue) -> bool:
    if isinstance(wanted, str) or isinstance(actual, str) or wanted is None or actual is None:
        return wanted == actual
    # Exposure and gain come in steps of the camera's own; what differs by 1 % is such a step.
    return math.isclose(wanted, actual, rel_tol=0.01 if isinstance(actual, float) else 0)


def _offer(camera: Any, aravis: Any, failure: type[Exception], name: str) -> str:
    """Return the values that the camera accepts, as far as it names them."""
    try:
        node = camera.get_device().get_feature(name)
        if isinstance(node, aravis.GcEnumeration):
            return f"; it offers {', '.join(node.dup_available_string_values())}"
        if isinstance(node, aravis.GcFloat):
            low, high = node.get_min(), node.get_max()
            return f"; it offers {low:g} to {high:g}"
        if isinstance(node, aravis.GcInteger):
            return f"; it offers {node.get_min()} to {node.get_max()}"
    except failure:
        return ""
    return ""
