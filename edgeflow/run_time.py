"""Running time: seconds that a box has run, counted on over restarts, whatever its wall clock says.

A wall clock steps: a box without a battery starts in 1970, a time server corrects it by days. What is kept
for a limited time (results, evidence) is therefore as old as the box ran since. How long the computer was
switched off is not known for sure and does not count: nothing is removed too early.
"""

from __future__ import annotations

import functools
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Boot", "RunTime", "parse_run_time", "read_boot", "run_time_text"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, kw_only=True)
class Boot:
    """A moment: the id of the computer's present start, and the seconds since.

    Attributes:
        up_s: seconds since the computer started, time in standby included.
    """

    id: str
    up_s: float


@dataclass(frozen=True, kw_only=True)
class RunTime:
    """Seconds that a box had run at a moment; never goes back.

    Attributes:
        boot: the moment.
        run_s: seconds of running time until then.
    """

    boot: Boot
    run_s: float = 0.0

    def at(self, boot: Boot) -> RunTime:
        """Return the running time at a later moment, perhaps after a restart of the computer."""
        same = boot.id == self.boot.id
        passed_s = boot.up_s - self.boot.up_s if same else boot.up_s
        return RunTime(boot=boot, run_s=self.run_s + max(0.0, passed_s))


def read_boot(boot_id_file: Path = _BOOT_ID) -> Boot:
    """Return the present moment (Linux).

    Where the computer's starts cannot be told apart (a service may be kept from reading that file), time is
    counted as if there had been one start: too little of it rather than too much.
    """
    return Boot(id=_boot_id(boot_id_file), up_s=time.clock_gettime(time.CLOCK_BOOTTIME))


@functools.cache  # it cannot change while this process runs, and is asked for with every result
def _boot_id(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def run_time_text(moment: RunTime) -> str:
    """Return the running time as it is kept on the disk; see :func:`parse_run_time`."""
    return json.dumps({"boot_id": moment.boot.id, "up_s": moment.boot.up_s, "run_s": moment.run_s})


def parse_run_time(text: str | None, now: Boot) -> RunTime:
    """Return the running time now, from what was kept; 0 where nothing readable was kept."""
    try:
        kept = json.loads(text or "")
        boot = Boot(id=str(kept["boot_id"]), up_s=float(kept["up_s"]))
        run_s = float(kept["run_s"])
    except (ValueError, TypeError, KeyError, OverflowError):
        return RunTime(boot=now)
    if not (math.isfinite(boot.up_s) and math.isfinite(run_s)):
        return RunTime(boot=now)
    return RunTime(boot=boot, run_s=max(0.0, run_s)).at(now)
