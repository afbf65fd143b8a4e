"""What the box says and hears over MQTT: decisions, results, retained documents, consumers' acks."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.broker import check_files, message_properties
from edgeflow.config import BoxConfig
from edgeflow.connection import Connection, Live
from edgeflow.contracts.commands import Reply
from edgeflow.contracts.messages import (
    Ack,
    Alarm,
    Availability,
    Birth,
    CameraStatus,
    Decision,
    State,
    from_json,
    to_json,
)
from edgeflow.contracts.sealing import seal
from edgeflow.contracts.topics import Topics
from edgeflow.errors import ConfigError, DataError
from edgeflow.link_events import Acked, Confirmed, Connected, LinkEvent, Receipt
from edgeflow.publish_properties import PublishProperties
from edgeflow.sealing_secret import read_secret
from edgeflow.subscriptions import Handler, Incoming, Subscriptions
from edgeflow.wire import Wire

__all__ = ["MqttLink"]

logger = logging.getLogger(__name__)

_QOS = 1
_STOP_TIMEOUT_S = 2.0
_RESERVE = 8  # messages in flight that results leave free, so that a decision never waits behind them
_MAX_ACK_BYTES = 256_000


class MqttLink:
    """Publishes for one box; publishing never blocks, and never raises for want of a connection.

    Args:
        session: this run of the box; rides in every message's user properties (MQTT 5).
    """

    def __init__(self, config: BoxConfig, session: str) -> None:
        self._config = config.mqtt
        self._topics = Topics(root=config.topic_root)
        self._decision_expiry_s = math.ceil(config.decision.valid_ms / 1000)
        self._session = session
        self._secret = read_secret(config.mqtt.seal)
        self._retained: dict[str, tuple[bytes, str]] = {}
        self._listener: Callable[[LinkEvent], None] | None = None
        self._unsent = 0
        self._subscriptions = Subscriptions()
        self._stopping = False
        self.subscribe(self._topics.availability, self._on_availability, max_bytes=64)
        self.subscribe(self._topics.alarm("+"), self._on_alarm, max_bytes=_MAX_ACK_BYTES)
        self.subscribe(self._topics.result_ack, self._on_ack, max_bytes=_MAX_ACK_BYTES)
        self._connection = Connection(
            config.mqtt, config.device_name, prepare=self._prepare, greet=self._greet
        )

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted a connection that still stands, as far as is known."""
        return self._connection.live is not None

    @property
    def connection_number(self) -> int | None:
        """Number of the connection that stands, among all attempts; None where none stands."""
        live = self._connection.live
        return live.number if live is not None else None

    @property
    def problem(self) -> str:
        """Why there is no connection; empty while there is one."""
        return self._connection.problem

    @property
    def decisions_unsent(self) -> int:
        """Decisions that found no connection; they are gone."""
        return self._unsent

    @property
    def result_window(self) -> int:
        """How many results may be in flight at once."""
        return max(1, self._connection.in_flight - _RESERVE)

    def listen(self, listener: Callable[[LinkEvent], None]) -> None:
        """Tell ``listener`` of connections, confirmations and acks, on the network thread.

        It must neither block nor take a lock that is held while publishing; ``SimpleQueue.put`` is fine.
        """
        self._listener = listener

    def subscribe(self, topic_filter: str, handler: Handler, *, max_bytes: int) -> None:
        """Hear a topic at QoS 1; call before ``start``. See ``subscriptions.Handler`` for what it may do."""
        self._subscriptions.add(topic_filter, handler, max_bytes=max_bytes)

    def start(self) -> None:
        """Begin connecting, in the background; an unreachable broker is logged and tried again.

        Raises:
            ConfigError: a file of the ``mqtt`` section is missing, or the topic root is none.
        """
        if not self._topics.root or set(self._topics.root) & set("+#\x00"):
            raise ConfigError(f"mqtt.root: {self._topics.root!r} is not a topic; wildcards are not allowed")
        check_files(self._config)
        self._connection.start()

    def stop(self, word: Availability = "stopped") -> None:
        """Say ``word`` and disconnect; takes a few seconds at most, whatever the network does."""
        self._stopping = True
        self._connection.stop(partial(self._farewell, word))

    def publish_decision(self, decision: Decision) -> bool:
        """Send a decision now or never: False (and counted) without a connection; never blocks."""
        # Without expiry a broker could keep it for a sleeping subscriber and deliver it hours later.
        properties = self._often(
            decision.schema_, decision.session, expiry_s=self._decision_expiry_s, seq=decision.seq
        )
        if self._secret is not None:
            signature = seal(decision.model_dump(mode="json", by_alias=True), self._secret)
            decision = decision.model_copy(update={"signature": signature})
        sent = self._publish(self._topics.decision, to_json(decision), properties)
        if sent is None:
            self._unsent += 1
        return sent is not None

    def together(self) -> AbstractContextManager[None]:
        """Results published within leave in one piece."""
        live = self._connection.live
        return live.wire.together() if live is not None else nullcontext()

    def publish_result(
        self, payload: bytes, *, schema: str, session: str, seq: int, replayed: bool
    ) -> Receipt | None:
        """Send a result record; None without a connection. Never blocks."""
        properties = self._often(schema, session, seq=seq, replayed=str(replayed).lower())
        return self._publish(self._topics.result, payload, properties)

    def publish_dropped(self, payload: bytes, *, schema: str, replayed: bool) -> Receipt | None:
        """Send a record of results that were given up; as with a result."""
        properties = self._properties(schema, self._session, replayed=str(replayed).lower())
        return self._publish(self._topics.dropped, payload, properties)

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
        """Publish what other systems want to be told, retained, now and at every later connection."""
        self._retain(topic, json.dumps(document, ensure_ascii=False).encode(), "")

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Publish retained, now and at every later connection; None clears, now and then too."""
        payload = to_json(alarm) if alarm else b""
        self._retain(self._topics.alarm(name), payload, str(Alarm.model_fields["schema_"].default))

    def publish_reply(self, topic: str, reply: Reply, correlation: bytes) -> None:
        """Answer a command; without a connection, nobody waits for it any more."""
        properties = self._properties(reply.schema_, reply.session)
        if properties and correlation:
            properties.CorrelationData = correlation
        self._publish(topic, to_json(reply), properties)

    def _retain(self, topic: str, payload: bytes, schema: str) -> None:
        # Remembered first: a connection that comes up in between publishes it.
        self._retained[topic] = (payload, schema)
        self._publish_latest(topic)

    def _publish(
        self, topic: str, payload: bytes, properties: Properties | None, *, retain: bool = False
    ) -> Receipt | None:
        live = self._connection.live
        if live is None:
            return None
        info = live.wire.publish(topic, payload, _QOS, retain=retain, properties=properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return None
        return Receipt(connection=live.number, message_id=info.mid)

    def _prepare(self, client: paho.Client) -> None:
        will = self._session_only(PacketTypes.WILLMESSAGE)
        client.will_set(self._topics.availability, b"offline", _QOS, retain=True, properties=will)
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def _greet(self, live: Live) -> None:
        self._subscriptions.subscribe_all(live.wire.client)
        self._say(live.wire, "online")
        for topic in list(self._retained):
            self._publish_latest(topic)
        self._tell(Connected(connection=live.number))

    def _publish_latest(self, topic: str) -> None:
        """Publish what is remembered, again if another thread changes it meanwhile: the last one stays."""
        while True:
            latest = self._retained[topic]
            self._publish(topic, latest[0], self._properties(latest[1], self._session), retain=True)
            if self._retained[topic] is latest:
                return

    def _farewell(self, word: Availability, wire: Wire) -> None:
        try:
            self._say(wire, word).wait_for_publish(_STOP_TIMEOUT_S)
        except (ValueError, RuntimeError):
            logger.debug("the connection went before '%s' was confirmed", word)

    def _say(self, wire: Wire, word: Availability) -> paho.MQTTMessageInfo:
        properties = self._session_only()
        return wire.publish(
            self._topics.availability, word.encode(), _QOS, retain=True, properties=properties
        )

    def _often(
        self, schema: str, session: str, *, expiry_s: int | None = None, **more: object
    ) -> Properties | None:
        """The same for what is sent with every part."""
        if self._config.version != "5":
            return None
        user = {"schema": schema, "session": session, **more}
        return PublishProperties(user, content_type="application/json", expiry_s=expiry_s)

    def _properties(self, schema: str, session: str, **more: object) -> Properties | None:
        user = {"schema": schema, "session": session, **more}
        return message_properties(self._config, user, content_type="application/json")

    def _session_only(self, kind: int = PacketTypes.PUBLISH) -> Properties | None:
        """For availability: the session tells a late will from the present run's word."""
        return message_properties(self._config, {"session": self._session}, kind=kind)

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        receipt = Receipt(connection=self._connection.number, message_id=message_id)
        self._tell(Confirmed(receipt=receipt, reason_code=reason.value))

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._subscriptions.dispatch(message)

    def _on_availability(self, incoming: Incoming) -> None:
        """The will of an earlier connection may come after this one's greeting: say once more who is here."""
        live = self._connection.live
        if incoming.retained or incoming.payload == b"online" or self._stopping or live is None:
            return
        self._say(live.wire, "online")

    def _on_alarm(self, incoming: Incoming) -> None:
        """What the broker kept of an earlier session, and does not stand now, is over."""
        if incoming.retained and incoming.payload:
            schema = str(Alarm.model_fields["schema_"].default)
            self._retained.setdefault(incoming.topic, (b"", schema))
            self._publish_latest(incoming.topic)

    def _on_ack(self, incoming: Incoming) -> None:
        try:
            ack = from_json(Ack, incoming.payload)
        except DataError as problem:
            logger.warning("%s: ignored: %s", incoming.topic, problem)
            return
        self._tell(Acked(result_ids=ack.result_ids))

    def _tell(self, event: LinkEvent) -> None:
        if self._listener is not None:
            self._listener(event)
