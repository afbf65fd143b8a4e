"""Brush strokes of Label Studio: packed run lengths of RGBA values, of which the last says what is marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.image_files.masks import Mask

__all__ = ["Brush", "decode_brush"]

_CHANNELS = 4
_COUNT_BITS, _WORD_BITS, _LENGTH_BITS = 32, 5, 4


@dataclass(frozen=True)
class Brush:
    """Packed values of all pixels, row after row, and the height and width that they are for."""

    packed: bytes
    size: tuple[int, int]

    @classmethod
    def of(cls, numbers: Any, size: tuple[int, int]) -> Brush:
        """Bytes as an export lists them.

        Raises:
            ValueError: not a list of bytes.
        """
        if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
            raise ValueError("its run lengths are no numbers")
        return cls(bytes(numbers), size)  # itself refuses what is no byte


def decode_brush(packed: bytes, size: tuple[int, int]) -> Mask:
    """The pixels of a brush stroke: those that are not wholly transparent.

    A head tells the number of values (32 bits), the bits of a value (5, plus one) and four lengths in bits
    (4 each, plus one). Then come runs: one bit, two bits that choose one of the four lengths, the number of
    values less one, and a single value for all of them where the first bit is set, else each of them.

    Args:
        size: height and width.

    Raises:
        ValueError: not so many values, or not such a text.
    """
    height, width = size
    bits = _Bits(packed)
    count = bits.number(_COUNT_BITS)
    if count != height * width * _CHANNELS:
        raise ValueError(f"{count} values, and not the {height * width * _CHANNELS} of its image")
    word = bits.number(_WORD_BITS) + 1
    lengths = [bits.number(_LENGTH_BITS) + 1 for _ in range(4)]
    values = np.zeros(count, np.uint8)
    at = 0
    while at < count:
        repeated, chosen = bits.number(1), bits.number(2)
        end = at + bits.number(lengths[chosen]) + 1
        if end > count:
            raise ValueError("run lengths that are longer than the image")
        values[at:end] = bits.number(word) if repeated else bits.numbers(word, end - at)
        at = end
    return np.ascontiguousarray(values.reshape(height, width, _CHANNELS)[..., -1] > 0)


class _Bits:
    """Numbers of any length in bits, the highest bit first."""

    def __init__(self, packed: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(packed, np.uint8))
        self._at = 0

    def number(self, bits: int) -> int:
        return int(self.numbers(bits, 1)[0])

    def numbers(self, bits: int, count: int) -> npt.NDArray[np.int64]:
        end = self._at + bits * count
        if end > self._bits.size:
            raise ValueError("a brush stroke that is cut off")
        found = self._bits[self._at : end].reshape(count, bits)
        self._at = end
        return found @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))
