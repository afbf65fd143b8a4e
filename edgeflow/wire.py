"""One connection's client: a thread of its own listens, and whoever publishes writes to the socket itself."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties

__all__ = ["Wire"]


class Wire:
    """A paho client that is driven by its interface for foreign event loops.

    A message that its network thread has to send first waits for that thread to wake up and to get the
    interpreter's lock: milliseconds where others are busy. Here it has left when ``publish`` returns. One
    lock keeps writers apart, since two that write to one socket tear packets; it is also held while
    paho's callbacks run, so these take no lock that is held while publishing.

    Args:
        client: as ``broker.new_client`` makes it, which leaves writing to us; callbacks get this as userdata.
    """

    def __init__(self, client: paho.Client) -> None:
        self.client = client
        client.user_data_set(self)
        self._lock = threading.RLock()
        self._listening = False  # inside a callback, where paho must not write: it could call another one
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)

    def publish(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, properties: Properties | None
    ) -> paho.MQTTMessageInfo:
        """Send a message; what the socket does not take at once is left to the listening thread."""
        with self._lock:
            info = self.client.publish(topic, payload, qos, retain, properties)
            if not self._listening and info.rc == paho.MQTT_ERR_SUCCESS:
                info.rc = self.client.loop_write()
                if info.rc != paho.MQTT_ERR_SUCCESS or self.client.want_write():
                    self.wake()
        return info

    def disconnect(self) -> None:
        """Say goodbye; the listening thread sends it and closes the socket."""
        with self._lock:
            self.client.disconnect()
        self.wake()

    def wake(self) -> None:
        """Let ``listen`` look again."""
        with contextlib.suppress(OSError):  # it has been woken already, or is gone
            self._waker.send(b"1")

    def listen(self, timeout_s: float) -> bool:
        """Wait for the broker's word at most so long, and take it in; False once the connection is gone."""
        sock = self.client.socket()
        if sock is None:
            return False
        ready = self._wait(sock, timeout_s)
        with self._lock:
            self._listening = True
            try:
                rc = self.client.loop_read() if ready else paho.MQTT_ERR_SUCCESS
                if rc == paho.MQTT_ERR_SUCCESS:
                    rc = self.client.loop_misc()
            finally:
                self._listening = False
            if rc == paho.MQTT_ERR_SUCCESS and self.client.want_write():
                rc = self.client.loop_write()
        return rc == paho.MQTT_ERR_SUCCESS

    def close(self) -> None:
        """Release what is not paho's."""
        self._woken.close()
        self._waker.close()

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
