"""Properties that are packed by hand are those that paho would pack."""

from __future__ import annotations

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeflow.config.box import MqttConfig
from edgeflow.mqtt.properties import MessageProperties, PublishProperties


def unpacked(properties: Properties | None) -> dict[str, object]:
    """Return the properties that a receiver reads."""
    assert properties is not None
    received = Properties(PacketTypes.PUBLISH)
    packed = properties.pack()
    _, length = received.unpack(packed)
    assert length == len(packed)
    return {name: value for name, value in received.json().items() if value is not None}


def mqtt(version: str = "5") -> MqttConfig:
    return MqttConfig.model_validate({"host": "broker", "version": version})


@pytest.mark.parametrize("size", [0, 1, 100, 113, 114, 200, 20_000])
def test_what_is_packed_is_read_back(size: int) -> None:
    packed = PublishProperties({"name": "x" * size, "ä": 7}, content_type="text/plain", expiry_s=70_000)
    assert unpacked(packed) == {
        "UserProperty": [("name", "x" * size), ("ä", "7")],
        "ContentType": "text/plain",
        "MessageExpiryInterval": 70_000,
    }


def test_what_is_not_given_is_not_sent() -> None:
    assert unpacked(PublishProperties({"a": "b"})) == {"UserProperty": [("a", "b")]}
    assert PublishProperties({}).pack() == b"\0"
    assert unpacked(PublishProperties({}, expiry_s=0)) == {"MessageExpiryInterval": 0}


def test_messages_of_a_part_name_schema_session_and_number() -> None:
    made = MessageProperties(mqtt(), "own")
    assert unpacked(made.per_part("edgeflow/decision/1", "s-1", expiry_s=2, seq=7)) == {
        "UserProperty": [("schema", "edgeflow/decision/1"), ("session", "s-1"), ("seq", "7")],
        "ContentType": "application/json",
        "MessageExpiryInterval": 2,
    }
    assert unpacked(made.per_part("s", "t", content_type="text/plain"))["ContentType"] == "text/plain"


def test_other_messages_name_the_boxs_own_session() -> None:
    made = MessageProperties(mqtt(), "own")
    found = unpacked(made.of("edgeflow/state/1", box="b"))
    assert found["ContentType"] == "application/json"
    assert sorted(found["UserProperty"]) == [  # type: ignore[call-overload]
        ("box", "b"), ("schema", "edgeflow/state/1"), ("session", "own"),
    ]  # fmt: skip
    assert unpacked(made.presence()) == {"UserProperty": [("session", "own")]}
    will = made.presence(PacketTypes.WILLMESSAGE)
    assert will is not None
    assert will.packetType == PacketTypes.WILLMESSAGE


def test_mqtt_3_has_none() -> None:
    made = MessageProperties(mqtt("3.1.1"), "own")
    assert made.per_part("s", "t", expiry_s=2) is None
    assert made.of("s") is None
    assert made.presence() is None
