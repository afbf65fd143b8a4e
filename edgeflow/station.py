"""One inspection box put together from its configuration, started, and shut down in order."""

from __future__ import annotations

import itertools
import logging
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.bundle import Bundle
from edgeflow.capture import Capture
from edgeflow.clock import monotonic_ns
from edgeflow.command_issuers import read_rules
from edgeflow.commanding import Antechamber, commanded, hear_commands
from edgeflow.config import BoxConfig, load_config
from edgeflow.contracts.topics import Topics
from edgeflow.delivery import Delivery
from edgeflow.errors import EdgeflowError, ParityError
from edgeflow.evidence import Evidence
from edgeflow.health import HealthReporter
from edgeflow.introduction import Introduction, StatusReport, summary
from edgeflow.keeper import Keeper
from edgeflow.lateness import LateWatch
from edgeflow.lifecycle import Event
from edgeflow.loaded_bundle import BundleSlot, open_for_box, prove
from edgeflow.mqtt import MqttLink
from edgeflow.mqtt_triggers import MAX_TRIGGER_BYTES, MqttTriggers
from edgeflow.operations import Operations
from edgeflow.outbox import Outbox, open_outbox
from edgeflow.pipeline import Line
from edgeflow.run_view import RunView
from edgeflow.station_state import StationState
from edgeflow.trust import note_as_run
from edgeflow.view_watch import ViewWatch, bundle_baseline, check_identity

__all__ = ["run_box"]

logger = logging.getLogger(__name__)

BROKER_PATIENCE_S = 2.0
DRAIN_S = 5.0
LOOK_S = 1.5
SELF_TRIGGERED = ("interval", "free")  # nobody waits for an answer


def run_box(path: Path, *, overrides: tuple[str, ...], once: bool, view: RunView) -> None:
    """Run a box until SIGTERM, SIGINT or the end of its recorded parts.

    Raises:
        ConfigError, IntegrityError, ParityError, CameraError, DeviceError, StorageError: the box
            cannot start. Once it runs, failures become verdicts, states and log lines.
    """
    config = load_config(path, overrides)
    session = uuid.uuid4().hex[:12]
    rules = read_rules(config, session)
    with ExitStack() as stack:
        bundle, graph = open_for_box(config, config.bundle)
        stack.callback(bundle.close)
        out = _outlets(config, session, stack)
        introduction = Introduction(config, session, out.link, out.alarms)
        introduction.tell(bundle, graph)
        state = StationState(out.link, session, lambda: introduction.recipe)
        stack.enter_context(_announced(out, state))
        numbers = itertools.count(1)
        bundles = BundleSlot(prove(config, bundle, graph, session=session, numbers=numbers))
        stack.callback(bundles.close)
        note_as_run(bundle, config.trust)
        capture = stack.enter_context(
            Capture(config, bundle.manifest.view_ids, session, messages=out.triggers, alarms=out.alarms)
        )
        watch = _watched(config, bundle, capture, out.alarms, stack)
        state.move("opened", "golden parts reproduced, cameras open")
        stack.enter_context(HealthReporter(capture, out.link, out.alarms, session, state.degrade))
        stack.enter_context(_stopped_by_signals(capture.stop))
        operations = Operations(
            config=config,
            session=session,
            numbers=numbers,
            bundles=bundles,
            state=state,
            alarms=out.alarms,
            evidence=out.evidence,
            announce=introduction.tell,
        )
        status = StatusReport(
            session=session, state=state, bundles=bundles, alarms=out.alarms, link=out.link, outbox=out.outbox
        )
        stack.enter_context(commanded(config, rules, operations, out.link, out.early, status))
        view.ready(summary(config, bundles.now))
        state.move("prepared", "ready")
        _wait_for_broker(out.link)
        state.move("start", "running")
        line = Line(
            bundles=bundles,
            gate=out.link,
            keep=Keeper(outbox=out.outbox, evidence=out.evidence, bundles=bundles, watch=watch),
            show=view.show,
            clock=monotonic_ns,
            lateness=LateWatch(out.alarms),
        )
        asked = config.trigger.source not in SELF_TRIGGERED
        view_sets = state.inspected(capture.view_sets(), asked=asked)
        counts = line.run(itertools.islice(view_sets, 1 if once else None))
        out.delivery.close(DRAIN_S)
        waiting = out.outbox.count()
    view.finished(counts, waiting)


@dataclass(frozen=True, kw_only=True)
class _Outlets:
    """What a box hears and tells by, before it has a model."""

    link: MqttLink
    early: Antechamber
    alarms: Alarms
    triggers: MqttTriggers | None
    outbox: Outbox
    delivery: Delivery
    evidence: Evidence | None


def _outlets(config: BoxConfig, session: str, stack: ExitStack) -> _Outlets:
    link = MqttLink(config, session)
    alarms = Alarms(session, link)
    outbox = open_outbox(config.outbox, alarms)
    stack.callback(outbox.close)
    evidence = None
    if config.evidence is not None:
        evidence = Evidence(config.evidence, alarms)
        evidence.start()
        stack.callback(evidence.close)
    return _Outlets(
        link=link,
        early=hear_commands(link, config),
        alarms=alarms,
        triggers=_line_triggers(config, link, alarms),
        outbox=outbox,
        delivery=Delivery(outbox, link, config.outbox.confirm, alarms),
        evidence=evidence,
    )


def _watched(
    config: BoxConfig, bundle: Bundle, capture: Capture, alarms: Alarms, stack: ExitStack
) -> ViewWatch | None:
    """Every camera at its view, before the line is ready; then the watch over it."""
    views = config.views
    if views.at_start == "off" and not views.watch:
        return None
    baseline = bundle_baseline(bundle)
    if views.at_start != "off":
        check_identity(capture.look(LOOK_S), bundle, baseline, views, alarms)
    if not views.watch:
        return None
    watch = ViewWatch(bundle, baseline, views, alarms)
    watch.start()
    stack.callback(watch.close)
    return watch


def _line_triggers(config: BoxConfig, link: MqttLink, alarms: Alarms) -> MqttTriggers | None:
    """The ``trigger`` topic, heard from the first connection on, where the box file asks for it."""
    if not config.trigger.by_mqtt:
        return None
    triggers = MqttTriggers(alarms)
    link.subscribe(Topics(root=config.topic_root).trigger, triggers.handle, max_bytes=MAX_TRIGGER_BYTES)
    return triggers


@contextmanager
def _announced(out: _Outlets, state: StationState) -> Iterator[None]:
    """Over MQTT from start to end: starting, whatever the line says, then stopped or the error.

    Alarms of a box that stopped as it was told to are over; those of one that failed stand on.
    """
    out.link.start()
    out.delivery.start()
    final: tuple[Event, str] = ("halt", "stopped")
    try:
        yield
    except EdgeflowError as error:
        final = ("fail", error.message)
        if isinstance(error, ParityError):
            out.alarms.raise_("golden_parts", "error", error.message)
        _wait_for_broker(out.link)
        raise
    else:
        out.alarms.clear_all()
    finally:
        out.delivery.close(0.0)
        state.move(*final)
        out.link.stop()


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT finish the part in hand and end the line."""

    def handle(number: int, _frame: object) -> None:
        logger.info("signal %d: finishing the part in hand", number)
        stop()

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _wait_for_broker(link: MqttLink) -> None:
    """A moment for the first connection, so that the first decision finds it; the line runs without one."""
    deadline_s = time.monotonic() + BROKER_PATIENCE_S
    while not link.connected and time.monotonic() < deadline_s:
        time.sleep(0.01)
