"""Client of the live stream: what a running box tells those who watch it, as plain data."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeflow.commands.control_socket import WATCH
from edgeflow.commands.socket_address import short_address
from edgeflow.errors import HardwareError, UsageError

__all__ = ["watch"]

_SILENT_S = 10.0  # the box sends its status every second


def watch(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the live stream of the box behind a socket, until the box ends.

    Each item has a ``kind``: ``hello`` with the latest results, then ``result``, ``status``, ``preview``
    (JPEG pictures, base64) and ``dropped`` where this watcher was too slow.

    Raises:
        HardwareError: no box runs there, or it is silent for 10 s.
        UsageError: this user may not watch the box, or too many do.
    """
    try:
        with short_address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_SILENT_S)
            connection.connect(address)
            connection.sendall(WATCH)
            with connection.makefile("rb") as file:
                for line in file:
                    item: dict[str, Any] = json.loads(line)
                    if "reply" in item:
                        raise UsageError(f"{path}: {item['reply']['text']}")
                    yield item
    except PermissionError as cause:
        raise UsageError(f"{path}: this user may not watch the box; use its user or group") from cause
    except (FileNotFoundError, ConnectionRefusedError) as cause:
        raise HardwareError(
            f"{path.resolve()}: no box runs there; start it with 'edgeflow run BOX'"
        ) from cause
    except (OSError, ValueError) as cause:
        raise HardwareError(f"{path}: the box does not answer: {cause}; see its log") from cause
