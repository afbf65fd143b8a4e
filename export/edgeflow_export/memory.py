"""The memory that this process may still take, before the system or its container kills it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import torch
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from edgeflow.errors import HardwareError

__all__ = ["Need", "Volume", "attainable_bytes", "needed", "require_memory", "volume_of", "volume_of_graph"]

_ROOT = Path("/")
_UNLIMITED = 1 << 60
"""cgroups of version 1 write a number near 2^63 where there is no limit."""


def attainable_bytes(root: Path = _ROOT) -> int | None:
    """Return the most bytes that this process may hold; None if unknown.

    That is what it holds, and the least that anything leaves.

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


BASE_BYTES = 1.35e9
"""Python with torch, OpenVINO, ONNX Runtime and NNCF, and what exporting the smallest model takes: 1.23 to
1.3 GB were measured for recipes/fast.yaml, with and without a foreground and a search for layers of INT8."""


WEIGHT_COPIES = 6
"""Torch, the exporter's graph, the file, a back end's graph and the bundle's files hold weights at once."""


FLOAT_SHARE = 0.13
"""Of the volume of all activations, what torch and a compiled graph hold at once. Measured: 3.5 GB for five
views of 25 tiles through the first layers of EfficientNet-Lite0, whose few large maps are most of it."""


INT8_SHARE = {"model": 0.28, "foreground": 0.45}
"""Share of the same volume that a calibration for INT8 holds at once. Measured: 8.9 GB for a whole export of
EfficientNet-B5 at 768, five views (volume 18.7 GB); 6.2 and 6.6 GB for MVANet at 512, one view (9.0 GB); a
transformer's blocks are looked at more closely."""


@dataclass(frozen=True, kw_only=True)
class Volume:
    """Bytes of a module's weights, and of everything that its operations write for one input."""

    weights: int
    activations: int


@dataclass(frozen=True, kw_only=True)
class Need:
    """An estimated peak in bytes, and the step that reaches it."""

    bytes: float
    step: str


class _Written(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations write; views of the same memory count nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(
                leaf.numel() * leaf.element_size()
                for leaf in tree_leaves(result)
                if isinstance(leaf, torch.Tensor)
            )
        return result


def volume_of(module: nn.Module, shape: tuple[int, ...]) -> Volume | None:
    """A module's volume for uint8 images of a shape, without computing anything.

    Returns:
        None where a module of the user's own cannot be traced like that.
    """
    weights = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    written = _Written()
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), written:
            module(torch.zeros(shape, dtype=torch.uint8))
    except Exception:  # noqa: BLE001 - whatever it is, it only costs the estimate
        return None
    return Volume(weights=weights, activations=written.bytes)


_VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Parameter", "Result"}
"""Operations of a graph that write nothing."""


def volume_of_graph(model: ov.Model) -> Volume | None:
    """The volume of a graph with fixed shapes, as :func:`volume_of` counts it.

    Returns:
        None where a shape depends on the input.
    """
    weights = activations = 0
    for node in model.get_ops():
        ports = node.outputs()
        if any(port.partial_shape.is_dynamic for port in ports):
            return None
        size = sum(int(np.prod(list(port.shape))) * port.get_element_type().size for port in ports)
        kind = node.get_type_name()
        weights += size if kind == "Constant" else 0
        activations += size if kind not in {"Constant", *_VIEWS} else 0
    return Volume(weights=weights, activations=activations)


def needed(kind: str, volume: Volume, *, int8: bool, samples_bytes: int = 0) -> Need:
    """The estimated peak of exporting a model or a foreground network.

    Args:
        kind: ``model`` or ``foreground``.
        samples_bytes: calibration images, which are held at once.
    """
    share = INT8_SHARE[kind] if int8 else FLOAT_SHARE
    peak = BASE_BYTES + WEIGHT_COPIES * volume.weights + share * volume.activations
    what = "the foreground network" if kind == "foreground" else "the model"
    step = f"calibrating {what} for INT8" if int8 else f"exporting {what}"
    return Need(bytes=peak + (samples_bytes if int8 else 0), step=step)


def require_memory(need: Need, *, hints: str, available: int | None = None) -> None:
    """Refuse an export that would be killed.

    Args:
        hints: what would make it smaller.
        available: default: what this machine has.

    Raises:
        HardwareError: it needs more than there is.
    """
    available = attainable_bytes() if available is None else available
    if available is not None and need.bytes > available:
        raise HardwareError(
            f"this export needs about {need.bytes / 1e9:.1f} GB of memory while {need.step}, and "
            f"{available / 1e9:.1f} GB are available; {hints}, close other programs, or go on at your own "
            "risk with --ignore-memory"
        )
