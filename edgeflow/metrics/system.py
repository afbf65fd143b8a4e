"""Figures of the computer: resident memory of this process, temperatures of the system's sensors."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["THERMAL", "resident_bytes", "temperatures_c"]

THERMAL = Path("/sys/class/thermal")


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes; 0 where the system does not tell it."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def temperatures_c(folder: Path = THERMAL) -> dict[str, float]:
    """Return sensor, such as ``thermal_zone0 x86_pkg_temp``, → °C; those that do not answer are absent."""
    found = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        with suppress(OSError, ValueError):  # a sensor that sleeps answers with an error
            kind = (zone / "type").read_text("ascii").strip()
            found[f"{zone.name} {kind}"] = int((zone / "temp").read_text("ascii")) / 1000
    return found
