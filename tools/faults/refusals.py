"""Faults 15 and 16: a broker that refuses rights, and one that takes no large messages, announced or not."""

from __future__ import annotations

import json
from pathlib import Path

from faults.figures import Figure
from faults.latency_subscriber import Watcher
from faults.rig import ROOT, site, wait_for

__all__ = ["oversize", "rights_refused"]

RATE_HZ = 20.0
LIMIT_BYTES = 4000
EVERY = 10  # of the results, one is larger than that
_PATIENCE_S = 30.0


def rights_refused(folder: Path, *, events: int) -> list[Figure]:
    """Decisions refused for the first half, by the broker's list of rights; results go on."""
    fault = "15 decisions refused"
    folder.mkdir(parents=True, exist_ok=True)
    rights = folder / "acl"
    rights.write_text(_rights("result", "dropped", "availability"))
    with site(folder, settings=f"acl_file {rights}") as place:
        place.start_box(rate_hz=RATE_HZ, count=events)
        told = wait_for(lambda: "broker_refuses.decision" in place.box_said(), _PATIENCE_S)
        wait_for(lambda: len(place.received_ids()) >= events // 2, _PATIENCE_S)
        rights.write_text(_rights("result", "dropped", "availability", "decision"))
        place.reload_broker()
        over = wait_for(lambda: "broker_refuses.decision: over" in place.box_said(), _PATIENCE_S)
        place.boxes[-1].wait(events / RATE_HZ + 90)
        place.stop_controller()
        made, received = place.made_ids(), place.received_records()
    ids = {record["result_id"] for record in received}
    refused = sum(record["gate_told"] is False for record in received)
    taken = sum(record["gate_told"] is True for record in received)
    return [
        Figure(fault=fault, what="results made", value=len(made)),
        Figure(
            fault=fault,
            what="results lost",
            value=len(set(made) - ids),
            limit=0,
        ),
        Figure(fault=fault, what="refusal not told", value=not told, limit=0),
        Figure(fault=fault, what="end of it not told", value=not over, limit=0),
        Figure(fault=fault, what="results that say 'gate not told'", value=refused, limit=1, at_least=True),
        Figure(fault=fault, what="results that say 'gate told'", value=taken, limit=1, at_least=True),
    ]


def oversize(folder: Path, *, events: int) -> list[Figure]:
    """Every tenth result is larger than the broker takes; told by it, not told, and with MQTT 3.1.1."""
    ways = (
        ("announced", f"max_packet_size {LIMIT_BYTES}", "5"),
        ("not announced", f"message_size_limit {LIMIT_BYTES}", "5"),
        ("MQTT 3.1.1", f"max_packet_size {LIMIT_BYTES}", "3.1.1"),
    )
    figures = []
    for name, settings, version in ways:
        figures += _oversize(folder / version / name.replace(" ", "-"), name, settings, version, events)
    return figures


def _oversize(folder: Path, name: str, settings: str, version: str, events: int) -> list[Figure]:
    fault = f"16 oversize, {name}"
    with site(folder, settings=settings) as place:
        watcher = Watcher(place.host, place.port, "decision")
        large = f"--large={EVERY}:{LIMIT_BYTES}"
        place.start_box(rate_hz=RATE_HZ, count=events, options=(large,), mqtt={"version": version})
        process = place.boxes[-1]
        process.wait(events / RATE_HZ + 120)
        unsent = json.loads(process.stdout.read())["unsent"] if process.stdout else 0
        watcher.close()
        aside = place.aside_ids()
        place.stop_controller()
        made, received = set(place.made_ids()), set(place.received_ids())
    heard = len(watcher.delays_ms.get("s0001", []))
    lost = made - received - aside
    small = {name for name in aside if int(name.rpartition("-")[2]) % EVERY}
    return [
        Figure(fault=fault, what="results made", value=len(made)),
        Figure(fault=fault, what="set aside", value=len(aside), limit=events // EVERY, at_least=True),
        Figure(fault=fault, what="small ones among these", value=len(small), limit=0),
        Figure(fault=fault, what="neither delivered nor set aside", value=len(lost), limit=0),
        Figure(fault=fault, what="decisions that were not heard", value=events - heard),
        Figure(
            fault=fault, what="of these the box does not know", value=events - heard - unsent,
            limit=0 if name == "announced" else None,
        ),
    ]  # fmt: skip


def _rights(*topics: str) -> str:
    lines = [f"topic write {ROOT}/{topic}" for topic in topics]
    return "\n".join([f"topic read {ROOT}/#", f"topic write {ROOT}/result/ack", *lines]) + "\n"
