"""Fault 23: products take turns while the box is killed and a bundle replaced; no part by a wrong model.

A's parts are OK under A's bundles and B's are NG under B's, and the scores of both are far apart.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edgeflow.bundles.bundle import Bundle
from faults.figures import Figure
from faults.rig import Site, site, wait_for
from simulators.product_box import OFFSET, good_verdict, write_product_box
from simulators.small_box import ROOT, ctl, start_box

__all__ = ["changeover"]

_FAULT = "23 changeover"
_READY_S = 90.0
_DECIDED_S = 20.0
_NAMES = ("A", "B")
_BY_TRIGGER = {"source": "mqtt", "timeout_ms": 2000, "product": "variant"}
_BY_COMMAND = {"source": "mqtt", "timeout_ms": 2000}


@dataclass(kw_only=True)
class _Line:
    """The line's side: what it sent, and what it heard.

    Attributes:
        sent: trigger id → products that the part may be of.
    """

    client: paho.Client
    sent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    decisions: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    twice: int = 0
    ready: set[str] = field(default_factory=set)

    def part(self, *products: str, **more: str) -> None:
        """Trigger a part; more than one product where it is not known which one the box takes it for."""
        name = f"p{len(self.sent)}"
        self.sent[name] = products
        self.client.publish(f"{ROOT}/trigger", json.dumps({"trigger_id": name, **more}), 1)

    def hear(self, message: paho.MQTTMessage) -> None:
        """Take one message in, on the network thread."""
        kind, document = message.topic.rpartition("/")[2], json.loads(message.payload or "{}")
        if kind == "state" and document.get("state") == "ContinuousExecution":
            self.ready.add(document["session"])
        elif kind == "decision":
            self.twice += document["trigger_id"] in self.decisions
            self.decisions[document["trigger_id"]] = document
        elif kind == "result":
            self.results[document["trigger_id"]] = document


def changeover(folder: Path, *, parts: int, kills: int, rate_hz: float = 50.0) -> list[Figure]:
    """Alternate two products, nine parts of ten named by their triggers, the others by command."""
    with site(folder / "site", controller=False) as place, _line(place) as line:
        killed = _named_by_triggers(folder, place, line, (parts * 9 // 10, kills * 3 // 4, rate_hz))
        killed += _named_by_commands(folder, place, line, (parts, kills - killed, rate_hz))
        wait_for(lambda: len(line.results) >= len(line.decisions), _DECIDED_S)
    return _figures(folder, line, parts, killed)


def _named_by_triggers(folder: Path, place: Site, line: _Line, bounds: tuple[int, int, float]) -> int:
    box = write_product_box(folder, place.port, trigger=_BY_TRIGGER)

    def send(number: int) -> None:
        name = _NAMES[number % 2]
        line.part(name, variant=name)

    other = itertools.cycle(("a2.bundle", "a1.bundle"))
    return _run(box, line, bounds, send, lambda: ctl(box, "reload", "product=A", f"bundle={next(other)}"))


def _named_by_commands(folder: Path, place: Site, line: _Line, bounds: tuple[int, int, float]) -> int:
    """Parts come while the command is under way: these may be of either product."""
    box = write_product_box(folder, place.port, trigger=_BY_COMMAND, product="A")
    possible: tuple[str, ...] = ("A",)
    names = itertools.cycle(("B", "A"))

    def change() -> None:
        nonlocal possible
        name = next(names)
        possible = _NAMES
        if ctl(box, "product", name).returncode == 0:
            possible = (name,)  # one that got no answer is carried out or not

    return _run(box, line, bounds, lambda _number: line.part(*possible), change)


def _run(
    box: Path,
    line: _Line,
    bounds: tuple[int, int, float],
    send: Callable[[int], None],
    meanwhile: Callable[[], object],
) -> int:
    """Send parts until so many are decided, kill the box at random moments; return how often."""
    parts, kills, rate_hz = bounds
    chance = random.Random(11)  # noqa: S311 - moments, not secrets
    first = len(line.decisions)
    moments = sorted(chance.uniform(first, parts - 1) for _ in range(kills))
    process = _started(box, line)
    stop = threading.Event()
    beside = threading.Thread(target=_again_and_again, args=(stop, meanwhile), daemon=True)
    beside.start()
    killed, next_s = 0, time.monotonic()
    try:
        for number in itertools.count():
            if len(line.decisions) >= parts:
                break
            send(number)
            if killed < kills and len(line.decisions) >= moments[killed]:
                process.kill()
                process.wait()
                killed += 1
                process = _started(box, line)
            next_s = max(next_s + 1 / rate_hz, time.monotonic() - 0.1)
            time.sleep(max(0.0, next_s - time.monotonic()))
    finally:
        stop.set()
        beside.join(_READY_S)
        process.terminate()
        process.wait(_READY_S)
    return killed


def _again_and_again(stop: threading.Event, meanwhile: Callable[[], object]) -> None:
    while not stop.wait(1.0):
        meanwhile()


def _started(box: Path, line: _Line) -> subprocess.Popen[str]:
    before = set(line.ready)
    with (box.parent / "box.log").open("a") as log:
        process = start_box(box, out=log)
    if not wait_for(lambda: bool(line.ready - before), _READY_S):
        process.kill()
        raise SystemExit(f"the box does not start, see {box.parent}/box.log")
    return process


@contextmanager
def _line(place: Site) -> Iterator[_Line]:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    line = _Line(client=client)
    topics = [(f"{ROOT}/{name}", 1) for name in ("decision", "result", "state")]
    client.on_connect = lambda c, *_: c.subscribe(topics)
    client.on_message = lambda _client, _userdata, message: line.hear(message)
    client.connect(place.host, place.port)
    client.loop_start()
    try:
        yield line
    finally:
        client.disconnect()
        client.loop_stop()


def _figures(folder: Path, line: _Line, parts: int, killed: int) -> list[Figure]:
    hashes = {name: _hashes(folder, pattern) for name, pattern in (("A", "a[12]"), ("B", "b1"))}
    decisions = list(line.decisions.values())
    told = [d for d in decisions if d["verdict"] != "UNDECIDED"]
    results = [r for r in line.results.values() if r["verdict"] != "UNDECIDED"]
    used = {r["bundle"]["sha256"] for r in results if r["product"] == "A"}

    def figure(what: str, value: float, limit: float | None = None, *, at_least: bool = False) -> Figure:
        return Figure(fault=_FAULT, what=what, value=value, limit=limit, at_least=at_least)

    return [
        figure("parts decided", len(decisions), parts, at_least=True),
        figure("kills", killed),
        figure("bundles of A in use", len(used)),
        figure("UNDECIDED, too many at once or late", len(decisions) - len(told)),
        figure(
            "UNDECIDED, unknown product", sum(d["reason_code"] == "unknown_product" for d in decisions), 0
        ),
        figure("verdicts of a wrong model", sum(d["verdict"] != good_verdict(d["product"]) for d in told), 0),
        figure("product is not the trigger's", sum(_is_foreign(line, d) for d in told), 0),
        figure(
            "scored by a bundle of another product",
            sum(r["bundle"]["sha256"] not in hashes[r["product"]] for r in results),
            0,
        ),
        figure(
            "scores of another product's model",
            sum((r["score_raw"] >= OFFSET) != (r["product"] == "B") for r in results),
            0,
        ),
        figure("decided twice", line.twice, 0),
    ]


def _is_foreign(line: _Line, decision: dict[str, Any]) -> bool:
    return decision["product"] not in line.sent[decision["trigger_id"]]


def _hashes(folder: Path, pattern: str) -> set[str]:
    found = set()
    for path in (folder / "bundles").glob(f"{pattern}.bundle"):
        with Bundle.open(path) as bundle:
            found.add(bundle.sha256)
    return found
