"""One standing connection to the broker: a throw-away paho client each time, until stopped."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.broker import Settings, connect_failure, new_client, refusal
from edgeflow.config import MqttConfig
from edgeflow.errors import EdgeflowError
from edgeflow.thread_activity import working
from edgeflow.wire import Wire

__all__ = ["Connection", "Live"]

logger = logging.getLogger(__name__)

_SETTINGS = Settings(
    address="mqtt.host and mqtt.port",
    credentials="mqtt.username and mqtt.password_file (or password_env)",
    tls="mqtt.tls, mqtt.host (the name in the certificate) and mqtt.port",
    client_id="mqtt.client_id",
    version="mqtt.version",
)
_BACKOFF_S = (0.5, 5.0)
_ANSWER_TIMEOUT_S = 5.0
_JOIN_S = 1.0
_LOOP_S = 0.5
_SILENT_S = 60.0  # without a sign of life the network thread hangs; looking up a name may take half of it
_SHORT_S = 2.0
_SHORT_IN_A_ROW = 3
_LARGEST_PACKET = 1024 * 1024  # a broker that speaks MQTT 5 delivers none that is larger
_IN_FLIGHT = 20  # what Mosquitto announces; a broker that allows less is heeded


@dataclass(frozen=True, kw_only=True)
class Live:
    """An accepted connection, and its number among all attempts of this process."""

    wire: Wire
    number: int


class Connection:
    """Connects in a thread of its own, again and again; failures are logged once, and on change.

    paho keeps unacknowledged messages in memory and sends them again after a reconnection, which
    would replay decisions to the gate. So no client outlives its connection.

    Args:
        prepare: called with each new client before it connects: last will, message callbacks.
        greet: called on the network thread as soon as a connection is accepted.
    """

    def __init__(
        self,
        config: MqttConfig,
        client_id: str,
        *,
        prepare: Callable[[paho.Client], None],
        greet: Callable[[Live], None],
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._prepare = prepare
        self._greet = greet
        self._live: Live | None = None
        self._number = 0
        self._in_flight = _IN_FLIGHT
        self._problem = ""
        self._told = ""
        self._accepted_s = 0.0
        self._short_lives = 0
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def live(self) -> Live | None:
        """The connection that stands now, as far as is known."""
        return self._live

    @property
    def number(self) -> int:
        """Number of the latest attempt; right for callbacks, which run on the network thread."""
        return self._number

    @property
    def in_flight(self) -> int:
        """How many messages may await the broker's answer at once."""
        return self._in_flight

    @property
    def problem(self) -> str:
        """Why there is no connection; empty while there is one."""
        return self._problem

    def start(self) -> None:
        """Begin connecting; returns at once."""
        self._thread.start()

    def stop(self, farewell: Callable[[Wire], None]) -> None:
        """Call ``farewell`` if connected, then disconnect; a dead network delays it by seconds at most."""
        self._stopping.set()
        live = self._live
        if live is not None:
            farewell(live.wire)
            live.wire.disconnect()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_S)
            self._abandoned.set()
            self._thread.join(_JOIN_S)

    def _run(self) -> None:
        backoff_s = _BACKOFF_S[0]
        while not self._stopping.is_set():
            working(_SILENT_S)
            if self._one_connection():
                backoff_s = _BACKOFF_S[0]
            if self._stopping.wait(backoff_s):
                return
            backoff_s = min(2 * backoff_s, _BACKOFF_S[1])

    def _one_connection(self) -> bool:
        """Connect and serve until the connection is gone; False when it never came about."""
        self._number += 1
        try:
            with contextlib.closing(Wire(self._new_client())) as wire:
                self._connect(wire.client)
                return self._serve(wire)
        except EdgeflowError as cause:
            self._report(str(cause))
        except (OSError, ValueError) as cause:
            self._report(connect_failure(cause, _SETTINGS))
        except Exception:  # whatever a broker's packet does to paho, the box must come back
            logger.exception("MQTT broker %s: the connection failed unexpectedly", self._where)
        finally:
            self._live = None
        return False

    def _new_client(self) -> paho.Client:
        client = new_client(self._config, self._client_id)
        client.max_inflight_messages_set(self._in_flight)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        self._prepare(client)
        return client

    def _connect(self, client: paho.Client) -> None:
        clean_start = True if self._config.version == "5" else paho.MQTT_CLEAN_START_FIRST_ONLY
        client.connect(
            self._config.host,
            self._config.port,
            self._config.keepalive_s,
            clean_start=clean_start,
            properties=_limits() if self._config.version == "5" else None,
        )

    def _serve(self, wire: Wire) -> bool:
        answer_by = time.monotonic() + _ANSWER_TIMEOUT_S
        accepted = False
        while not self._abandoned.is_set() and wire.listen(_LOOP_S):
            working(_SILENT_S)
            accepted = accepted or self._live is not None
            if not accepted and time.monotonic() > answer_by:
                self._report(f"accepts connections but does not speak MQTT; check {_SETTINGS.address}")
                return False
        return accepted

    def _on_connect(
        self,
        client: paho.Client,
        wire: Wire,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._report(refusal(reason, _SETTINGS))
            return
        limit = getattr(properties, "ReceiveMaximum", self._in_flight)
        if limit < self._in_flight or self._stopping.is_set():
            self._in_flight = min(limit, self._in_flight)  # which paho learns only before it connects
            client.disconnect()
            return
        self._problem = ""
        self._accepted_s = time.monotonic()
        logger.info("MQTT broker %s: connected as %s", self._where, self._client_id)
        self._live = Live(wire=wire, number=self._number)
        self._greet(self._live)

    def _on_disconnect(
        self, _client: paho.Client, wire: Wire, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        live = self._live
        if live is not None and live.wire is not wire:
            return  # told by a thread that published on an earlier connection
        was_live, self._live = live is not None, None
        if was_live and not self._stopping.is_set():
            from_broker = flags.is_disconnect_packet_from_server
            self._report(refusal(reason, _SETTINGS) if from_broker else self._lost())

    def _lost(self) -> str:
        """Why a connection may have gone without a word from the broker."""
        if time.monotonic() - self._accepted_s >= _SHORT_S:
            self._short_lives, self._told = 0, ""
            return "connection lost; trying again"
        self._short_lives += 1
        if self._short_lives < _SHORT_IN_A_ROW:
            return "connection lost soon after it stood; trying again"
        return (
            "connection lost again and again soon after it stood; does another client use the id "
            f"'{self._client_id}'? check {_SETTINGS.client_id}"
        )

    def _report(self, problem: str) -> None:
        """Log a problem once, and again when it changes or after a while without one."""
        self._problem = problem
        if problem != self._told:
            self._told = problem
            logger.warning("MQTT broker %s: %s", self._where, problem)

    @property
    def _where(self) -> str:
        return f"{self._config.host}:{self._config.port}"


def _limits() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = _LARGEST_PACKET
    return properties
