"""Client of the decision stream: what a running box decides, for programs that hand it on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from edgeflow.commands.control_socket import FOLLOW
from edgeflow.commands.socket_address import short_address

__all__ = ["SILENT_S", "follow"]

SILENT_S = 1.0
"""A box that is silent for so long does not answer any more; it says something every 250 ms."""

_AGAIN_S = 0.2
_LONGEST_LINE = 16 * 2**20


async def follow(path: Path, silent_s: float = SILENT_S) -> AsyncIterator[dict[str, Any]]:
    """Yield the decision stream of the box behind a socket, and connect again whenever it is back.

    Each item has a ``kind``: ``hello`` with the state and the latest results, then ``decision``, ``result``,
    ``state`` at least every 250 ms, ``dropped`` where this follower was too slow, and ``lost`` with the
    ``problem`` as long as there is no box, once for each new problem. Decisions and results have ``at_ns``,
    the monotonic time at which the box gave them.
    """
    told = ""
    while True:
        try:
            async for item in _once(path, silent_s):
                told = ""
                yield item
            problem = "the box has ended"
        except PermissionError:
            problem = f"{path}: this user may not follow the box; use its user or group"
        except (FileNotFoundError, ConnectionRefusedError):
            problem = f"{path}: no box runs there; start it with 'edgeflow run BOX'"
        except TimeoutError:
            problem = f"{path}: the box has been silent for {silent_s:g} s; see its log"
        except _RefusedError as cause:
            problem = f"{path}: {cause}"
        except (OSError, ValueError) as cause:
            problem = f"{path}: the box does not answer: {cause}; see its log"
        if problem != told:
            told = problem
            yield {"kind": "lost", "problem": problem}
        await asyncio.sleep(_AGAIN_S)


class _RefusedError(Exception):
    """The box does not let this program follow."""


async def _once(path: Path, silent_s: float) -> AsyncIterator[dict[str, Any]]:
    with short_address(path) as address:
        async with asyncio.timeout(silent_s):
            reader, writer = await asyncio.open_unix_connection(address, limit=_LONGEST_LINE)
    try:
        writer.write(FOLLOW)
        while True:
            async with asyncio.timeout(silent_s):
                line = await reader.readline()
            if not line.endswith(b"\n"):
                return
            item: dict[str, Any] = json.loads(line)
            if "reply" in item:
                raise _RefusedError(item["reply"]["text"])
            if item["kind"] == "end":
                return
            yield item
    finally:
        writer.close()
