"""A box without cameras: real decisions, outbox, delivery and link, fed at a rate. Run by ``site.Site``.

Every result carries the moment of its decision (monotonic, which processes of one machine share) as part id.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeflow.alarms import Alarms
from edgeflow.clock import monotonic_ns, utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.messages import (
    BundleInfo,
    Deadline,
    Decision,
    Result,
    SyncInfo,
    VerdictName,
    ViewResult,
)
from edgeflow.delivery.outbox import Outbox, open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.errors import ConfigError
from edgeflow.mqtt.link import MqttLink
from edgeflow.station.process.switch_interval import shorten_switch_interval
from faults.rig import wait_for
from faults.synthetic_parts import Parts

VIEWS = tuple(f"C{n}" for n in range(1, 6))
VERDICTS: tuple[VerdictName, ...] = ("OK",) * 18 + ("NG", "UNDECIDED")
DRAIN_S = 60.0
BROKER_PATIENCE_S = 2.0
FULL_SPEED_AHEAD = 20_000  # results in memory at most, where the rate is unlimited


def make(
    session: str, seq: int, trigger_id: str = "", verdict: VerdictName | None = None
) -> tuple[Decision, Result]:
    """A decision and its record, as large as those of a five-view part."""
    result = make_result(session, seq, trigger_id, verdict)
    decision = Decision(
        result_id=result.result_id,
        trigger_id=result.trigger_id,
        seq=seq,
        session=session,
        part_id=result.part_id,
        verdict=result.verdict,
        reason="",
        acquired_at=result.acquired_at,
        valid_until=utc_text(monotonic_ns() + 500_000_000),
    )
    return decision, result


def make_result(session: str, seq: int, trigger_id: str = "", verdict: VerdictName | None = None) -> Result:
    """The record of a five-view part."""
    now = utc_text()
    verdict = verdict or VERDICTS[seq % len(VERDICTS)]
    name: dict[str, Any] = {
        "result_id": f"{session}-{seq:06d}", "trigger_id": trigger_id or f"{session}-t{seq}", "seq": seq,
    }  # fmt: skip
    part_id = str(monotonic_ns())
    views = tuple(ViewResult(id=view, score=0.5, score_raw=1.25, frame_id=seq, skew_ms=0.1) for view in VIEWS)
    return Result(
        **name, session=session, part_id=part_id, verdict=verdict, reason="", score=0.5, score_raw=1.25,
        views=views, sync=SyncInfo(complete=True, missing=(), skew_ms=0.4, max_skew_ms=5.0),
        bundle=BundleInfo(name="part", sha256="0" * 64, backend="openvino", precision="int8"),
        triggered_at=now, acquired_at=now, decided_at=now, durations_ms={"total": 40.0},
        deadline=Deadline(deadline_ms=250.0, decided_after_ms=40.0, met=True),
    )  # fmt: skip


def config_of(plan: dict[str, Any]) -> BoxConfig:
    """The box file that the plan stands for."""
    document = {
        "station": {"site": "plant1", "line": "l3", "station": "s2"},
        "bundle": "none",
        "trigger": {"source": "interval", "period_ms": 100},
        "cameras": {"C1": {"kind": "replay", "parts": "none"}},
        "sync": {"max_skew_ms": 5.0},
        "decision": {"deadline_ms": 250.0},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": plan["host"], "port": plan["port"], **plan.get("mqtt", {})},
        "outbox": {"path": plan["outbox"], **plan["limits"]},
    }
    return parse_document(BoxConfig, document, what="plan", error=ConfigError)


def main() -> None:
    """Make ``count`` results at ``rate_hz`` (0: as fast as they are stored), drain, and end."""
    plan = json.loads(sys.argv[1])
    config = config_of(plan)
    shorten_switch_interval()  # as a station does
    made = os.open(plan["made"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    link = MqttLink(config, plan["session"])
    alarms = Alarms(plan["session"], link)
    link.report_to(alarms)
    outbox = open_outbox(config.outbox, alarms)

    def note(stored: Sequence[str]) -> None:
        if stored:  # one write: a kill leaves whole lines
            os.write(made, "".join(f"{name}\n" for name in stored).encode())

    outbox.on_stored(note)
    delivery = ResultSender(outbox, link, "consumer", alarms)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    link.start()
    if "--hold" not in sys.argv:
        delivery.start()
        wait_for(lambda: link.connected, BROKER_PATIENCE_S)  # as a station does before its first part
    (feed_parts if "--parts" in sys.argv else feed)(plan, outbox, link, ended)
    outbox.flush(60)
    if "--hold" in sys.argv:
        outbox.close()
        return
    left = delivery.close(DRAIN_S)
    link.stop()
    outbox.flush(10)
    outbox.close()
    print(json.dumps({"left": left, "unsent": link.decisions_unsent}))


def feed(plan: dict[str, Any], outbox: Outbox, link: MqttLink, ended: threading.Event) -> None:
    """Results at the rate; decisions leave first, always.

    With ``--large=10:4000`` every tenth result has so many bytes and more.
    """
    large = next((text.partition("=")[2] for text in sys.argv if text.startswith("--large=")), "0:0")
    every, size = (int(text) for text in large.split(":"))
    period_s = 1 / plan["rate_hz"] if plan["rate_hz"] else 0.0
    next_s = time.monotonic()
    for seq in range(1, plan["count"] + 1):
        if ended.is_set():
            return
        if plan.get("decisions", True):
            decision, result = make(plan["session"], seq)
            link.publish_decision(decision)
        else:
            result = make_result(plan["session"], seq)
        if every and seq % every == 0:
            result = result.model_copy(update={"reason": "x" * size})
        outbox.put(result)
        next_s += period_s
        if period_s:
            time.sleep(max(0.0, next_s - time.monotonic()))
        elif seq % 1000 == 0 and outbox._unstored > FULL_SPEED_AHEAD:  # noqa: SLF001 - memory, not a figure
            outbox.flush(60)


def feed_parts(plan: dict[str, Any], outbox: Outbox, link: MqttLink, ended: threading.Event) -> None:
    """Triggers and frames at the rate, through synchroniser and decision."""
    triggers, decided = (Path(plan["made"]).with_name(name) for name in ("triggers.txt", "decided.txt"))
    file = os.open(decided, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    parts = Parts(plan["session"], triggers)
    numbers = itertools.count(1)
    next_s = time.monotonic()
    for seq in range(1, plan["count"] + 1):
        if ended.is_set():
            return
        last = seq == plan["count"]
        for view_set, verdict in [*parts.step(seq), *(parts.rest() if last else ())]:
            decision, result = make(plan["session"], next(numbers), view_set.trigger_id, verdict.verdict)
            link.publish_decision(decision)
            os.write(file, f"{view_set.trigger_id} {decision.result_id}\n".encode())
            outbox.put(result)
        next_s = max(next_s + 1 / plan["rate_hz"], time.monotonic() - 1)
        time.sleep(max(0.0, next_s - time.monotonic()))


if __name__ == "__main__":
    main()
