"""A reference line controller: opens the gate only for a valid OK in time, and keeps every result.

    python tools/line_controller.py mqtt://127.0.0.1:1883 --root edgeflow/v1/plant1/l3/s2

It prints one JSON document a line for whatever the gate does. With ``--trigger-ms`` it also is the line: it
sends triggers at that rate, and a part without a decision in time is rejected and reported as missing. The
thinking is in ``line_control/`` and has neither input nor output; this file is the network round it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Ack, Decision, Dropped, TriggerMessage, from_json, to_json
from edgeflow.contracts.topics import Topics
from edgeflow.errors import ConfigError, DataError, EdgeflowError, HardwareError
from edgeflow.mqtt.broker.answers import closed_early, no_mqtt, refusal
from edgeflow.mqtt.broker.login import LOGIN_SETTINGS, Login, parse_url
from edgeflow.mqtt.client import connect_failure
from line_control.gate import Gate, Ruling
from line_control.receipts import Receipts

TICK_S = 0.01
ACKS_AT_ONCE = 200
GATHER_S = 0.02  # before results are written and acknowledged: the disk is asked once for many
KEEPALIVE_S = 5
FILE = click.Path(path_type=Path)
CONNECT_S = 5.0  # for the first connection; later ones are tried for ever


class Controller:
    """Network, file and clock around the gate and the receipts.

    Args:
        results: JSON lines of every result received; a result is acknowledged once it is safe there.
    """

    def __init__(self, login: Login, root: str, gate: Gate, results: Path | None, *, quiet: bool) -> None:
        self.gate = gate
        self.receipts = Receipts()
        self._topics = Topics(root=root)
        self._quiet = quiet
        self._lock = threading.Lock()  # gate and receipts are asked by two threads
        self._arrived: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._file = self._reopen(results)
        self._dropped = results.with_name(f"{results.name}.dropped") if results else None
        self._keeper = threading.Thread(target=self._keep, name="results", daemon=True)
        self._url = login.url
        self._refusal = ""
        self._closed = False
        self._subscribed = threading.Event()
        self._client = self._make_client(login)

    def start(self) -> None:
        """Connect, and connect again whenever the connection is lost.

        Raises:
            ConfigError: the broker refuses the user, the certificate or the subscriptions.
            HardwareError: it cannot be reached, or does not answer.
        """
        end_s = time.monotonic() + CONNECT_S
        self._connect(end_s)
        self._client.loop_start()
        while not self._subscribed.wait(TICK_S):
            if self._refusal:
                raise ConfigError(f"{self._url}: {self._refusal}")
            if time.monotonic() > end_s:
                why = closed_early(LOGIN_SETTINGS) if self._closed else no_mqtt(LOGIN_SETTINGS)
                raise HardwareError(f"{self._url}: {why}")
        self._keeper.start()

    def _connect(self, end_s: float) -> None:
        """Reach the broker, which may just be starting."""
        while True:
            try:
                self._client.connect(self._url.host, self._url.port, keepalive=KEEPALIVE_S)
            except (OSError, ValueError) as cause:
                if time.monotonic() > end_s:
                    raise HardwareError(f"{self._url}: {connect_failure(cause, LOGIN_SETTINGS)}") from cause
                time.sleep(0.2)
            else:
                return

    def stop(self) -> None:
        """Keep what has arrived, then leave."""
        self._arrived.put(None)
        self._keeper.join(5.0)
        self._client.disconnect()
        self._client.loop_stop()
        if self._file is not None:
            self._file.close()

    def trigger(self) -> None:
        """A part stands before the cameras."""
        trigger_id = uuid.uuid4().hex[:16]
        with self._lock:
            self.gate.expect(trigger_id, now_ms())
        message = TriggerMessage(trigger_id=trigger_id, at=utc_text())  # with it, a late copy is known as one
        self._client.publish(self._topics.trigger, to_json(message), 1)

    def tick(self) -> None:
        """Reject the parts whose time is over."""
        with self._lock:
            over = self.gate.expire(now_ms())
        for ruling in over:
            self._say(ruling)

    def summary(self) -> dict[str, Any]:
        """Summary of the session so far."""
        missing = sum(len(gaps) for gaps in self.receipts.missing().values())
        return {
            **vars(self.gate.counts),
            "results": self.receipts.received,
            "results_again": self.receipts.duplicates,
            "results_missing": missing + self.receipts.lost,
        }

    def _make_client(self, login: Login) -> paho.Client:
        # MQTT 3.1.1: all that a controller needs is in the payloads, and PLCs speak this.
        client = login.client(f"line-controller-{uuid.uuid4().hex[:8]}", reconnects=True)
        client.reconnect_delay_set(1, 2)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._refuse(refusal(reason, LOGIN_SETTINGS, properties))
            return
        names = (self._topics.availability, self._topics.decision, self._topics.result, self._topics.dropped)
        client.subscribe([(name, 1) for name in names])

    def _on_subscribe(
        self, _client: paho.Client, _userdata: Any, _id: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._refuse(f"may not subscribe below {self._topics.root}; check its rights at the broker")
            return
        self._refusal = ""
        self._subscribed.set()

    def _refuse(self, why: str) -> None:
        """The first time it ends the program; later, whoever reads what happens is told."""
        if self._subscribed.is_set() and why != self._refusal:
            self._print({"kind": "refused", "why": why})
        self._refusal = why

    def _on_disconnect(self, *_: Any) -> None:
        self._closed = True
        with self._lock:
            self.gate.disconnected()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        if message.topic == self._topics.decision and not message.retain:
            self._decide(bytes(message.payload))
        elif message.topic == self._topics.availability:
            with self._lock:
                self.gate.presence(message.payload.decode("ascii", "replace"))
        elif message.topic in (self._topics.result, self._topics.dropped):
            self._arrived.put(bytes(message.payload))

    def _decide(self, payload: bytes) -> None:
        try:
            decision = from_json(Decision, payload)
        except DataError as problem:
            self._print({"kind": "reject", "why": problem.message})
            return
        with self._lock:
            self.receipts.expect(decision.session, decision.seq)
            ruling = self.gate.decide(decision, now_ms(), datetime.now(UTC))
        self._say(ruling)

    def _say(self, ruling: Ruling) -> None:
        """Here a PLC would move the gate."""
        self._print(vars(ruling))

    def _print(self, event: dict[str, Any]) -> None:
        if not self._quiet:
            click.echo(json.dumps(event))

    def _keep(self) -> None:
        """Write results down, then acknowledge them: in this order, else a crash here would lose them."""
        ended = False
        while not ended:
            batch = [self._arrived.get()]
            time.sleep(GATHER_S)
            while len(batch) < ACKS_AT_ONCE and not self._arrived.empty():
                batch.append(self._arrived.get())
            ended = None in batch
            names = [self._receive(payload) for payload in batch if payload is not None]
            if self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
            ids = tuple(name for name in names if name)
            if ids:
                self._client.publish(self._topics.result_ack, to_json(Ack(result_ids=ids)), 1)

    def _receive(self, payload: bytes) -> str:
        """Write down what is new; returns what is to be acknowledged, in any case."""
        try:
            record = json.loads(payload)
            if "record_id" in record:
                dropped = from_json(Dropped, payload)
                with self._lock:
                    for result_id in dropped.result_ids:
                        self.receipts.excuse(result_id)
                self._write_apart(payload)
                self._print({"kind": "dropped", "count": dropped.count, "why": dropped.why})
                return dropped.record_id
            with self._lock:
                new = self.receipts.add(record["session"], record["seq"])
            if new and self._file is not None:
                self._file.write(payload.rstrip(b"\n") + b"\n")
            return str(record["result_id"])
        except (ValueError, KeyError, TypeError, DataError) as problem:
            self._print({"kind": "unreadable", "why": str(problem)})
            return ""

    def _write_apart(self, record: bytes) -> None:
        """File of the results that the box dropped: ``<results>.dropped``."""
        if self._dropped is not None:
            with self._dropped.open("ab") as file:
                file.write(record + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def _reopen(self, results: Path | None) -> Any:
        """Go on where an earlier run ended; half a line at the end was never acknowledged."""
        if results is None:
            return None
        file = results.open("r+b" if results.exists() else "w+b")
        whole = 0
        for line in file:
            if line.endswith(b"\n"):
                record = json.loads(line)
                self.receipts.add(record["session"], record["seq"])
                whole += len(line)
        file.seek(whole)
        file.truncate()
        return file


def now_ms() -> float:
    """The controller's own running clock."""
    return time.monotonic() * 1000


@click.command()
@click.argument("url", default="mqtt://127.0.0.1:1883")
@click.option("--root", required=True, help="Topics of the station: edgeflow/v1/SITE/LINE/STATION.")
@click.option("--wait-ms", default=500.0, show_default=True, help="How long a part waits for its decision.")
@click.option("--trigger-ms", type=click.FloatRange(min=1), help="Be the line: send a trigger this often.")
@click.option("--results", type=FILE, help="Keep every result here, as JSON lines.")
@click.option("--count", type=click.IntRange(min=1), help="End after this many parts.")
@click.option("--username", help="The broker's user; default: the one in the URL.")
@click.option("--password-file", type=FILE, help="Holds the password; or set EDGEFLOW_MQTT_PASSWORD.")
@click.option("--ca", type=FILE, help="Certificate authority of the broker; default: the system's.")
@click.option("--cert", type=FILE, help="The client's certificate, with --key.")
@click.option("--key", type=FILE, help="The certificate's private key.")
@click.option("-q", "--quiet", is_flag=True, help="Only the summary at the end.")
def main(
    url: str,
    root: str,
    wait_ms: float,
    trigger_ms: float | None,
    results: Path | None,
    count: int | None,
    quiet: bool,
    **login: Any,
) -> None:
    """Watch one station's decisions and results until SIGTERM, Ctrl-C or COUNT parts."""
    try:
        gate = Gate(wait_ms=wait_ms, announced=trigger_ms is not None)
        controller = Controller(Login(url=parse_url(url), **login), root, gate, results, quiet=quiet)
        controller.start()
    except EdgeflowError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    next_ms, sent = now_ms() + 1000, 0
    while not ended.wait(TICK_S):
        controller.tick()
        if trigger_ms is not None and now_ms() >= next_ms and (count is None or sent < count):
            controller.trigger()
            next_ms, sent = next_ms + trigger_ms, sent + 1
        c = controller.gate.counts
        if count is not None and c.open + c.reject + c.late + c.missing >= count:
            break
    controller.stop()
    click.echo(json.dumps({"kind": "summary", **controller.summary()}))


if __name__ == "__main__":
    main()
