"""MQTT 5 properties of outgoing messages, packed as they are made."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from edgeflow.config.delivery import MqttConfig

__all__ = ["MessageProperties", "PublishProperties"]

_EXPIRY, _CONTENT_TYPE, _USER = b"\x02", b"\x03", b"\x26"  # MQTT 5, 2.2.2.2


class PublishProperties(Properties):
    """Properties of a PUBLISH packet, packed without paho's slow look-up of every name."""

    def __init__(
        self, user: Mapping[str, object], *, content_type: str | None = None, expiry_s: int | None = None
    ) -> None:
        # Not the base's: it builds those lists anew for every message.
        parts = [_USER + _text(name) + _text(str(value)) for name, value in user.items()]
        if content_type is not None:
            parts.append(_CONTENT_TYPE + _text(content_type))
        if expiry_s is not None:
            parts.append(_EXPIRY + struct.pack("!I", expiry_s))
        body = b"".join(parts)
        object.__setattr__(self, "packetType", PacketTypes.PUBLISH)
        object.__setattr__(self, "_packed", _length(len(body)) + body)

    def pack(self) -> bytes:
        """Return the bytes in the packet."""
        packed: bytes = self.__dict__["_packed"]
        return packed


class MessageProperties:
    """Makes the properties of one session's messages; None with MQTT 3.1.1."""

    def __init__(self, config: MqttConfig, session: str) -> None:
        self._config = config
        self._session = session

    def per_part(
        self,
        schema: str,
        session: str,
        *,
        expiry_s: int | None = None,
        content_type: str = "application/json",
        **more: object,
    ) -> Properties | None:
        """Return the properties of a message that is sent with every part."""
        if self._config.version != "5":
            return None
        user = {"schema": schema, "session": session, **more}
        return PublishProperties(user, content_type=content_type, expiry_s=expiry_s)

    def of(self, schema: str, **more: object) -> Properties | None:
        """Return the properties of any other message."""
        user = {"schema": schema, "session": self._session, **more}
        return _message_properties(self._config, user, content_type="application/json")

    def presence(self, kind: int = PacketTypes.PUBLISH) -> Properties | None:
        """Return the properties for availability: the session tells a late will from the present message."""
        return _message_properties(self._config, {"session": self._session}, kind=kind)


def _length(size: int) -> bytes:
    encoded: bytes = VariableByteIntegers.encode(size)  # type: ignore[no-untyped-call]
    return encoded


@functools.lru_cache(maxsize=512)  # names, schemas and sessions come with every message
def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _message_properties(
    config: MqttConfig,
    user: Mapping[str, object],
    *,
    content_type: str | None = None,
    kind: int = PacketTypes.PUBLISH,
) -> Properties | None:
    """Return the MQTT 5 properties of one message, user properties as text; None for MQTT 3.1.1."""
    if config.version != "5":
        return None
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    properties.UserProperty = [(name, str(value)) for name, value in user.items()]
    if content_type:
        properties.ContentType = content_type
    return properties
