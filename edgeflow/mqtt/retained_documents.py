"""Retained messages, published at every connection: the latest of each topic, suspects one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from edgeflow.mqtt.broker.suspects import SuspectMessages

__all__ = ["Document", "RetainedDocuments"]

Document = tuple[bytes, str]
"""Payload and schema."""


class RetainedDocuments:
    """Latest document of each topic (birth, state, alarms), published at every connection.

    Any thread may put and send, but none that runs in a callback of paho: one lock is held while
    publishing, so that no older document overtakes a newer one.

    A document that was in flight when a connection ended goes alone at the next one; one that is found
    to end connections is not sent again until it is smaller, or empty.

    Args:
        publish: hands one document to the network.
    """

    def __init__(self, publish: Callable[[str, Document], None]) -> None:
        self._publish = publish
        self._latest: dict[str, Document] = {}
        self._due: dict[str, None] = {}  # topics to publish on this connection, in order
        self._guilty: dict[str, int] = {}  # topic → size of the payload that ended connections
        self._suspicion = SuspectMessages()
        self._sending = threading.RLock()  # publishing may raise an alarm, which is a document, too

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics of all documents."""
        return tuple(self._latest)

    def put(self, topic: str, document: Document) -> None:
        """Keep a document for ``send``."""
        self._latest[topic] = document
        self._due[topic] = None

    def put_where_unknown(self, topic: str, document: Document) -> None:
        """Keep a document where none is known for the topic; otherwise publish the known one again."""
        self._latest.setdefault(topic, document)
        self._due[topic] = None

    def all_due(self) -> None:
        """Make all documents due, for a new connection."""
        self._due = dict.fromkeys(self._latest)

    def send(self, in_flight: Callable[[], Collection[str]], room: int) -> None:
        """Publish the documents that are due.

        Args:
            in_flight: keys of what waits for the broker's answer.
            room: how many messages may wait at most.
        """
        if not self._due:
            return
        with self._sending:
            for topic in self._in_order():
                waiting = in_flight()
                alone = topic in self._suspicion or any(key in self._suspicion for key in waiting)
                if len(waiting) >= room or (alone and waiting):
                    return
                self._due.pop(topic, None)  # first: what is put from now on is due anew
                if not self._is_guilty(topic):
                    self._publish(topic, self._latest[topic])

    def passed(self, key: str) -> None:
        """Record that the broker accepted a message of any kind."""
        if self._suspicion:
            with self._sending:
                self._suspicion.passed(key)

    def connection_ended(self, in_flight: Collection[str]) -> tuple[str, int] | None:
        """Record the end of a connection; return the topic (and size) that is not sent any more."""
        with self._sending:
            guilty = self._suspicion.connection_ended(in_flight)
            for key in self._suspicion.keys:
                if key not in self._latest:
                    self._suspicion.forget(key)
        if guilty is None or guilty not in self._latest:
            return None
        self._guilty[guilty] = len(self._latest[guilty][0])
        return guilty, self._guilty[guilty]

    def _in_order(self) -> list[str]:
        """Return the due topics, suspects last: the others are published before one ends the connection."""
        suspects = self._suspicion.keys
        due = [topic for topic in list(self._due) if topic not in suspects]
        return [*due, *(topic for topic in suspects if topic in self._due)]

    def _is_guilty(self, topic: str) -> bool:
        limit = self._guilty.get(topic)
        if limit is None:
            return False
        if len(self._latest[topic][0]) < limit:
            del self._guilty[topic]
            return False
        return True
