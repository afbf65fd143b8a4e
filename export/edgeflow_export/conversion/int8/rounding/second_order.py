"""Second-order rounding: weights to a grid so that a convolution's output moves least on its own inputs.

Columns are rounded one after the other; what one loses, those that are not rounded yet make up for, as far
as their inputs go together with its own (GPTQ, Frantar and others 2022; OBQ and OBS before).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["DAMPING", "Floats", "grid_scales", "output_error", "round_nearest", "round_second_order"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int8]

DAMPING = 0.01
"""Added to the diagonal of E[xxᵀ], as a share of its mean: inputs beyond the calibration's vary too."""
_BLOCK = 128
"""Columns whose losses go to the later ones together: a product of matrices in place of many vectors."""
_SHRINK = np.linspace(1.0, 0.7, 13)


def grid_scales(weights: Floats, importance: Floats, limit: int) -> Floats:
    """Step of the grid of every output channel: the one whose nearest rounding costs least.

    Args:
        weights: (groups, outputs, inputs).
        importance: mean squares of the inputs (groups, inputs).
        limit: largest integer of the grid.

    Returns:
        (groups, outputs), float32 values: the graph multiplies with these.
    """
    largest = np.maximum(np.abs(weights).max(axis=2), 1e-12)
    best, least = largest / limit, np.full(largest.shape, np.inf)
    for factor in _SHRINK:
        scales = largest * factor / limit
        rounded = np.clip(np.rint(weights / scales[..., None]), -limit, limit) * scales[..., None]
        cost = ((weights - rounded) ** 2 * importance[:, None]).sum(axis=2)
        best, least = np.where(cost < least, scales, best), np.minimum(cost, least)
    return np.asarray(best.astype(np.float32), np.float64)


def round_nearest(weights: Floats, scales: Floats, limit: int) -> Integers:
    """Weights (groups, outputs, inputs) to the nearest integers of their channel's grid."""
    rounded = np.clip(np.rint(weights / scales[..., None]), -limit, limit)
    return np.asarray(rounded, np.int8)


def round_second_order(
    weights: Floats, moments: Floats, scales: Floats, limit: int, damping: float = DAMPING
) -> Integers:
    """Weights (groups, outputs, inputs) to integers, second-order.

    Args:
        moments: E[xxᵀ] of the inputs (groups, inputs, inputs), up to a factor.
        scales: step of the grid (groups, outputs).
        damping: see ``DAMPING``.
    """
    columns = weights.shape[2]
    diagonal = np.diagonal(moments, axis1=1, axis2=2)
    # The inputs that count most are rounded while most others can still make up for it.
    order = np.argsort(-diagonal, axis=1, kind="stable")
    rest = np.take_along_axis(weights, order[:, None], axis=2)
    factors = _compensation(moments, order, damping)
    rounded = np.empty(weights.shape, np.float64)
    for begun in range(0, columns, _BLOCK):
        end = min(begun + _BLOCK, columns)
        lost = np.empty((*weights.shape[:2], end - begun), np.float64)
        for column in range(begun, end):
            value = rest[:, :, column]
            rounded[:, :, column] = np.clip(np.rint(value / scales), -limit, limit)
            moved = (value - rounded[:, :, column] * scales) / factors[:, None, column, column]
            rest[:, :, column + 1 : end] -= moved[..., None] * factors[:, None, column, column + 1 : end]
            lost[:, :, column - begun] = moved
        # What the later columns make up for, for a whole block at once.
        rest[:, :, end:] -= lost @ factors[:, begun:end, end:]
    result = np.empty_like(rounded)
    np.put_along_axis(result, np.broadcast_to(order[:, None], result.shape), rounded, axis=2)
    return result.astype(np.int8)


def output_error(weights: Floats, rounded: Floats, moments: Floats) -> float:
    """Relative error of the outputs' mean squares that rounding causes, on the inputs of the moments."""
    lost = weights - rounded
    moved = np.einsum("goi,gij,goj->", lost, moments, lost, optimize=True)
    whole = np.einsum("goi,gij,goj->", weights, moments, weights, optimize=True)
    return float(np.sqrt(max(moved, 0.0) / whole)) if whole > 0 else 0.0


def _compensation(moments: Floats, order: npt.NDArray[np.intp], damping: float) -> Floats:
    """Upper Cholesky factor of the inverse moments (groups, inputs, inputs), inputs in this order."""
    ordered = np.take_along_axis(moments, order[:, :, None], axis=1)
    ordered = np.take_along_axis(ordered, order[:, None, :], axis=2)
    mean = np.diagonal(ordered, axis1=1, axis2=2).mean(axis=1)
    added = np.maximum(damping * mean, 1e-12)
    ordered = ordered + added[:, None, None] * np.eye(ordered.shape[1])
    # H = R Rᵀ with R upper triangular, by Cholesky from the last input on; then H⁻¹ = (R⁻¹)ᵀ R⁻¹.
    lower = torch.linalg.cholesky(torch.from_numpy(np.ascontiguousarray(ordered[:, ::-1, ::-1])))
    upper = lower.flip(1, 2)
    unit = torch.eye(upper.shape[1], dtype=upper.dtype).expand_as(upper)
    return np.asarray(torch.linalg.solve_triangular(upper, unit, upper=True).numpy())
