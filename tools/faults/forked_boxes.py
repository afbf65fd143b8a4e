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
    """Start every box; SIGTERM kills them, and SIGUSR1 lets each make no more, deliver, and end."""
    pids = [_start(plan) for plan in json.loads(sys.argv[1])]
    signal.signal(signal.SIGTERM, lambda *_: _send(pids, signal.SIGKILL))
    signal.signal(signal.SIGUSR1, lambda *_: _send(pids, signal.SIGTERM))
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


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
