"""The most memory that a process has held, by the system's own record."""

from __future__ import annotations

import os
import resource
from pathlib import Path

__all__ = ["own_peak_bytes", "peak_bytes"]


def peak_bytes(pid: int) -> int | None:
    """The most that a running program has held since it began; None where it ended, or nobody tells.

    What ``getrusage`` tells of a child is at least what the program held that started it, since that was
    what the child held before it became a program of its own.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return found[0] if found else None


def own_peak_bytes() -> int:
    """The same of this process; where only ``getrusage`` tells, that."""
    found = peak_bytes(os.getpid())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if found is None else found
