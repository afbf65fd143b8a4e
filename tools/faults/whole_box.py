"""A whole box beside a site's broker, with everything that it says over MQTT."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from faults.rig import Site, wait_for
from simulators.small_box import ROOT

__all__ = ["WholeBox", "whole_box"]

_START_S = 90.0
_END_S = 40.0


@dataclass(kw_only=True)
class WholeBox:
    """A running box.

    Attributes:
        decisions: in order, each with the moment of its arrival (monotonic).
        alarms: names of all that were ever raised, with their texts.
        standing: names of those that stand.
    """

    file: Path
    client: paho.Client
    decisions: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    alarms: dict[str, str] = field(default_factory=dict)
    standing: set[str] = field(default_factory=set)
    ready: bool = False

    def trigger(self, name: str) -> None:
        """Ask for a part."""
        message = {"schema": "edgeflow/trigger/1", "trigger_id": name, "part_id": name}
        self.client.publish(f"{ROOT}/trigger", json.dumps(message), 1)

    def hear(self, message: paho.MQTTMessage) -> None:
        """Take one message in, on the network thread."""
        kind = message.topic.removeprefix(f"{ROOT}/")
        if kind == "decision":
            self.decisions.append((time.monotonic(), json.loads(message.payload)))
        elif kind == "state":
            self.ready = bool(json.loads(message.payload)["ready"])
        elif kind.startswith("alarm/"):
            name = kind.removeprefix("alarm/")
            if message.payload:
                self.alarms[name] = json.loads(message.payload)["text"]
                self.standing.add(name)
            else:
                self.standing.discard(name)


@contextmanager
def whole_box(place: Site, file: Path, environment: Mapping[str, str]) -> Iterator[WholeBox]:
    """Start ``edgeflow run``, wait until it is ready, and end it by SIGTERM."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    box = WholeBox(file=file, client=client)
    client.on_connect = lambda c, *_: c.subscribe(f"{ROOT}/#", 1)
    client.on_message = lambda _client, _userdata, message: box.hear(message)
    client.connect(place.host, place.port)
    client.loop_start()
    command = [sys.executable, "-m", "edgeflow.cli", "run", str(file), "--json"]
    with (place.folder / "whole_box.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})
    try:
        if not wait_for(lambda: box.ready, _START_S):
            raise SystemExit(f"the box does not start, see {place.folder}/whole_box.log")
        yield box
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        client.disconnect()
        client.loop_stop()
