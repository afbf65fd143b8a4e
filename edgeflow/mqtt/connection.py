"""Connection to the broker: made again and again until stopped, with a new paho client each time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.change_log import ChangeLog
from edgeflow.config.delivery import BrokerConfig
from edgeflow.errors import EdgeflowError
from edgeflow.mqtt.broker.answers import RETAIN_NOT_SUPPORTED, Settings, closed_early, no_mqtt, refusal
from edgeflow.mqtt.broker.limits import BrokerLimits, limits_of
from edgeflow.mqtt.client import connect_failure, new_client
from edgeflow.mqtt.socket_loop import SocketLoop
from edgeflow.thread_activity import working

__all__ = ["Connection", "LiveConnection", "next_step"]

logger = logging.getLogger(__name__)

_SETTINGS = Settings(
    address="mqtt.host and mqtt.port",
    credentials="mqtt.username and mqtt.password_file (or password_env)",
    tls="mqtt.tls, mqtt.host (the name in the certificate) and mqtt.port",
    client_id="mqtt.client_id",
    version="mqtt.version",
)
# At once after a connection that stood for a while; soon after a few that did not, as decisions wait.
_BACKOFF_S = (0.0, 0.1, 0.1, 0.1, 0.5, 0.5, 1.0, 1.0, 2.0)  # the gate gets no decision meanwhile
_SHORT_STEP = 4  # after connections that stand, but not for long, the pause grows no further
_ANSWER_TIMEOUT_S = 5.0
_JOIN_S = 1.0
_LOOP_S = 0.5
_SILENT_S = 60.0  # without a sign of life the network thread hangs; looking up a name may take half of it
_NO_ANSWER = 0x8D  # keep-alive time-out
_SHORT_S = 2.0
_SHORT_IN_A_ROW = 3
_LARGEST_PACKET = 1024 * 1024  # a broker that speaks MQTT 5 delivers none that is larger

_End = Literal["never stood", "stalled", "short", "long"]


@dataclass(frozen=True, kw_only=True)
class LiveConnection:
    """An accepted connection with its number among all attempts of this process."""

    wire: SocketLoop
    number: int


class Connection:
    """Connects again and again in a thread of its own; a failure is logged once, and when it changes.

    paho keeps unacknowledged messages in memory and sends them again after a reconnection, which
    would replay decisions to the gate. So no client outlives its connection.

    The pause before the next attempt grows while connections do not come about or stall.

    Args:
        prepare: called with each new client before it connects: last will, message callbacks.
        greet: called on the network thread as soon as a connection is accepted.
        tend: called on the network thread again and again while a connection stands; a text ends it, and
            says why. Then nothing that is still on its way arrives any more.
        ended: called on the network thread when a connection that stood is gone.
        problem_changed: called on the network thread when ``problem`` may have changed.
    """

    def __init__(
        self,
        config: BrokerConfig,
        client_id: str,
        *,
        prepare: Callable[[paho.Client], None],
        greet: Callable[[LiveConnection], None],
        tend: Callable[[LiveConnection], str],
        ended: Callable[[LiveConnection], None],
        problem_changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._prepare, self._greet, self._tend, self._ended = prepare, greet, tend, ended
        self._problem_changed = problem_changed
        self._wire: SocketLoop | None = None  # of this attempt
        self._live: LiveConnection | None = None
        self._stood: LiveConnection | None = None  # the same until its end is dealt with
        self._number = 0
        self._limits = BrokerLimits()
        self._problem = "not connected yet"
        self._problems = ChangeLog(logger, f"MQTT broker {self._where}: ")
        self._explained = False  # this attempt's failure has been reported
        self._accepted_s = 0.0
        self._short_lives = 0
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def live(self) -> LiveConnection | None:
        """The connection that stands now, as far as is known."""
        return self._live

    @property
    def number(self) -> int:
        """Number of the latest attempt; right for callbacks, which run on the network thread."""
        return self._number

    @property
    def limits(self) -> BrokerLimits:
        """Limits of this broker, as far as they are known."""
        return self._limits

    @property
    def problem(self) -> str:
        """Reason why there is no connection; empty while there is one."""
        return self._problem

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def stop(self, farewell: Callable[[SocketLoop], None]) -> None:
        """Call ``farewell`` if connected, then disconnect; takes a few seconds at most."""
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
        step = 0
        while not self._stopping.is_set():
            working(_SILENT_S)
            end = self._one_connection()
            step = next_step(end, step)
            if step:  # else it may be back before anybody has noticed
                self._problem_changed()
            if self._stopping.wait(_BACKOFF_S[step]):
                return

    def _one_connection(self) -> _End:
        """Connect and serve until the connection is gone; return how it ended."""
        self._number += 1
        self._explained, self._stood = False, None
        self._wire = wire = None
        try:
            self._wire = wire = SocketLoop(self._new_client())
            self._connect(wire.client)
            return self._serve(wire)
        except EdgeflowError as cause:
            self._report(str(cause))
        except (OSError, ValueError) as cause:
            self._report(connect_failure(cause, _SETTINGS))
        except Exception as cause:  # whatever a broker's packet does to paho, the box must come back
            logger.debug("MQTT broker %s: not understood", self._where, exc_info=True)
            self._report(
                f"sends what is not understood ({type(cause).__name__}: {cause}); "
                f"check {_SETTINGS.address} and {_SETTINGS.version}"
            )
        finally:
            self._live = None
            if wire is not None:
                self._close(wire)
        return "never stood" if self._stood is None else self._age()

    def _close(self, wire: SocketLoop) -> None:
        if self._stood is None:
            wire.reset()  # a broker that stalls must not find a greeting of long ago
        wire.close()
        if self._stood is not None:
            self._ended(self._stood)

    def _age(self) -> _End:
        return "long" if time.monotonic() - self._accepted_s >= _SHORT_S else "short"

    def _new_client(self) -> paho.Client:
        client = new_client(self._config, self._client_id)
        client.max_inflight_messages_set(self._limits.in_flight)
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

    def _serve(self, wire: SocketLoop) -> _End:
        answer_by = time.monotonic() + _ANSWER_TIMEOUT_S
        while not self._abandoned.is_set() and wire.listen(_LOOP_S):
            working(_SILENT_S)
            live = self._live
            if live is not None:
                trouble = self._tend(live)
                if trouble:
                    self._live = None
                    wire.reset()
                    self._report(trouble)
                    return "stalled"
            elif self._stood is None and time.monotonic() > answer_by:
                self._report(no_mqtt(_SETTINGS))
                return "never stood"
        return "never stood" if self._stood is None else self._age()

    def _on_connect(
        self,
        client: paho.Client,
        wire: SocketLoop,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        known = self._limits
        if reason.is_failure:
            if reason.value == RETAIN_NOT_SUPPORTED:
                self._limits = limits_of(properties, in_flight=known.in_flight, retain=False)
            self._report(refusal(reason, _SETTINGS, properties))
            return
        self._limits = limits_of(properties, in_flight=known.in_flight, retain=known.retain)
        if self._limits.in_flight < known.in_flight or self._stopping.is_set():
            self._explained = True  # paho learns how many may be in flight only before it connects
            client.disconnect()
            return
        self._problem = ""
        self._accepted_s = time.monotonic()
        logger.info("MQTT broker %s: connected as %s", self._where, self._client_id)
        self._live = self._stood = LiveConnection(wire=wire, number=self._number)
        self._explained = False
        self._greet(self._live)

    def _on_disconnect(
        self, _client: paho.Client, wire: SocketLoop, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if wire is not self._wire:
            return  # reported by a thread that published on an earlier connection
        self._live = None
        if self._stopping.is_set() or self._explained:
            return
        if flags.is_disconnect_packet_from_server:
            self._report(refusal(reason, _SETTINGS, properties))
        elif self._stood is not None:
            self._report(self._lost())
        elif reason.value == _NO_ANSWER:  # paho's own time-out, not the broker's answer
            self._report(no_mqtt(_SETTINGS))
        else:
            self._report(closed_early(_SETTINGS))

    def _lost(self) -> str:
        """Return why a connection may have ended without an answer from the broker."""
        if time.monotonic() - self._accepted_s >= _SHORT_S:
            self._short_lives = 0
            self._problems.clear()
            return "connection lost; trying again"
        self._short_lives += 1
        if self._short_lives < _SHORT_IN_A_ROW:
            return "connection lost soon after it stood; trying again"
        return (
            "connection lost again and again soon after it stood; does another client use the id "
            f"'{self._client_id}'? check {_SETTINGS.client_id}"
        )

    def _report(self, problem: str) -> None:
        """Log a problem when it is new, or comes after a while without one."""
        self._problem, self._explained = problem, True
        self._problems.report(problem)

    @property
    def _where(self) -> str:
        return f"{self._config.host}:{self._config.port}"


def next_step(end: _End, step: int) -> int:
    """Return the index of the pause before the next attempt."""
    if end == "long":
        return 0
    return min(step + 1, _SHORT_STEP if end == "short" else len(_BACKOFF_S) - 1)


def _limits() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.MaximumPacketSize = _LARGEST_PACKET
    return properties
