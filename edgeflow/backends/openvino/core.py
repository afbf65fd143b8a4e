"""The one OpenVINO core of a process, and the check that a requested device is on this machine."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import openvino as ov

from edgeflow.errors import DeviceError

__all__ = ["openvino_core", "require_device"]


@cache
def openvino_core() -> ov.Core:
    """The process's core.

    Its CPU plugin gives the thread that loads it an alternate stack for signals; when the core goes,
    it puts the stack of before back and frees its own. Of two cores, the one that goes last would put
    back what the other has freed. Python's handlers run on such stacks: after an exchange of bundles,
    the next SIGTERM would kill the box instead of stopping it.
    """
    return ov.Core()


_CHOOSING = {"AUTO", "HETERO", "MULTI"}


def require_device(device: str, available: Collection[str]) -> None:
    """Refuse a device that is not on this machine, also among those that AUTO, HETERO or MULTI may take.

    Args:
        device: such as CPU, GPU.1, AUTO, AUTO:GPU,CPU or AUTO:-CPU.
        available: what OpenVINO found.

    Raises:
        DeviceError: it names what was found.
    """
    chooser, _, listed = device.partition(":")
    if chooser in _CHOOSING:
        named = [name for name in listed.split(",") if name]
        missing = [name for name in named if not _is_there(name.lstrip("-"), available)]
        chosen = [name for name in named if not name.startswith("-")]
        left = set(available) - {name.lstrip("-") for name in named if name.startswith("-")}
        if chooser != "AUTO" and not chosen:
            raise DeviceError(f"OpenVINO device '{device}': name the devices, such as {chooser}:GPU,CPU")
        if not missing and not left:
            raise DeviceError(f"OpenVINO device '{device}' leaves no device; found: {_listed(available)}")
    else:
        missing = [] if _is_there(device, available) else [device]
    if missing:
        raise DeviceError(
            f"OpenVINO device '{', '.join(missing)}' is not on this machine; found: {_listed(available)}; "
            "check its driver, or name another with --device or runtime.device"
        )


def _is_there(name: str, available: Collection[str]) -> bool:
    """True if a device is there; GPU stands for the first of GPU.0 and GPU.1."""
    return name in available or any(found.partition(".")[0] == name for found in available)


def _listed(available: Collection[str]) -> str:
    return ", ".join(sorted(available)) or "none"
