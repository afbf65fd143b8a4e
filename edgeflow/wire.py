"""One connection's client: a thread of its own listens, and whoever publishes writes to the socket itself."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties

__all__ = ["Wire"]


class Wire:
    """A paho client that is driven by its interface for foreign event loops.

    A message that its network thread has to send first waits for that thread to wake up and to get the
    interpreter's lock: milliseconds where others are busy. Here it has left when ``publish`` returns.
    paho queues what is to be sent; one lock is held while the queue goes to the socket, since two threads
    that write to one socket tear packets. Nobody waits for another's callbacks.

    Args:
        client: as ``broker.new_client`` makes it, which leaves writing to us; callbacks get this as userdata.
    """

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        client.user_data_set(self)
        self._writing = threading.Lock()
        self._later = threading.local()  # threads that write when they are through
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)

    def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, properties: Properties | None
    ) -> paho.MQTTMessageInfo:
        """Send a message; what the socket does not take at once is left to the listening thread."""
        info = self.client.publish(topic, payload, qos, retain, properties)
        if info.rc == paho.MQTT_ERR_SUCCESS and not getattr(self._later, "on", False):
            info.rc = self._write()
        return info

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What this thread publishes within leaves in one piece: it wakes the broker once."""
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
        """Say goodbye; the listening thread sends it and closes the socket."""
        self.client.disconnect()
        self.wake()

    def wake(self) -> None:
        """Let ``listen`` look again."""
        with contextlib.suppress(OSError):  # it has been woken already, or is gone
            self._waker.send(b"1")

    def listen(self, timeout_s: float) -> bool:
        """Wait for the broker's word at most so long, and take it in; False once the connection is gone."""
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

    def close(self) -> None:
        """Release what is not paho's."""
        self._woken.close()
        self._waker.close()

    def _cork(self, on: int) -> None:
        sock = self.client.socket()
        if isinstance(sock, socket.socket) and hasattr(socket, "TCP_CORK"):  # Linux
            with contextlib.suppress(OSError):  # the connection has gone; publishing says so
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, on)

    def _wait(self, sock: socket.socket, timeout_s: float) -> bool:
        """Whether there is something to read."""
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
