"""MQTT link of a box: publishes decisions, results and documents, receives acknowledgements and commands."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeflow.alarms import Alarms
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.commands import Reply
from edgeflow.contracts.messages import (
    Alarm,
    Availability,
    Birth,
    CameraStatus,
    Decision,
    Metrics,
    State,
    to_json,
)
from edgeflow.contracts.topics import Topics
from edgeflow.errors import ConfigError, DataError
from edgeflow.mqtt.acknowledgement import confirmed_ids
from edgeflow.mqtt.broker.limits import publish_bytes
from edgeflow.mqtt.broker.watch import REPLY, BrokerMonitor
from edgeflow.mqtt.client import check_files
from edgeflow.mqtt.connection import Connection, LiveConnection
from edgeflow.mqtt.decision_packets import DecisionPackets
from edgeflow.mqtt.events import Acked, Confirmed, Connected, LinkEvent, Lost, Oversize, Receipt
from edgeflow.mqtt.gate_record import GateRecord, with_gate_told
from edgeflow.mqtt.properties import MessageProperties
from edgeflow.mqtt.retained_documents import Document, RetainedDocuments
from edgeflow.mqtt.socket_loop import SocketLoop, on_publish, on_subscribe
from edgeflow.mqtt.subscriptions import Handler, Incoming, Subscriptions

__all__ = ["MqttLink"]

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 2.0
_RESERVE = 8  # messages in flight that results leave free, so that a decision never waits behind them
_MAX_ACK_BYTES = 256_000


class MqttLink:
    """Publishes for one box; publishing never blocks, and never raises for want of a connection.

    Args:
        session: this run of the box; rides in every message's user properties (MQTT 5).

    Attributes:
        username: as whom the box logs in; empty for nobody.
    """

    def __init__(self, config: BoxConfig, session: str) -> None:
        self._config = config.mqtt
        self.username = config.mqtt.username or ""
        self._accepted = 0
        self._topics = Topics(root=config.topic_root)
        self._properties = MessageProperties(config.mqtt, session)
        self._decisions = DecisionPackets(config, self._topics, self._properties)
        self._documents = RetainedDocuments(self._publish_document)
        self._watch = BrokerMonitor(self._topics, config.decision.valid_ms / 1000, self._documents)
        self._listener: Callable[[LinkEvent], None] | None = None
        self._subscriptions = Subscriptions()
        self._stopping = False
        self.subscribe(self._topics.availability, self._on_availability, max_bytes=64)
        self.subscribe(self._topics.alarm("+"), self._on_alarm, max_bytes=_MAX_ACK_BYTES)
        self.subscribe(self._topics.result_ack, self._on_ack, max_bytes=_MAX_ACK_BYTES)
        self._connection = Connection(
            config.mqtt,
            config.device_name,
            prepare=self._prepare,
            greet=self._greet,
            tend=self._tend,
            ended=self._ended,
            problem_changed=self._update_connection_alarm,
        )

    @property
    def address(self) -> str:
        """Host and port of the broker."""
        return f"{self._config.host}:{self._config.port}"

    @property
    def connected(self) -> bool:
        """True while an accepted connection stands, as far as is known."""
        return self._connection.live is not None

    @property
    def connections(self) -> int:
        """Number of connections that the broker has accepted so far."""
        return self._accepted

    @property
    def connection_number(self) -> int | None:
        """Number of the connection that stands, among all attempts; None where none stands."""
        live = self._connection.live
        return live.number if live is not None else None

    @property
    def problem(self) -> str:
        """Reason why there is no connection, or what the broker refuses; empty where all is well."""
        return self._connection.problem or "; ".join(self.refusals)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Refusals of the broker, one line per topic."""
        return self._watch.refusals.texts

    @property
    def decisions_unsent(self) -> int:
        """Number of decisions that were lost: without a connection, or on one that does not take them."""
        return self._watch.gate.unsent

    @property
    def result_window(self) -> int:
        """Number of results that may be in flight at once."""
        return max(1, self._connection.limits.in_flight - _RESERVE)

    @property
    def idle(self) -> bool:
        """True if nothing waits for the broker's answer, on a connection that has answered before."""
        live = self._connection.live
        return live is not None and not live.wire.unanswered and live.wire.unanswered.answers > 0

    @property
    def gate(self) -> GateRecord:
        """Record of the decisions that the broker accepted."""
        return self._watch.gate

    def report_to(self, alarms: Alarms) -> None:
        """Raise alarms for what the broker refuses, and while there is no connection."""
        self._watch.refusals.report_to(alarms)

    def listen(self, listener: Callable[[LinkEvent], None]) -> None:
        """Call ``listener`` with connections, confirmations and acknowledgements, on the network thread.

        It must neither block nor take a lock that is held while publishing; ``SimpleQueue.put`` is fine.
        """
        self._listener = listener

    def subscribe(
        self, topic_filter: str, handler: Handler, *, max_bytes: int, report_larger: bool = False
    ) -> None:
        """Subscribe to a topic at QoS 1; call before ``start``. For handlers see ``subscriptions``."""
        self._subscriptions.add(topic_filter, handler, max_bytes=max_bytes, report_larger=report_larger)

    def start(self) -> None:
        """Connect in the background; an unreachable broker is logged and tried again.

        Raises:
            ConfigError: a file of the ``mqtt`` section is missing, or the topic root is none.
        """
        if not self._topics.root or set(self._topics.root) & set("+#\x00"):
            raise ConfigError(f"mqtt.root: {self._topics.root!r} is not a topic; wildcards are not allowed")
        check_files(self._config)
        self._connection.start()

    def stop(self, word: Availability = "stopped") -> None:
        """Publish the availability ``word`` and disconnect; takes a few seconds at most."""
        self._stopping = True
        self._connection.stop(partial(self._farewell, word))

    def publish_decision(self, decision: Decision) -> bool:
        """Send a decision now or never; return False (and count it) where it cannot be sent. Never blocks."""
        packet, live = self._decisions.full(decision), self._connection.live
        sent: Receipt | Oversize | None = None
        name = decision.result_id
        if live is not None and self._watch.takes_decisions(live.wire.unanswered, self._connection.limits):
            sent = self._publish(packet.topic, packet.payload, packet.properties, decision_id=name)
        if isinstance(sent, Receipt):
            self._watch.gate.sent(name)
            if short := self._decisions.compact(decision):
                self._publish(short.topic, short.payload, short.properties)
            return True
        if sent is not None:
            self._watch.oversize(packet.topic, sent)
        self._watch.gate.not_sent(name)
        return False

    def together(self) -> AbstractContextManager[None]:
        """Return a context: results that are published within it leave in one piece."""
        live = self._connection.live
        return live.wire.together() if live is not None else nullcontext()

    def publish_result(
        self,
        payload: bytes,
        *,
        schema: str,
        session: str,
        seq: int,
        replayed: bool,
        key: str = "",
        root: str = "",
    ) -> Receipt | Oversize | None:
        """Send a result record with ``gate_told`` filled in; None without a connection. Never blocks.

        Args:
            key: its result id, which names it in ``Lost``.
            root: topics of the station that made it; default: of this one.
        """
        properties = self._properties.per_part(schema, session, seq=seq, replayed=str(replayed).lower())
        payload = with_gate_told(payload, self._watch.gate.told(key))
        return self._publish(self._made_at(root).result, payload, properties, key=key)

    def publish_dropped(
        self, payload: bytes, *, schema: str, replayed: bool, key: str = "", root: str = ""
    ) -> Receipt | Oversize | None:
        """Send a record of dropped results; see :meth:`publish_result`."""
        properties = self._properties.of(schema, replayed=str(replayed).lower())
        return self._publish(self._made_at(root).dropped, payload, properties, key=key)

    def _made_at(self, root: str) -> Topics:
        """Return the topics of the station that made a result; its consumer acknowledges there, too."""
        if not root or root == self._topics.root:
            return self._topics
        topics = Topics(root=root)
        live = self._connection.live
        if live is not None and topics.result_ack not in self._subscriptions.filters:
            self.subscribe(topics.result_ack, self._on_ack, max_bytes=_MAX_ACK_BYTES)
            live.wire.subscribe(topics.result_ack)
        return topics

    def publish_birth(self, birth: Birth) -> None:
        """Publish retained, now and at every later connection."""
        self._retain(self._topics.birth, to_json(birth), birth.schema_)

    def publish_state(self, state: State) -> None:
        """Publish retained, now and at every later connection."""
        self._retain(self._topics.state, to_json(state), state.schema_)

    def publish_camera_status(self, status: CameraStatus) -> None:
        """Publish retained, now and at every later connection."""
        self._retain(self._topics.camera_status(status.view), to_json(status), status.schema_)

    def publish_document(self, topic: str, document: Mapping[str, Any]) -> None:
        """Publish a document for other systems, retained, now and at every later connection."""
        self._retain(topic, json.dumps(document, ensure_ascii=False).encode(), "")

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Publish retained, now and at every later connection; None clears the alarm."""
        payload = to_json(alarm) if alarm else b""
        self._retain(self._topics.alarm(name), payload, str(Alarm.model_fields["schema_"].default))

    def publish_metrics(self, metrics: Metrics) -> bool:
        """Send at QoS 0, now or never; return False without a connection, or for a broker that takes less."""
        live, payload = self._connection.live, to_json(metrics)
        if live is None:
            return False
        topic, properties = self._topics.metrics, self._properties.of(metrics.schema_)
        limit = self._connection.limits.packet_bytes
        if limit is not None and publish_bytes(topic, payload, properties) > limit:
            return False
        return live.wire.publish_once(topic, payload, properties=properties)

    def publish_reply(self, topic: str, reply: Reply, correlation: bytes) -> None:
        """Answer a command; without a connection, the reply is discarded."""
        properties = self._properties.of(reply.schema_)
        if properties and correlation:
            properties.CorrelationData = correlation
        found = self._publish(topic, to_json(reply), properties, key=REPLY)
        if isinstance(found, Oversize):
            logger.warning("%s: %d bytes, more than the broker takes (%d)", topic, found.size, found.limit)

    def _retain(self, topic: str, payload: bytes, schema: str) -> None:
        # Remembered first: a connection that comes up in between publishes it.
        self._documents.put(topic, (payload, schema))
        self._send_documents()

    def _send_documents(self) -> None:
        live = self._connection.live
        if live is not None:
            waiting = live.wire.unanswered
            self._documents.send(lambda: [sent.key for sent in waiting.all()], room=self.result_window)

    def _publish_document(self, topic: str, document: Document) -> None:
        payload, schema = document
        retain = self._connection.limits.retain
        found = self._publish(topic, payload, self._properties.of(schema), retain=retain)
        if isinstance(found, Oversize):
            self._watch.oversize(topic, found)

    def _publish(
        self,
        topic: str,
        payload: bytes,
        properties: Properties | None,
        *,
        retain: bool = False,
        key: str = "",
        decision_id: str = "",
    ) -> Receipt | Oversize | None:
        live = self._connection.live
        if live is None:
            return None
        limit = self._connection.limits.packet_bytes
        if limit is not None and (size := publish_bytes(topic, payload, properties)) > limit:
            return Oversize(size=size, limit=limit)
        info = live.wire.publish(
            topic, payload, key=key or topic, retain=retain, properties=properties, decision_id=decision_id
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return None
        return Receipt(connection=live.number, message_id=info.mid)

    def _prepare(self, client: paho.Client) -> None:
        will = self._properties.presence(PacketTypes.WILLMESSAGE)
        retain = self._connection.limits.retain
        client.will_set(self._topics.availability, b"offline", 1, retain=retain, properties=will)
        client.on_publish = on_publish
        client.on_subscribe = on_subscribe
        client.on_message = self._on_message

    def _greet(self, live: LiveConnection) -> None:
        self._accepted += 1
        self._documents.all_due()
        for topic_filter in self._subscriptions.filters:
            if self._connection.limits.wildcards or not set(topic_filter) & set("+#"):
                live.wire.subscribe(topic_filter)
        self._publish_availability(live.wire, "online")
        self._notify(Connected(connection=live.number))

    def _tend(self, live: LiveConnection) -> str:
        """Take the broker's answers, publish due documents; return why the connection is to be ended."""
        self._update_connection_alarm()
        self._watch.heed(self._connection.limits, self._subscriptions.filters)
        self._take_answers(live)
        trouble = self._watch.trouble(live.wire.unanswered)
        if not trouble:
            self._send_documents()
        return trouble

    def _take_answers(self, live: LiveConnection) -> None:
        for message_id, sent, reason_code in live.wire.answers():
            self._watch.take(sent, reason_code)
            receipt = Receipt(connection=live.number, message_id=message_id)
            self._notify(Confirmed(receipt=receipt, reason_code=reason_code))

    def _ended(self, live: LiveConnection) -> None:
        self._take_answers(live)
        keys, judged = self._watch.ended(live.wire.unanswered, stopping=self._stopping)
        self._notify(Lost(connection=live.number, in_flight=keys, judged=judged))

    def _update_connection_alarm(self) -> None:
        if not self._stopping:
            self._watch.refusals.connection(self.address, self._connection.problem)

    def _farewell(self, word: Availability, wire: SocketLoop) -> None:
        try:
            self._publish_availability(wire, word).wait_for_publish(_STOP_TIMEOUT_S)
        except (ValueError, RuntimeError):
            logger.debug("the connection went before '%s' was confirmed", word)

    def _publish_availability(self, wire: SocketLoop, word: Availability) -> paho.MQTTMessageInfo:
        topic, properties = self._topics.availability, self._properties.presence()
        retain = self._connection.limits.retain
        return wire.publish(topic, word.encode(), key=topic, retain=retain, properties=properties)

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._subscriptions.dispatch(message)

    def _on_availability(self, incoming: Incoming) -> None:
        """Publish ``online`` again: the will of an earlier connection may come after this one's greeting."""
        live = self._connection.live
        if incoming.retained or incoming.payload == b"online" or self._stopping or live is None:
            return
        self._publish_availability(live.wire, "online")

    def _on_alarm(self, incoming: Incoming) -> None:
        """Clear a retained alarm of an earlier session that does not stand now."""
        if incoming.retained and incoming.payload:
            schema = str(Alarm.model_fields["schema_"].default)
            self._documents.put_where_unknown(incoming.topic, (b"", schema))

    def _on_ack(self, incoming: Incoming) -> None:
        try:
            result_ids, problem = confirmed_ids(incoming.payload)
        except DataError as error:
            logger.warning("%s: ignored: %s", incoming.topic, error)
            return
        if problem:
            logger.warning(
                "%s: %d results are taken as confirmed: %s", incoming.topic, len(result_ids), problem
            )
        self._notify(Acked(result_ids=result_ids))

    def _notify(self, event: LinkEvent) -> None:
        if self._listener is not None:
            self._listener(event)
