"""Suspect messages: those that may be the reason why the connection ends repeatedly. Pure."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["SuspectMessages"]


class SuspectMessages:
    """Keeps all messages that were in flight when a connection ended, as suspects.

    Each is cleared when the broker takes it. One is found guilty only when the connection ended twice while
    it was the only message in flight, and others passed in between: a broker that is killed, or a network
    that fails, does not do this to one message.
    """

    def __init__(self) -> None:
        self._suspects: dict[str, bool | None] = {}  # None: never alone; True: others passed since it was

    def __bool__(self) -> bool:
        return bool(self._suspects)

    def __contains__(self, key: str) -> bool:
        return key in self._suspects

    @property
    def keys(self) -> tuple[str, ...]:
        """The suspects; those that never were alone when a connection ended come first."""
        return tuple(sorted(self._suspects, key=lambda key: self._suspects[key] is not None))

    def connection_ended(self, in_flight: Collection[str]) -> str | None:
        """Record that a connection ended while these were in flight; return the key that is the reason."""
        if len(in_flight) != 1:
            for key in in_flight:
                self._suspects.setdefault(key, None)
            return None
        (key,) = in_flight
        if self._suspects.get(key):
            del self._suspects[key]
            return key
        self._suspects[key] = False
        return None

    def passed(self, key: str) -> None:
        """Record that the broker accepted this message."""
        self._suspects.pop(key, None)
        for other, others_passed in self._suspects.items():
            if others_passed is not None:
                self._suspects[other] = True

    def forget(self, key: str) -> None:
        """Forget a message that is not sent any more."""
        self._suspects.pop(key, None)
