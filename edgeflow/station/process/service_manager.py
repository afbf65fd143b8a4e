"""The box's side of systemd's notification protocol: readiness, time for a start, watchdog."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator, MutableMapping

from edgeflow.metrics import WatchdogFigures

__all__ = ["PROOF_S", "ServiceManager"]

PROOF_S = 600.0
"""For the verification of a bundle: that of one which is new here may take 300 s apart, and comes again."""

logger = logging.getLogger(__name__)

_FEEDS = 4  # within the watchdog's time
_PATIENCE = 4  # times the watchdog's time, while a bundle is verified beside the line


class ServiceManager:
    """The notification protocol of ``sd_notify(3)``; without a service manager nothing is sent.

    Args:
        address: of the manager's socket; empty: there is none. ``@`` begins an abstract one.
        watchdog_us: how often the manager wants a sign of life; None: not at all.
    """

    def __init__(self, address: str, watchdog_us: int | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_us = watchdog_us
        self._next_ns = 0
        self._fed_ns: int | None = None
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> ServiceManager:
        """The manager that started this process; its variables are taken out: children are not the box."""
        address = environment.pop("NOTIFY_SOCKET", "")
        watchdog = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        wanted = meant and watchdog.isdecimal() and int(watchdog) > 0
        return cls(address, int(watchdog) if wanted else None)

    @property
    def present(self) -> bool:
        """True if a service manager started this process, and starts it again after its end."""
        return bool(self._address)

    def ready(self) -> None:
        """Notify that the start is complete."""
        self._send("READY=1", "STATUS=running")

    def stopping(self) -> None:
        """Notify that the shutdown has begun."""
        self._send("STOPPING=1")

    def extend(self, seconds: float, doing: str) -> None:
        """Extend the time of the start for the step that begins now."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}", f"STATUS={doing}")

    @contextlib.contextmanager
    def patience(self, seconds: float, doing: str) -> Iterator[None]:
        """Extend the watchdog time during a long step beside the line, which takes processor time from it."""
        self.extend(seconds, doing)
        if self._watchdog_us is not None:
            self._send(f"WATCHDOG_USEC={_PATIENCE * self._watchdog_us}")
        try:
            yield
        finally:
            if self._watchdog_us is not None:
                self._send("WATCHDOG=1", f"WATCHDOG_USEC={self._watchdog_us}")
            self._send("STATUS=running")

    def feed(self, now_ns: int) -> None:
        """Feed the watchdog; may be called at any rate.

        Args:
            now_ns: monotonic.
        """
        if self._watchdog_us is not None and now_ns >= self._next_ns:
            self._next_ns = now_ns + self._watchdog_us * 1000 // _FEEDS
            if self._send("WATCHDOG=1"):
                self._fed_ns = now_ns

    def watchdog(self, now_ns: int) -> WatchdogFigures:
        """Return how the watchdog stands.

        Args:
            now_ns: monotonic.
        """
        supervised = self._watchdog_us is not None and self._socket is not None
        limit_s = self._watchdog_us / 1e6 if supervised and self._watchdog_us is not None else None
        fed_age_s = None if self._fed_ns is None else max(0.0, (now_ns - self._fed_ns) / 1e9)
        return WatchdogFigures(supervised=supervised, limit_s=limit_s, fed_age_s=fed_age_s)

    def close(self) -> None:
        """Close the connection to the service manager."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as cause:
            logger.warning("the service manager was not told %s: %s", lines[0], cause)
            return False
        return True
