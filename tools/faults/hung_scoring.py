"""Fault 14: scoring that never returns; every part is decided in time, and the box ends in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits
from faults.figures import Figure, percentile
from faults.rig import site, wait_for
from simulators.small_box import ROOT, write_box

__all__ = ["hung_scoring"]

FAULT = "14 hung scoring"
DEADLINE_MS = 400.0
HANGS_S = 1.5
PERIOD_MS = 100.0
GOOD_PARTS = 10
FAULTY_BOX = Path(__file__).with_name("faulty_box.py")
_START_S = 60.0
_STOP_S = 20.0
_HARDWARE = 6


class _Line:
    """Everything that the box says, in the order of arrival."""

    def __init__(self, host: str, port: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{ROOT}/#", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self.heard.append(
            (message.topic.removeprefix(f"{ROOT}/"), bytes(message.payload))
        )
        self._client.connect(host, port, keepalive=30)
        self._client.loop_start()
        self._subscribed.wait(10)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for name, payload in list(self.heard) if name == topic]

    def decisions(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.payloads("decision")]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def hung_scoring(folder: Path, *, seconds: float) -> list[Figure]:
    """A whole box with a trigger every 100 ms; its graph hangs after ten parts, and SIGTERM comes later."""
    with site(folder, controller=False) as made:
        path = write_box(
            folder, made.port, trigger={"period_ms": PERIOD_MS}, decision={"deadline_ms": DEADLINE_MS},
            views={"at_start": "off", "watch": False}, alarms={"scoring_hangs_s": HANGS_S},
            outbox={"confirm": "consumer"},
        )  # fmt: skip
        line = _Line(made.host, made.port)
        with (folder / "box.log").open("w") as log:
            box = subprocess.Popen(
                [sys.executable, str(FAULTY_BOX), str(path), "hang", str(GOOD_PARTS)],
                stdout=subprocess.DEVNULL, stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
        try:
            return _figures(folder, line, box, seconds)
        finally:
            box.kill()
            box.wait()
            line.close()


def _figures(folder: Path, line: _Line, box: subprocess.Popen[bytes], seconds: float) -> list[Figure]:
    wait_for(lambda: len(line.decisions()) > GOOD_PARTS, _START_S)
    hung_s = time.monotonic()
    alarmed = wait_for(lambda: any(line.payloads("alarm/scoring_hangs")), _START_S)
    alarm_after_s = time.monotonic() - hung_s
    time.sleep(seconds)
    box.send_signal(signal.SIGTERM)
    asked_s = time.monotonic()
    code = box.wait(_STOP_S * 2)
    ended_after_s = time.monotonic() - asked_s
    wait_for(lambda: line.payloads("availability")[-1:] == [b"offline"], 10)
    decisions = line.decisions()
    numbers = [int(each["trigger_id"].rsplit("-", 1)[1]) for each in decisions]
    late_ms = [float(each["deadline"]["decided_after_ms"]) - DEADLINE_MS for each in _results(line)]
    state = json.loads(line.payloads("state")[-1])
    truthful = (line.payloads("availability")[-1], state["state"]) == (b"offline", "Error")
    outbox = Outbox(folder / "state" / "outbox.db", Limits(rows=10**6, bytes=10**9, age_s=10**9))
    stored = outbox.count()
    outbox.close()

    def figure(what: str, value: float, limit: float | None = None, **more: bool) -> Figure:
        return Figure(fault=FAULT, what=what, value=round(value, 2), limit=limit, **more)

    hung = decisions[GOOD_PARTS:]
    return [
        figure("parts decided while scoring hung", len(hung), 10, at_least=True),
        figure("of these not UNDECIDED", sum(each["verdict"] != "UNDECIDED" for each in hung), 0),
        figure("triggers without a decision", len(set(range(1, max(numbers) + 1)) - set(numbers)), 0),
        figure("triggers with two decisions", len(numbers) - len(set(numbers)), 0),
        figure("decisions after the deadline, p99, ms", max(0.0, percentile(late_ms, 0.99)), 50, timed=True),
        figure("no alarm", not alarmed, 0),
        figure("alarm after, s", alarm_after_s, HANGS_S + 2, timed=True),
        figure("exit code after SIGTERM, off 6", abs(code - _HARDWARE), 0),
        figure("ended after, s", ended_after_s, _STOP_S, timed=True),
        figure("availability or state untrue", not truthful, 0),
        figure("results that are not on the disk", len(decisions) - stored, 0),
    ]


def _results(line: _Line) -> list[dict[str, Any]]:
    """Each result once, though it is sent again until somebody acknowledges it."""
    records = [json.loads(payload) for payload in line.payloads("result")]
    return list({record["result_id"]: record for record in records}.values())
