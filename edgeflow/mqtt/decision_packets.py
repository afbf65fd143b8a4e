"""Decisions as MQTT messages: signed where wanted, with an expiry, and as one short line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from paho.mqtt.properties import Properties

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.message_parts.compact_decision import compact_decision
from edgeflow.contracts.messages import Decision, to_json
from edgeflow.contracts.sealing import seal
from edgeflow.contracts.topics import Topics
from edgeflow.mqtt.properties import MessageProperties
from edgeflow.security.shared_secrets import read_secret

__all__ = ["DecisionPackets", "Packet"]


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One message to publish."""

    topic: str
    payload: bytes
    properties: Properties | None


class DecisionPackets:
    """Makes the messages that carry a decision to the gate.

    Raises:
        ConfigError: the secret or key that signs decisions cannot be read.
    """

    def __init__(self, config: BoxConfig, topics: Topics, properties: MessageProperties) -> None:
        self._topics = topics
        self._properties = properties
        self._secret = read_secret(config.mqtt.seal)
        self._has_compact = config.decision.compact
        # Without expiry a broker could keep it for a sleeping subscriber and deliver it hours later.
        self._expiry_s = math.ceil(config.decision.valid_ms / 1000)

    def full(self, decision: Decision) -> Packet:
        """Return the decision as JSON."""
        properties = self._properties.per_part(
            decision.schema_, decision.session, expiry_s=self._expiry_s, seq=decision.seq
        )
        if self._secret is not None:
            signature = seal(decision.model_dump(mode="json", by_alias=True), self._secret)
            decision = decision.model_copy(update={"signature": signature})
        return Packet(topic=self._topics.decision, payload=to_json(decision), properties=properties)

    def compact(self, decision: Decision) -> Packet | None:
        """Return the decision as one short line; None where the box file does not ask for it."""
        if not self._has_compact:
            return None
        properties = self._properties.per_part(
            decision.schema_,
            decision.session,
            expiry_s=self._expiry_s,
            content_type="text/plain",
            seq=decision.seq,
        )
        topic = self._topics.compact_decision
        return Packet(topic=topic, payload=compact_decision(decision), properties=properties)
