"""How much memory this process may still take, before the system or its container kills it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

__all__ = ["attainable_bytes"]

_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""cgroups of version 1 write a number near 2^63 where there is no limit."""


def attainable_bytes(root: Path = _ROOT) -> int | None:
    """What this process may hold in all: what it holds, and the least that anything leaves; None if unknown.

    The machine, every control group around the process and its own limits leave something.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_limits(root)]
    return max(0, min(found)) + _of_process(root, "VmRSS") if found else None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _of_groups(root: Path) -> Iterator[int]:
    """Limits of the memory control group and of all above it, in either version, less what they hold."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, limit, used = root / "sys/fs/cgroup", "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        # In a container the path may be the host's, of which only the end, or nothing, is mounted here.
        group = mount / path.strip().lstrip("/")
        for folder in dict.fromkeys((*_upwards(group, mount), mount)):
            most, taken = _number(folder / limit), _number(folder / used)
            if most is not None and taken is not None and most < _UNLIMITED:
                yield most - taken + _reclaimable(folder)


def _upwards(group: Path, mount: Path) -> Iterator[Path]:
    while group != mount and mount in group.parents:
        yield group
        group = group.parent


def _reclaimable(folder: Path) -> int:
    """Files that the group has read, and that the system drops before it kills anybody."""
    for line in _lines(folder / "memory.stat"):
        name, _, value = line.partition(" ")
        if name in {"inactive_file", "total_inactive_file"}:
            return int(value)
    return 0


def _of_limits(root: Path) -> Iterator[int]:
    """``ulimit -v`` and ``-d``, less what this process has mapped."""
    for kind, used in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        most = resource.getrlimit(kind)[0]
        if most != resource.RLIM_INFINITY:
            yield most - _of_process(root, used)


def _of_process(root: Path, name: str) -> int:
    """One of this process's sizes in bytes; 0 if unknown."""
    found = [line.split()[1] for line in _lines(root / "proc/self/status") if line.startswith(f"{name}:")]
    return int(found[0]) * 1024 if found else 0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    lines = _lines(path)
    return int(lines[0]) if lines and lines[0].strip().isdecimal() else None
