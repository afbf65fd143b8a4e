"""The reference material beside the repository: stand-in checkpoints and recorded outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def published_state(shared: Path, name: str) -> dict[str, Tensor]:
    """A checkpoint as it would be read from the published file, for ``<name>_keys.json``."""
    return dict(_state(shared, name))


def given_input(shared: Path, name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """A recorded output's input."""
    return torch.from_numpy(_weights(shared).uniform(name, shape, "golden", low, high))


def golden(shared: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of ``golden/<name>.npz``."""
    with np.load(shared / "reference" / "golden" / f"{name}.npz") as file:
        return dict(file)


def deviation(ours: npt.ArrayLike, theirs: npt.NDArray[Any]) -> float:
    """Largest difference, in units of the largest recorded value."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@cache
def _state(shared: Path, name: str) -> Mapping[str, Tensor]:
    keys = json.loads((shared / "reference" / f"{name}_keys.json").read_text("utf-8"))
    return {key: torch.from_numpy(array) for key, array in _weights(shared).make_state(keys).items()}


@cache
def _weights(shared: Path) -> ModuleType:
    folder = str(shared / "reference")
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder may be read-only
    sys.path.insert(0, folder)
    try:
        import deterministic_weights
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = keep
    return deterministic_weights
