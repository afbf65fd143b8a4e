"""Many boxes without cameras, each a process that shares what this one has imported.

python forked_boxes.py '[PLAN, ...]', each plan as in ``synthetic_box.py``; it ends when all boxes have ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from faults import synthetic_box


def main() -> None:
    """Start every box; SIGTERM kills them."""
    pids = [_start(plan) for plan in json.loads(sys.argv[1])]
    signal.signal(signal.SIGTERM, lambda *_: _kill(pids))
    for pid in pids:
        os.waitpid(pid, 0)


def _start(plan: dict[str, object]) -> int:
    pid = os.fork()
    if pid:
        return pid
    sys.argv = ["synthetic_box", json.dumps(plan)]
    try:
        synthetic_box.main()
    finally:
        sys.stdout.flush()
        os._exit(0)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
