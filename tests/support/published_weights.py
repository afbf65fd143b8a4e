"""Weights for published checkpoints, made from the tensors' names: the same on every machine.

The outputs in ``tests/golden/published`` were recorded with exactly these values, so nothing here may change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

# By the last part of a tensor's name, the first that fits: the limits of its values.
_LIMITS = {
    "running_mean": (-0.1, 0.1),
    "running_var": (0.8, 1.2),
    "relative_position_bias_table": (-0.5, 0.5),
}


def uniform(name: str, shape: Sequence[int], low: float, high: float) -> Array:
    """Values between ``low`` and ``high`` that depend on the name alone."""
    seed = hashlib.sha256(f"golden/{name}".encode()).digest()[:8]
    values = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "little"))).random(tuple(shape))
    return (low + (high - low) * values).astype(np.float32)


def tensor(name: str, shape: Sequence[int]) -> npt.NDArray[np.generic]:
    """One tensor of a checkpoint, scaled so that deep networks keep activations of order one."""
    leaf = name.rsplit(".", maxsplit=1)[-1]
    if leaf == "num_batches_tracked":
        return np.ones(tuple(shape), np.int64)
    return uniform(name, shape, *_limits(leaf, shape))


def state(keys: Mapping[str, Sequence[object]]) -> dict[str, npt.NDArray[np.generic]]:
    """All tensors of a list of keys (name → shape and type), but for those that a model computes itself."""
    made = {}
    for name, (shape, kind) in keys.items():
        if kind != "computed":
            assert isinstance(shape, list)
            made[name] = tensor(name, shape)
    return made


def _limits(leaf: str, shape: Sequence[int]) -> tuple[float, float]:
    if leaf in _LIMITS:
        return _LIMITS[leaf]
    if leaf.startswith("gamma"):
        return 0.2, 0.4
    if leaf.endswith("bias"):
        return -0.05, 0.05
    if len(shape) == 1:  # a norm's scale, or a PReLU's slope
        return (0.9, 1.1) if shape[0] > 1 else (0.2, 0.3)
    bound = math.sqrt(3.0 / math.prod(shape[1:]))
    return -bound, bound
