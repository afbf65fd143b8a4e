"""Limit for a server that stays connected and answers nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

__all__ = ["Silence", "limited"]


class Silence:
    """The state of one operation's limit.

    Attributes:
        over: the limit has passed, and the connection was ended.
    """

    def __init__(self, descriptor: int) -> None:
        self.over = False
        self._own = os.dup(descriptor)

    def end(self) -> None:
        """End the connection under whoever waits for its answer."""
        self.over = True
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._own)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close what is held."""
        os.close(self._own)


@contextlib.contextmanager
def limited(descriptor: int, limit_s: float) -> Iterator[Silence]:
    """Return a context that ends a connection once it has lasted for ``limit_s``.

    libpq waits for ever for a server whose process stands still: the limits of the connection count only
    what the other computer's kernel leaves unanswered.
    """
    silence = Silence(descriptor)
    timer = threading.Timer(limit_s, silence.end)
    timer.daemon = True
    timer.start()
    try:
        yield silence
    finally:
        timer.cancel()
        timer.join()  # else it might end a later connection of the same number
        silence.forget()
