"""Fault 19: a sender whose encoder and ids begin anew, who repeats himself, and who floods the line."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from faults.figures import Figure
from faults.rig import Site, site, wait_for
from simulators.small_box import ROOT, start_box, write_box

__all__ = ["trigger_epoch"]

_FAULT = "19 trigger epoch"
_PACE_S = 0.25
_UNDER_WAY_S = 1.0  # the box's deadline
_DECIDED_S = 30.0
_MOST_IN_DOUBT = 8  # over all epochs below: two for ids that begin anew, one for an encoder that is zeroed
_MEMORY_MB = 60


class _Sender:
    """Sends triggers as a controller does, and hears the decisions."""

    def __init__(self, port: int) -> None:
        self.sent: Counter[str] = Counter()
        self.decisions: list[dict[str, Any]] = []
        self.ready = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(f"{ROOT}/decision", 1), (f"{ROOT}/state", 1)])
        self._client.loop_start()

    def part(self, trigger_id: str | int, *, copies: int = 0, pace_s: float = _PACE_S, **more: Any) -> bytes:
        """A part passes; returns the message."""
        payload = json.dumps({"trigger_id": trigger_id, "order": "A-7", **more}).encode()
        self.sent[str(trigger_id)] += 1
        for _ in range(1 + copies):
            self.say(payload)
        time.sleep(pace_s)
        return payload

    def say(self, payload: bytes) -> None:
        self._client.publish(f"{ROOT}/trigger", payload, 1)

    def decided(self) -> Counter[str]:
        return Counter(decision["trigger_id"] for decision in list(self.decisions))

    def end(self) -> None:
        self._client.loop_stop()

    def _hear(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        document = json.loads(message.payload)
        if message.topic.endswith("/state"):
            self.ready = document["ready"]
        else:
            self.decisions.append(document)


def trigger_epoch(folder: Path, *, parts: int, flood: int) -> list[Figure]:
    """Every kind of new epoch with so many parts in each, copies of all kinds, then a flood."""
    with site(folder, controller=False) as place, _box(place) as (box, sender):
        _epochs(sender, parts)
        told = wait_for(lambda: sender.decided() == sender.sent, _DECIDED_S)
        time.sleep(0.0 if told else 1.0)
        figures = _of_epochs(sender)
        return figures + _flooded(sender, box, flood)


def _epochs(sender: _Sender, parts: int) -> None:
    half = range(parts // 2)
    for start in (2**32 - 100 * len(half), 0):  # it wraps
        for n in half:
            sender.part(f"wrap {start} {n}", encoder=start + 100 * n, copies=n % 2)
    for n in half:  # it was zeroed, and counts on
        sender.part(f"zero {n}", encoder=100 * n)
    sender.part("wild", encoder=10**300)
    for n in half:
        sender.part(f"after {n}", encoder=100 * (len(half) + n))
    for n in half:  # the sender's clock
        message = sender.part(f"clock {n}", at=datetime.now(UTC).isoformat(), copies=1)
        if n == 1:
            late = message
    for _ in range(2):  # the sender starts anew, and counts its parts from 1
        for n in half:
            sender.part(n + 1)
        time.sleep(_UNDER_WAY_S)
    sender.say(late)  # a copy that was on its way for long


def _of_epochs(sender: _Sender) -> list[Figure]:
    decided, sent = sender.decided(), sender.sent
    verdicts = [decision["verdict"] for decision in sender.decisions]
    doubted = sum(decision["reason_code"] == "trigger_refused" for decision in sender.decisions)
    inspected = sum(verdict != "UNDECIDED" for verdict in verdicts) / sent.total()
    carried = sum(decision["context"] == {"order": "A-7"} for decision in sender.decisions)
    return [
        Figure(fault=_FAULT, what="parts", value=sent.total()),
        Figure(fault=_FAULT, what="parts without a decision", value=(sent - decided).total(), limit=0),
        Figure(fault=_FAULT, what="decisions for copies", value=(decided - sent).total(), limit=0),
        Figure(fault=_FAULT, what="parts in doubt", value=doubted, limit=_MOST_IN_DOUBT, timed=True),
        Figure(fault=_FAULT, what="share inspected", value=round(inspected, 2), limit=0.5, at_least=True),
        Figure(fault=_FAULT, what="most UNDECIDED in a row", value=_longest(verdicts), limit=2, timed=True),
        Figure(fault=_FAULT, what="decisions without the context", value=len(verdicts) - carried, limit=0),
    ]


def _longest(verdicts: list[str]) -> int:
    longest = row = 0
    for verdict in verdicts:
        row = row + 1 if verdict == "UNDECIDED" else 0
        longest = max(longest, row)
    return longest


def _flooded(sender: _Sender, box: subprocess.Popen[str], flood: int) -> list[Figure]:
    """The sender repeats itself with new ids as fast as it can; then parts pass again."""
    before_mb, heard = _memory_mb(box), len(sender.decisions)
    for n in range(flood):
        sender.say(json.dumps({"trigger_id": f"flood {n}", "part_id": f"f{n}"}).encode())
    begun_s, number = time.monotonic(), 0

    def inspected() -> bool:
        nonlocal number
        number += 1
        sender.part(f"real {number}", pace_s=0.3)
        return any(
            decision["trigger_id"].startswith("real") and decision["verdict"] != "UNDECIDED"
            for decision in list(sender.decisions)[heard:]
        )

    found = wait_for(inspected, 4 * _DECIDED_S)
    after_s = time.monotonic() - begun_s
    return [
        Figure(fault=_FAULT, what="triggers in the flood", value=flood),
        Figure(fault=_FAULT, what="decisions for them", value=len(sender.decisions) - heard - number),
        Figure(fault=_FAULT, what="no part inspected after the flood", value=not found, limit=0),
        Figure(
            fault=_FAULT, what="s to the first inspected part", value=round(after_s, 1), limit=10, timed=True
        ),
        Figure(
            fault=_FAULT, what="memory more, MB", value=round(_memory_mb(box) - before_mb), limit=_MEMORY_MB
        ),
    ]


def _memory_mb(box: subprocess.Popen[str]) -> float:
    lines = Path(f"/proc/{box.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def _box(place: Site) -> Iterator[tuple[subprocess.Popen[str], _Sender]]:
    """A whole box whose parts are triggered over MQTT."""
    path = write_box(
        place.folder,
        place.port,
        trigger={"source": "mqtt", "timeout_ms": 500},
        decision={"deadline_ms": _UNDER_WAY_S * 1000},
        views={"at_start": "off", "watch": False},
    )
    document = yaml.safe_load(path.read_text())
    del document["trigger"]["period_ms"]
    path.write_text(yaml.safe_dump(document))
    sender = _Sender(place.port)
    with (place.folder / "out.jsonl").open("w") as out:  # a pipe that nobody reads would stop the box
        process = start_box(path, out=out)
        try:
            if not wait_for(lambda: sender.ready, 60):
                raise SystemExit(f"the box does not start: {(place.folder / 'out.jsonl').read_text()}")
            yield process, sender
        finally:
            process.terminate()
            process.wait(30)
            sender.end()
