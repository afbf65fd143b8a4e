"""Socket loop of one connection: one thread reads, and publishing threads write to the socket themselves."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MessageType, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.mqtt.broker.unanswered import Sent, Unanswered

__all__ = ["Answer", "SocketLoop", "on_publish", "on_subscribe"]

_QOS = 1
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: what the kernel has not sent is thrown away

Answer = tuple[int, Sent, int]
"""A message's id, what it was, and the broker's reason code for it."""


class SocketLoop:
    """A paho client that is driven by its interface for foreign event loops.

    A message that its network thread has to send first waits for that thread to wake up and to get the
    interpreter's lock: milliseconds where others are busy. Here it has left when ``publish`` returns.
    paho queues what is to be sent; one lock is held while the queue goes to the socket, since two threads
    that write to one socket tear packets. Nobody waits for another's callbacks.

    Args:
        client: as ``broker.new_client`` makes it, which leaves writing to us; callbacks get this as userdata.

    Attributes:
        unanswered: what the broker has not answered yet.
    """

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        self.unanswered = Unanswered()
        self._answers: deque[tuple[int, int]] = deque()
        self._unanswerable: set[int] = set()  # sent at QoS 0; paho says when they have left
        client.user_data_set(self)
        self._writing = threading.Lock()
        self._later = threading.local()  # threads that write when they are through
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        key: str,
        retain: bool = False,
        properties: Properties | None,
        decision_id: str = "",
    ) -> paho.MQTTMessageInfo:
        """Send a message at QoS 1; the reading thread sends what the socket does not take at once.

        A decision goes behind a ping. A broker that was stalled reads what it had received although the
        connection has been reset since, until an answer of its own fails: that is the one to the ping.

        Args:
            key: names what is sent, in ``unanswered``.
        """
        if decision_id:
            self.client._send_simple_command(MessageType.PINGREQ)  # noqa: SLF001 - paho pings only when idle
        sent_s = time.monotonic()
        info = self.client.publish(topic, payload, _QOS, retain, properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return info
        self.unanswered.add(
            info.mid, Sent(key=key, topic=topic, size=len(payload), sent_s=sent_s, decision_id=decision_id)
        )
        if not getattr(self._later, "on", False):
            info.rc = self._write(cork=bool(decision_id))
        if self._answers:  # another thread has sent it, and the answer was faster than this one
            self.wake()
        return info

    def publish_once(self, topic: str, payload: bytes, *, properties: Properties | None) -> bool:
        """Send a message at QoS 0, which nobody answers; return False where it was not sent."""
        with self._writing:  # so that nobody sends it before it is noted
            info = self.client.publish(topic, payload, 0, retain=False, properties=properties)
            if info.rc == paho.MQTT_ERR_SUCCESS:
                self._unanswerable.add(info.mid)
        return info.rc == paho.MQTT_ERR_SUCCESS and self._write() == paho.MQTT_ERR_SUCCESS

    def subscribe(self, topic_filter: str) -> None:
        """Subscribe to a topic at QoS 1; its answer is among the others, with the filter as key."""
        sent_s = time.monotonic()
        rc, message_id = self.client.subscribe(topic_filter, _QOS)
        if rc == paho.MQTT_ERR_SUCCESS and message_id is not None:
            sent = Sent(key=topic_filter, topic=topic_filter, size=0, sent_s=sent_s, subscribes=True)
            self.unanswered.add(message_id, sent)
            if not getattr(self._later, "on", False):
                self._write()

    def answered(self, message_id: int, reason_code: int) -> None:
        """Queue the broker's answer; called by paho, which holds a lock."""
        if message_id in self._unanswerable:
            self._unanswerable.discard(message_id)
            return
        self._answers.append((message_id, reason_code))

    def answers(self) -> list[Answer]:
        """Return the broker's answers since the last call."""
        now_s = time.monotonic()
        found: list[Answer] = []
        for _ in range(len(self._answers)):
            message_id, reason_code = self._answers.popleft()
            sent = self.unanswered.take(message_id, now_s)
            if sent is None:  # its sender comes to note it in a moment
                self._answers.append((message_id, reason_code))
            else:
                found.append((message_id, sent, reason_code))
        return found

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Return a context: what this thread publishes within it leaves in one piece."""
        with self._written_later():
            yield
        self._write(cork=True)

    def _write(self, *, cork: bool = False) -> MQTTErrorCode:
        with self._writing:
            if cork:
                self._cork(1)
            rc = self.client.loop_write()
            if cork:
                self._cork(0)
        if rc != paho.MQTT_ERR_SUCCESS or self.client.want_write():
            self.wake()
        return rc

    @contextlib.contextmanager
    def _written_later(self) -> Iterator[None]:
        self._later.on = True
        try:
            yield
        finally:
            self._later.on = False

    def disconnect(self) -> None:
        """Disconnect; the reading thread sends the packet and closes the socket."""
        self.client.disconnect()
        self.wake()

    def wake(self) -> None:
        """Wake ``listen``."""
        with contextlib.suppress(OSError):  # it has been woken already, or is gone
            self._waker.send(b"1")

    def listen(self, timeout_s: float) -> bool:
        """Wait for data and handle it; return False once the connection is gone."""
        sock = self.client.socket()
        if not isinstance(sock, socket.socket):
            return False
        ready = self._wait(sock, timeout_s)
        # OpenSSL's connections do not bear a thread that reads beside one that writes; sockets do.
        alone = self._writing if hasattr(sock, "pending") else contextlib.nullcontext()
        with alone, self._written_later():  # inside a callback, paho's locks are held
            rc = self.client.loop_read() if ready else paho.MQTT_ERR_SUCCESS
            if rc == paho.MQTT_ERR_SUCCESS:
                rc = self.client.loop_misc()
        if rc == paho.MQTT_ERR_SUCCESS and self.client.want_write():
            with self._writing:
                rc = self.client.loop_write()
        return rc == paho.MQTT_ERR_SUCCESS

    def reset(self) -> None:
        """Reset the connection when it is closed: nothing that is still on its way may arrive."""
        sock = self.client.socket()
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # gone already
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def close(self) -> None:
        """Close the connection, and release the wake-up socket."""
        sock = self.client.socket()
        if isinstance(sock, socket.socket):
            sock.close()
        self._woken.close()
        self._waker.close()

    def _cork(self, on: int) -> None:
        sock = self.client.socket()
        if isinstance(sock, socket.socket) and hasattr(socket, "TCP_CORK"):  # Linux
            with contextlib.suppress(OSError):  # the connection has gone; publishing says so
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def _wait(self, sock: socket.socket, timeout_s: float) -> bool:
        """Return True if there is something to read."""
        pending = getattr(sock, "pending", None)  # TLS may have read more than was asked for
        if pending is not None and pending():
            return True
        poll = select.poll()  # select would fail where the process has more than 1024 files open
        poll.register(sock, select.POLLIN | (select.POLLOUT if self.client.want_write() else 0))
        poll.register(self._woken, select.POLLIN)
        found = dict(poll.poll(timeout_s * 1000))
        if self._woken.fileno() in found:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        return bool(found.get(sock.fileno(), 0) & ~select.POLLOUT)


def on_publish(
    _client: paho.Client, loop: SocketLoop, message_id: int, reason: ReasonCode, _properties: Any
) -> None:
    """Pass the broker's answer to a message on; a callback of paho, whose user data is the loop."""
    loop.answered(message_id, reason.value)


def on_subscribe(
    _client: paho.Client, loop: SocketLoop, message_id: int, reasons: list[ReasonCode], _properties: Any
) -> None:
    """Pass the broker's answer to a subscription on; a callback of paho, whose user data is the loop."""
    loop.answered(message_id, max((reason.value for reason in reasons), default=0))
