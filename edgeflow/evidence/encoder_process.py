"""The process that encodes pictures at the lowest priority: images come in, files go out, one by one.

On standard input: height and width, then the pixels, red first. On standard output: the number of bytes, then
the PNG. The end of standard input, or of whoever started it, ends this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import sys

import numpy as np

from edgeflow.evidence.png import encode_png

__all__ = ["ANSWER", "REQUEST", "main"]

REQUEST, ANSWER = struct.Struct("<II"), struct.Struct("<I")
_PR_SET_PDEATHSIG = 1
_NICENESS = 19


def main() -> None:
    """Encode pictures until standard input ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a terminal it is meant for the box
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while header := sys.stdin.buffer.read(REQUEST.size):
        height, width = REQUEST.unpack(header)
        pixels = sys.stdin.buffer.read(3 * height * width)
        data = encode_png(np.frombuffer(pixels, np.uint8).reshape(height, width, 3))
        sys.stdout.buffer.write(ANSWER.pack(len(data)) + data)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
