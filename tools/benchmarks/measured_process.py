"""Run a program to its end and watch how much memory it takes."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from edgeflow.diagnostics.peak_memory import peak_bytes

__all__ = ["watched_run"]

LOOK_EVERY_S = 0.1


def watched_run(command: Sequence[str], *, stderr: int | None = None) -> tuple[str, int]:
    """Standard output of a program, and its own peak memory in bytes.

    What it takes on in its last tenth of a second may be missed.

    Args:
        stderr: as of :class:`subprocess.Popen`.

    Raises:
        CalledProcessError: it failed.
    """
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, peak_bytes(process.pid) or 0)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return output, peak
