"""The one OpenVINO core of a process, which lives as long as the process."""

from __future__ import annotations

from functools import cache

import openvino as ov

__all__ = ["openvino_core"]


@cache
def openvino_core() -> ov.Core:
    """The process's core.

    Its CPU plugin gives the thread that compiles first an alternate stack for signals, and frees that
    memory with the core. Python's handlers run on such stacks: after a core had gone, with the bundle
    that it served, the next SIGTERM would kill the box instead of stopping it.
    """
    return ov.Core()
