"""The arctangent as additions and products, which back ends join with what surrounds them.

As an operation of its own it is computed by slow, separate code on every back end.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import chebyshev
from torch import Tensor

__all__ = ["COEFFICIENTS", "ERROR_BOUND", "arctangent"]

TERMS = 9
_BASE = math.sqrt(2) - 1
_STEEP = 1e8  # the smallest float32 above 1 exceeds it by 1.2e-7


def _coefficients() -> tuple[float, ...]:
    """Coefficients of x, x^3, x^5 … of the arctangent's Chebyshev series on [-1, 1], cut after the terms.

    The series is known in closed form: 2 (-1)^k (sqrt 2 - 1)^(2k+1) / (2k+1) for degree 2k+1.
    """
    series = np.zeros(2 * TERMS)
    for k in range(TERMS):
        series[2 * k + 1] = 2 * (-1) ** k * _BASE ** (2 * k + 1) / (2 * k + 1)
    return tuple(float(value) for value in chebyshev.cheb2poly(series)[1::2])


COEFFICIENTS = _coefficients()

ERROR_BOUND = 2 * _BASE ** (2 * TERMS + 1) / (2 * TERMS + 1) / (1 - _BASE**2)
"""Largest sum of the omitted terms: 6.8e-9. Rounding in float32 adds up to 1.6e-7 near pi/2."""


def arctangent(x: Tensor) -> Tensor:
    """The arctangent of any values, infinities too.

    Beyond 1 it is pi/2 less the arctangent of 1/x; the case is told by arithmetic, without a comparison.
    """
    inner = x.clamp(-1, 1)
    reduced = inner / x.abs().clamp(min=1)
    square = reduced * reduced
    result = square * COEFFICIENTS[-1] + COEFFICIENTS[-2]
    for coefficient in COEFFICIENTS[-3::-1]:
        result = result * square + coefficient
    beyond = ((x - inner) * _STEEP).clamp(-1, 1)  # -1, 0 or 1
    return beyond * (math.pi / 2) + result * reduced * (1 - 2 * beyond * beyond)
