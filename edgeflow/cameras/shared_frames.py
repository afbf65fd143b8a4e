"""Zero-copy transfer of images between processes through shared memory.

The memory is an anonymous file: it goes when its last user does, also after a crash. Its first page
holds one byte per slot, 1 while an image in it is in use; the writer sets it, the reader clears it
when the last array on the image is gone, so that nobody sees an image change under his hands.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref

import numpy as np

from edgeflow.contracts.images import RgbImage

__all__ = ["RingReader", "RingWriter"]

_HEADER = mmap.PAGESIZE


class RingWriter:
    """Writer of images; pages of slots that were never used take no memory.

    Args:
        slots: images that may be in use at a time.
        image_bytes: the largest image.
    """

    def __init__(self, *, slots: int, image_bytes: int) -> None:
        self.slot_bytes = -(-image_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.fd = os.memfd_create("edgeflow-frames", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, _HEADER + slots * self.slot_bytes)
        self._slots = slots
        self._memory = mmap.mmap(self.fd, 0)

    def place(self, image: RgbImage) -> int | None:
        """Copy an image into the first free slot; None where all are in use."""
        slot = next((k for k in range(self._slots) if not self._memory[k]), None)
        if slot is not None:
            place = np.frombuffer(self._memory, np.uint8, image.size, _HEADER + slot * self.slot_bytes)
            np.copyto(place.reshape(image.shape), image)
            self._memory[slot] = 1
        return slot

    def close(self) -> None:
        """Release the memory; images that the reader holds stay valid."""
        os.close(self.fd)


class RingReader:
    """Reader of images; takes over the file descriptor."""

    def __init__(self, fd: int, *, slot_bytes: int) -> None:
        self._slot_bytes = slot_bytes
        self._memory = mmap.mmap(fd, 0)
        os.close(fd)

    def take(self, slot: int, height: int, width: int) -> RgbImage:
        """Return the image in a slot, uint8 (H, W, 3), read-only; freeing the array frees the slot.

        Raises:
            ValueError: no such slot, or more pixels than one holds.
        """
        size = 3 * height * width
        if min(slot, height, width) < 0 or size > self._slot_bytes:
            raise ValueError(f"no image of {height}x{width} in slot {slot}")
        place = (ctypes.c_ubyte * size).from_buffer(self._memory, _HEADER + slot * self._slot_bytes)
        weakref.finalize(place, self._memory.__setitem__, slot, 0).atexit = False
        image: RgbImage = np.frombuffer(memoryview(place), np.uint8).reshape(height, width, 3)
        image.flags.writeable = False
        return image
