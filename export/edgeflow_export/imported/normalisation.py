"""The way from an output of anomalib back to the value before its normalisation and clamp, in any format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from edgeflow.errors import CheckpointError

__all__ = ["Constant", "GraphReader", "RawValue", "before_normalisation"]

T = TypeVar("T")
Constant = npt.NDArray[np.generic]
_WITHOUT_EFFECT = {"Identity", "Cast"}
_STEPS = (("Add",), ("Div", "Mul"), ("Sub", "Add"))
"""Of anomalib's normalisation, from the clamp back: ``clamp((map - threshold) / range + 0.5)``."""


class GraphReader(Protocol[T]):
    """A graph by its values: T names one. Operators have ONNX's names in every format."""

    def operator(self, value: T) -> str:
        """The operator that gives a value; empty for an input or a constant."""

    def sources(self, value: T) -> Sequence[T]:
        """The inputs of the operator that gives a value."""

    def constant(self, value: T) -> Constant | None:
        """The numbers of a constant; None of anything else."""


@dataclass(frozen=True, kw_only=True)
class RawValue(Generic[T]):
    """A value of the graph.

    Attributes:
        removed: operators between it and the output, from the output back.
    """

    value: T
    removed: tuple[str, ...]


def before_normalisation(reader: GraphReader[T], output: T, *, path: Path, name: str) -> RawValue[T]:
    """The map or score before anomalib's normalisation and clamp, where the graph has them.

    Args:
        output: the value that the file gives.
        path: of the file, for the error.
        name: of the output, for the error.

    Raises:
        CheckpointError: a choice or clamp at the end whose form is not known.
    """
    walk = _Walk(reader)
    value = walk.behind_choices(output)
    operator = reader.operator(value)
    if operator not in {"Clip", "Where"}:
        return RawValue(value=value, removed=tuple(walk.removed))
    found = 0
    if operator == "Clip":
        walk.removed.append("Clip")
        value = walk.behind_choices(reader.sources(value)[0])
        for operators in _STEPS:
            before = walk.step(value, operators)
            if before is not None:
                value, found = before, found + 1
    if found < len(_STEPS) - 1:
        raise CheckpointError(
            f"{path}: {name} ends in {operator}, and not in anomalib's normalisation as it is known here (of "
            "version 2.7); export without it (PostProcessor(enable_normalization=False)), or use --onnx, "
            "which takes the output as it is"
        )
    return RawValue(value=value, removed=tuple(walk.removed))


class _Walk(Generic[T]):
    """A way from an output back towards the images."""

    def __init__(self, reader: GraphReader[T]) -> None:
        self.reader = reader
        self.removed: list[str] = []

    def behind_choices(self, value: T) -> T:
        """The value behind conversions, and behind choices that constants have made."""
        while True:
            operator, sources = self.reader.operator(value), self.reader.sources(value)
            if operator in _WITHOUT_EFFECT:
                value = sources[0]
                continue
            condition = self.reader.constant(sources[0]) if operator == "Where" else None
            if condition is None or not (condition.all() or not condition.any()):
                return value
            self.removed.append(operator)
            value = sources[1] if condition.all() else sources[2]

    def step(self, value: T, operators: tuple[str, ...]) -> T | None:
        """The other input of an operator with one positive or added number; None without such a one."""
        operator = self.reader.operator(value)
        if operator not in operators:
            return None
        sources = self.reader.sources(value)
        first, second = (self.reader.constant(source) for source in sources)
        number = second if second is not None else first
        forward = second is not None or operator in {"Add", "Mul"}
        if number is None or number.size != 1 or not forward:
            return None
        if operator in {"Div", "Mul"} and not float(number.reshape(())) > 0:
            return None
        self.removed.append(operator)
        return self.behind_choices(sources[0] if second is not None else sources[1])
