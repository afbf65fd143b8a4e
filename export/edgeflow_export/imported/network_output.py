"""The output of a network from elsewhere that is judged: chosen by name, taken before it is normalised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from edgeflow.errors import CheckpointError
from edgeflow_export.imported.normalisation import GraphReader, before_normalisation

__all__ = ["ChosenOutput", "OutputPort", "choose_output"]

T = TypeVar("T")
ANOMALIB_MAPS = ("anomaly_map", "anomaly_maps", "output")


@dataclass(frozen=True, kw_only=True)
class OutputPort(Generic[T]):
    """An output of a file.

    Attributes:
        kind: type of its elements, as the file names it.
        numbers: False for a decision.
        shown: name, type and axes.
    """

    name: str
    value: T
    kind: str
    numbers: bool
    shown: str


@dataclass(frozen=True, kw_only=True)
class ChosenOutput(Generic[T]):
    """A value of the graph.

    Attributes:
        name: of the file's output.
        value: the one that is taken: the output itself, or what it was before it was normalised.
        removed: operators between the two, from the output back.
    """

    name: str
    value: T
    removed: tuple[str, ...] = ()

    @property
    def described(self) -> str:
        """Name, and what was taken off."""
        return self.name + (f" before {', '.join(self.removed)}" if self.removed else "")


def choose_output(
    path: Path,
    ports: Sequence[OutputPort[T]],
    reader: GraphReader[T],
    wanted: str | None,
    *,
    anomalib: bool,
) -> ChosenOutput[T]:
    """The output that is judged.

    Args:
        path: of the file, for errors.
        wanted: its name; None where the file has one alone, or is anomalib's.
        anomalib: take it before its normalisation and clamp.

    Raises:
        CheckpointError: several outputs and none named, no such output, or one that holds no numbers.
    """
    outputs = {port.name: port for port in ports}
    listed = "; ".join(port.shown for port in ports)
    name = wanted
    if name is None and anomalib:
        name = next((known for known in ANOMALIB_MAPS if known in outputs), None)
    if name is None and len(outputs) == 1:
        name = next(iter(outputs))
    if name is None:
        raise CheckpointError(
            f"{path}: has {len(outputs)} outputs, and none is named; name the anomaly map or the score "
            f"with --graph-output: {listed}"
        )
    if name not in outputs:
        raise CheckpointError(f"{path}: no output {name}; it has: {listed}")
    port = outputs[name]
    if not port.numbers:
        raise CheckpointError(
            f"{path}: output {name} is {port.kind}, a decision and no score; name the anomaly map or the "
            f"score: {listed}"
        )
    if not anomalib:
        return ChosenOutput(name=name, value=port.value)
    raw = before_normalisation(reader, port.value, path=path, name=name)
    return ChosenOutput(name=name, value=raw.value, removed=raw.removed)
