"""Commands that a box must refuse, sent to a running one; prints what each got, and how the line went on."""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE_S = 5.0
HUGE = 256 * 1024 * 1024 - 1024


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One message.

    Attributes:
        verb: last level of the topic.
        replies: whether a reply is to be expected; what the broker itself refuses has none.
    """

    name: str
    verb: str
    payload: bytes
    retain: bool = False
    response_topic: str = ""
    replies: bool = True


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Outcome of one attack."""

    attack: Attack
    outcome: str
    text: str
    answered_after_s: float | None
    parts_meanwhile: int


def command(root: str, verb: str = "stop", **changes: Any) -> dict[str, Any]:
    """A command that would be carried out, but for the changes."""
    at = datetime.now(UTC) + timedelta(seconds=changes.pop("shift_s", 0))
    document = {
        "schema": "edgeflow/command/1",
        "command_id": f"attack-{time.monotonic_ns()}",
        "verb": verb,
        "box": root,
        "issuer": "attacker",
        "issued_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    return document | changes


def attacks(root: str) -> list[Attack]:
    """All of them, for a box that allows ``stop`` and ``reload`` but not ``recalibrate``."""

    def made(name: str, verb: str = "stop", *, retain: bool = False, to: str = "", **changes: Any) -> Attack:
        payload = json.dumps(command(root, verb, **changes)).encode()
        return Attack(name=name, verb=verb, payload=payload, retain=retain, response_topic=to)

    def raw(name: str, payload: bytes, **more: Any) -> Attack:
        return Attack(name=name, verb="stop", payload=payload, **more)

    escape = {"bundle": "../../../etc/passwd"}
    nan = json.dumps(command(root, "recalibrate")).replace("}", ', "arguments": {"threshold": NaN}}')
    return [
        made("stale: issued 120 s ago", shift_s=-120),
        made("issued 120 s in the future", shift_s=120),
        made("no such date", issued_at="2026-02-31T10:00:00.000Z"),
        made("for another box", box="edgeflow/v1/plant/l9/s9"),
        made("for another session", session="0123456789ab"),
        made("verb not allowed here", "recalibrate"),
        made("no such verb", "format-disk"),
        raw("another verb than the topic's", json.dumps(command(root, "start")).encode()),
        made("path as a bundle's name", "reload", arguments=escape),
        made("absolute path as a bundle's name", "reload", arguments={"bundle": "/etc/passwd"}),
        made("argument that the verb does not have", arguments={"force": "1"}),
        Attack(name="NaN threshold", verb="recalibrate", payload=nan.encode()),
        raw("empty", b""),
        raw("not JSON", b"\x00\xff" * 40),
        raw("deep JSON", b"[" * 4000 + b"]" * 4000),
        raw("JSON of another shape", b'{"schema": "edgeflow/command/1"}'),
        raw("unknown field", json.dumps(command(root) | {"exec": "reboot"}).encode()),
        made("id with control characters", command_id="a\x1b[2J\nb"),
        raw("9 kB", json.dumps(command(root) | {"pad": "x" * 9000}).encode()),
        made("reply to the decisions", to=f"{root}/decision"),
        made("reply to another box", to="edgeflow/v1/plant/l9/s9/rsp/stop"),
        made("reply to a wildcard", to=f"{root}/rsp/#"),
        raw("2 MB", b"x" * 2_000_000, replies=False),
        raw("256 MB", b"x" * HUGE, replies=False),
    ]


@dataclass(kw_only=True)
class Attacker:
    """A client that may publish anything, and counts the box's decisions."""

    port: int
    root: str
    decisions: int = 0
    replies: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)
    subscribed: bool = False

    def __post_init__(self) -> None:
        self.client = self._connected()
        self.client.loop_start()

    def _connected(self) -> paho.Client:
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.on_message = self._on_message
        client.on_connect = lambda c, *_: c.subscribe(
            [(f"{self.root}/rsp/#", 1), (f"{self.root}/decision", 0)]
        )
        client.on_subscribe = self._on_subscribe
        client.connect("127.0.0.1", self.port)
        return client

    def _on_subscribe(self, *_: Any) -> None:
        self.subscribed = True

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        document = json.loads(message.payload)
        if document.get("schema") == "edgeflow/reply/1":
            self.replies.put(document)
        else:
            self.decisions += 1

    def send(self, attack: Attack) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if attack.response_topic:
            properties.ResponseTopic = attack.response_topic
        topic = f"{self.root}/cmd/{attack.verb}"
        self.client.publish(topic, attack.payload, 1, attack.retain, properties)

    def attack(self, attack: Attack) -> Finding:
        """Send, and wait for the reply; the line has to go on meanwhile."""
        before, begun_s = self.decisions, time.monotonic()
        try:
            self.send(attack)
            reply = self.replies.get(timeout=PATIENCE_S if attack.replies else 2.0)
            after_s = time.monotonic() - begun_s
        except queue.Empty:
            reply, after_s = {"outcome": "no reply", "text": ""}, None
        except ValueError as cause:  # a wildcard in a response topic: the library itself refuses
            reply, after_s = {"outcome": "not sendable", "text": str(cause)}, None
        while self.decisions == before and time.monotonic() - begun_s < PATIENCE_S:
            time.sleep(0.02)
        return Finding(
            attack=attack,
            outcome=reply["outcome"],
            text=reply["text"],
            answered_after_s=after_s,
            parts_meanwhile=self.decisions - before,
        )


def findings(port: int, root: str) -> Iterator[Finding]:
    """Every attack, one after the other."""
    attacker = Attacker(port=port, root=root)
    while not attacker.subscribed:
        time.sleep(0.01)
    for attack in attacks(root):
        yield attacker.attack(attack)
    attacker.client.loop_stop()


def main() -> None:
    """Usage: command_attacks.py PORT TOPIC_ROOT."""
    for finding in findings(int(sys.argv[1]), sys.argv[2]):
        after = "–" if finding.answered_after_s is None else f"{1000 * finding.answered_after_s:.0f} ms"
        cells = (finding.attack.name, finding.outcome, after, finding.parts_meanwhile, finding.text[:110])
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
