"""Groups of layers that go to INT8 or stay in float together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeflow_export.conversion.int8.calibration import prepare
from edgeflow_export.conversion.int8.layers import EXTRACTOR
from edgeflow_export.conversion.int8.options import Int8Options

__all__ = ["Group", "groups_of_onnx"]

EXTRACTOR_GROUPS = 6


@dataclass(frozen=True, kw_only=True)
class Group:
    """Convolutions that go to INT8 or stay in float together, by their place among the graph's."""

    name: str
    members: tuple[int, ...]


def groups_of_onnx(path: Path, options: Int8Options) -> tuple[Group, ...]:
    """Every layer of an ONNX graph that goes to INT8, in groups from the image to the maps."""
    _, layers = prepare(path, options)
    extractor = [layer.place for layer in layers if layer.owner == EXTRACTOR]
    chunks = min(EXTRACTOR_GROUPS, len(extractor))
    groups = [
        Group(
            name=f"extractor part {number + 1} of {chunks}",
            members=tuple(
                extractor[len(extractor) * number // chunks : len(extractor) * (number + 1) // chunks]
            ),
        )
        for number in range(chunks)
    ]
    for owner in dict.fromkeys(layer.owner for layer in layers if layer.owner != EXTRACTOR):
        members = tuple(layer.place for layer in layers if layer.owner == owner)
        groups.append(Group(name=owner, members=members))
    return tuple(groups)
