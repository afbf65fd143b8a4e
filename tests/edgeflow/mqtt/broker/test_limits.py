"""The limits in a CONNACK, and the size of a packet as the broker counts it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeflow.mqtt.broker.limits import BrokerLimits, limits_of, publish_bytes
from edgeflow.mqtt.properties import PublishProperties


def connack(**values: int) -> Properties:
    properties = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def test_what_is_not_announced_is_not_limited() -> None:
    assert limits_of(None, in_flight=20, retain=True) == BrokerLimits()
    assert limits_of(connack(), in_flight=20, retain=True) == BrokerLimits()


def test_every_announced_limit_is_heeded() -> None:
    said = connack(
        MaximumPacketSize=4000, ReceiveMaximum=5, RetainAvailable=0, WildcardSubscriptionAvailable=0
    )
    found = limits_of(said, in_flight=20, retain=True)
    assert found == BrokerLimits(packet_bytes=4000, in_flight=5, retain=False, wildcards=False)


def test_what_is_known_from_before_is_only_lowered() -> None:
    assert limits_of(connack(ReceiveMaximum=65535), in_flight=5, retain=False) == BrokerLimits(
        in_flight=5, retain=False
    )


@pytest.mark.parametrize("payload", [0, 1, 100, 120, 121, 122, 127, 128, 16_000, 16_383, 16_384, 2_097_152])
@pytest.mark.parametrize("version_5", [True, False])
def test_a_packet_has_the_size_that_paho_sends(payload: int, version_5: bool) -> None:
    import socket

    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion

    properties = PublishProperties({"schema": "s", "seq": 3}, content_type="x") if version_5 else None
    protocol = paho.MQTTv5 if version_5 else paho.MQTTv311
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
    with socket.create_server(("127.0.0.1", 0)) as server:
        client.connect("127.0.0.1", server.getsockname()[1])
        client.on_socket_register_write = lambda *_: None
        client._out_packet.clear()
        client.publish("a/b", b"x" * payload, 1, properties=properties)
        (packet,) = client._out_packet
        assert publish_bytes("a/b", b"x" * payload, properties) == len(packet["packet"])
        client.socket().close()


@given(st.text(max_size=20), st.binary(max_size=300))
def test_a_longer_payload_is_a_larger_packet(topic: str, payload: bytes) -> None:
    assert publish_bytes(topic, payload + b"x", None) > publish_bytes(topic, payload, None)
