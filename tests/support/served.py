"""The end of a box and of the server beside it."""

from __future__ import annotations

import subprocess


def end(box: subprocess.Popen[str], server: subprocess.Popen[str]) -> None:
    """Kill the box, and expect that its server ends in order when it is told to."""
    box.kill()
    box.wait(120)
    server.terminate()
    assert server.wait(120) == 0
    if server.stdout is not None:
        server.stdout.close()
