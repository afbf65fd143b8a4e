"""Stand-in checkpoints, and what the published implementations compute with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tests.support.published_weights import state, uniform


def published_state(published: Path, name: str) -> dict[str, Tensor]:
    """A checkpoint as it would be read from the published file, for ``<name>_keys.json``."""
    return dict(_state(published, name))


def given_input(published: Path, name: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """A recorded output's input."""
    return torch.from_numpy(uniform(name, shape, low, high))


def golden(published: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    """The recorded arrays of one network."""
    with np.load(published / f"{name}.npz") as file:
        return dict(file)


def deviation(ours: npt.ArrayLike, theirs: npt.NDArray[Any]) -> float:
    """Largest difference, in units of the largest recorded value."""
    ours = np.asarray(ours)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@cache
def _state(published: Path, name: str) -> Mapping[str, Tensor]:
    keys = json.loads((published / f"{name}_keys.json").read_text("utf-8"))
    return {key: torch.from_numpy(array) for key, array in state(keys).items()}
