"""The one OpenVINO core of a process, which lives as long as the process."""

from __future__ import annotations

from functools import cache

import openvino as ov

__all__ = ["openvino_core"]


@cache
def openvino_core() -> ov.Core:
    """The process's core.

    Its CPU plugin gives the thread that loads it an alternate stack for signals; when the core goes,
    it puts the stack of before back and frees its own. Of two cores, the one that goes last would put
    back what the other has freed. Python's handlers run on such stacks: after an exchange of bundles,
    the next SIGTERM would kill the box instead of stopping it.
    """
    return ov.Core()
