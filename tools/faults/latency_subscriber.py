"""A subscriber that measures how long after its decision a message arrived (one machine, one clock)."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from faults.rig import ROOT

__all__ = ["Watcher"]


class Watcher:
    """Collects the delays of one topic in ms and the highest number, by session; acknowledges if asked to."""

    def __init__(self, host: str, port: int, topic: str, *, acks: bool = False) -> None:
        self.delays_ms: dict[str, list[float]] = {}
        self.highest: dict[str, int] = {}
        self.attempts = 0
        self.first_s = 0.0
        self.last_s = 0.0
        self._acks = acks
        self._topic = f"{ROOT}/{topic}"
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = lambda client, *_: client.subscribe(self._topic, 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect(host, port, keepalive=5)
        self._client.loop_start()
        self._subscribed.wait(10)

    @property
    def count(self) -> int:
        """Messages so far."""
        return sum(len(delays) for delays in self.delays_ms.values())

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        record = json.loads(message.payload)
        self.last_s = now_ns / 1e9
        self.first_s = self.first_s or self.last_s
        self.attempts += 1
        delay_ms = (now_ns - int(record["part_id"])) / 1e6
        self.delays_ms.setdefault(record["session"], []).append(delay_ms)
        self.highest[record["session"]] = max(self.highest.get(record["session"], 0), record["seq"])
        if self._acks:
            ack = {"schema": "edgeflow/ack/1", "result_ids": [record["result_id"]]}
            client.publish(f"{ROOT}/result/ack", json.dumps(ack), 1)


def _send_at_once(_client: paho.Client, _userdata: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
