"""MQTT side of the collector: receives results, acknowledges them, and registers itself as the consumer."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import paho.mqtt.client as paho

from edgeflow.change_log import ChangeLog
from edgeflow.clock import utc_text
from edgeflow.collector.inbox import Inbox
from edgeflow.collector.other_consumers import ACTIVE, OtherConsumers, registration_of
from edgeflow.collector.records import Received
from edgeflow.collector.settings import CollectorConfig
from edgeflow.contracts.messages import Ack, to_json
from edgeflow.mqtt.broker.answers import rights_refusal
from edgeflow.mqtt.client import check_files
from edgeflow.mqtt.connection import Connection, LiveConnection
from edgeflow.mqtt.properties import PublishProperties
from edgeflow.mqtt.socket_loop import SocketLoop, on_publish, on_subscribe

__all__ = ["Consumer"]

logger = logging.getLogger(__name__)

REGISTRATIONS = "edgeflow/collector"
_LOOK_S = 1.0  # for registrations of others, before the first result is taken
_SILENT_S = 15.0
_REFUSED_FIRST = 0x80
_IDS_AT_ONCE = 1000
_BYTES_AT_ONCE = 100_000
_KINDS = ("result", "dropped")
_HERE = to_json(Ack(result_ids=("consumer-is-here",)))  # no result has this id


class Consumer:
    """Connects again and again; what it receives goes into the inbox.

    Results come by a shared subscription, of which the broker gives each message to one collector of the
    group. MQTT's own acknowledgement only says that a message arrived here: a box lets go of a result at
    :meth:`acknowledge`, which is called once the result is committed.

    Where another group, or another database, collects already, this one stands by until that has ended.

    Args:
        others: what is known of other consumers; used on the network thread and read by others.
    """

    def __init__(self, config: CollectorConfig, inbox: Inbox, others: OtherConsumers) -> None:
        self._config = config
        self._inbox = inbox
        self._others = others
        self._topic = f"{REGISTRATIONS}/{config.group}/{config.collector_name}"
        self._accepted_s = 0.0
        self._collecting = False
        self._refused: dict[str, str] = {}
        self._problems = ChangeLog(logger, "collector: ")
        self._lock = threading.Lock()
        self._greeted: Callable[[], None] = lambda: None
        self._said = b""
        self._connection = Connection(
            config.mqtt,
            config.client_id,
            prepare=self._prepare,
            greet=self._greet,
            tend=self._tend,
            ended=self._ended,
            problem_changed=lambda: None,
        )

    @property
    def connected(self) -> bool:
        """True while a connection stands, as far as is known."""
        return self._connection.live is not None

    @property
    def collecting(self) -> bool:
        """True while results are subscribed to."""
        return self._collecting and self.connected

    @property
    def problem(self) -> str:
        """The reason why no results come; empty while they do."""
        problems = [self._connection.problem, *self._refused.values()]
        if self.connected and not self._collecting:
            problems += [f"stands by: {text}; end that one" for text in self._others.active()]
        return "; ".join(filter(None, problems))

    def start(self) -> None:
        """Connect in the background.

        Raises:
            ConfigError: a file of the section ``mqtt`` is missing.
        """
        check_files(self._config.mqtt)
        self._connection.start()

    def stop(self) -> None:
        """Withdraw the registration and disconnect."""
        self._connection.stop(lambda wire: self._publish(wire, self._topic, b"", retain=True))

    def acknowledge(self, ids: Mapping[str, Iterable[str]]) -> None:
        """Tell boxes, by their topic roots, which results are safe here. Never blocks.

        Without a connection nothing is told: the box sends the results again, and is told then.
        """
        live = self._connection.live
        if live is None:
            return
        with live.wire.together():
            for root, names in ids.items():
                for chunk in _chunks(names):
                    self._publish(live.wire, f"{root}/result/ack", to_json(Ack(result_ids=chunk)))

    def register(self, status: Mapping[str, Any]) -> None:
        """Publish the registration with a status, where it has changed."""
        live = self._connection.live
        if live is None:
            return
        state = ACTIVE if self._collecting else "standing by"
        said = json.dumps(
            {"state": state, "store": self._others.store, **status}, ensure_ascii=False
        ).encode()
        if said != self._said:
            self._said = said
            document = {**json.loads(said), "at": utc_text()}
            self._publish(
                live.wire, self._topic, json.dumps(document, ensure_ascii=False).encode(), retain=True
            )

    def _prepare(self, client: paho.Client) -> None:
        client.will_set(self._topic, b"", 1, retain=True)
        client.on_publish = on_publish
        client.on_subscribe = on_subscribe
        client.on_message = self._on_message

    def _greet(self, live: LiveConnection) -> None:
        self._accepted_s = time.monotonic()
        self._collecting = False
        self._refused.clear()
        self._said = b""
        live.wire.subscribe(f"{REGISTRATIONS}/+/+")

    def _ended(self, _live: LiveConnection) -> None:
        self._collecting = False

    def _tend(self, live: LiveConnection) -> str:
        for _, sent, reason in live.wire.answers():
            if sent.subscribes and reason >= _REFUSED_FIRST:
                self._refused[sent.topic] = f"{sent.topic}: the broker refuses it: {rights_refusal(reason)}"
            elif reason >= _REFUSED_FIRST:
                group = sent.topic.rpartition("/")[2]
                self._refused[group] = f"{sent.topic}: the broker refuses it: {rights_refusal(reason)}"
        self._problems.report(self.problem if self.connected else "")
        if live.wire.unanswered.silence_s(time.monotonic()) >= _SILENT_S:
            return f"does not acknowledge a message for {_SILENT_S:g} s; see the broker's log"
        waited_s = time.monotonic() - self._accepted_s
        if not self._collecting and waited_s >= _LOOK_S and self._others.store and not self._others.active():
            self._collect(live)
        return ""

    def _collect(self, live: LiveConnection) -> None:
        """Subscribe to the results of all boxes, and to the acknowledgements of others."""
        self._collecting = True
        for topics in self._config.topics:
            for kind in _KINDS:
                live.wire.subscribe(f"$share/{self._config.group}/{topics}/{kind}")
            # One of the group looks at each acknowledgement: as many come as results.
            live.wire.subscribe(f"$share/{self._config.group}-acks/{topics}/result/ack")
            live.wire.subscribe(f"{topics}/availability")
        logger.info("collecting %s as '%s' of group '%s'", ", ".join(self._config.topics), *self._me())
        self.register({})

    def _present(self, root: str) -> None:
        """Tell a box that its consumer is here: what it holds back for want of one comes at once."""
        live = self._connection.live
        if live is not None and self._collecting:
            self._publish(live.wire, f"{root}/result/ack", _HERE)

    def _me(self) -> tuple[str, str]:
        return self._config.collector_name, self._config.group

    def _publish(self, wire: SocketLoop, topic: str, payload: bytes, *, retain: bool = False) -> None:
        user = {"consumer": self._config.group, "collector": self._config.collector_name}
        properties = PublishProperties(user, content_type="application/json")
        wire.publish(topic, payload, key=topic, retain=retain, properties=properties)

    def _on_message(self, _client: paho.Client, _wire: SocketLoop, message: paho.MQTTMessage) -> None:
        try:
            self._receive(message)
        except Exception:  # else paho would end the connection
            logger.exception("a message is ignored")

    def _receive(self, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        user = dict(getattr(message.properties, "UserProperty", ()))
        root, _, kind = topic.rpartition("/")
        if root.startswith(f"{REGISTRATIONS}/"):
            found = registration_of(topic, bytes(message.payload))
            if found is not None:
                self._others.registered(found)
        elif kind in _KINDS:
            self._inbox.put(
                Received(
                    root=root,
                    kind=kind,
                    payload=bytes(message.payload),
                    schema=user.get("schema", ""),
                    session=user.get("session", ""),
                    seq=user.get("seq", ""),
                )
            )
        elif kind == "availability" and message.payload == b"online":
            self._present(root)
        elif kind == "ack":
            self._others.acknowledged(root.rpartition("/")[0], user.get("consumer", ""), time.monotonic())


def _chunks(names: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Yield portions that a box takes in one message."""
    chunk: list[str] = []
    size = 0
    for name in names:
        if chunk and (len(chunk) == _IDS_AT_ONCE or size + len(name) > _BYTES_AT_ONCE):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(name)
        size += 4 * len(name) + 4
    if chunk:
        yield tuple(chunk)
