"""Services that run beside the line: MQTT, alarms, triggers, outbox, history, evidence and commands."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edgeflow.alarms import Alarms
from edgeflow.capture.capture import late_message_ms
from edgeflow.capture.trigger_messages.memory import Windows
from edgeflow.capture.trigger_messages.mqtt_triggers import MAX_TRIGGER_BYTES, MqttTriggers
from edgeflow.capture.trigger_messages.product_field import ProductField
from edgeflow.commands.service import CommandInbox, receive_commands
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Availability
from edgeflow.contracts.topics import Topics
from edgeflow.delivery.outbox import Outbox, open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.errors import EdgeflowError, ParityError, failure_text
from edgeflow.evidence.writer import Evidence
from edgeflow.history.box import BoxHistory, open_history
from edgeflow.monitoring.clock_monitor import ClockMonitor
from edgeflow.monitoring.drift.monitor import DriftMonitor
from edgeflow.mqtt.link import MqttLink
from edgeflow.right_of_way import RightOfWay
from edgeflow.station.state import Event, StationState

__all__ = ["BoxServices", "open_services", "publish_end", "running_services", "wait_for_broker"]

BROKER_PATIENCE_S = 2.0
_FLUSH_S = 1.0


@dataclass(frozen=True, kw_only=True)
class BoxServices:
    """Services of a box, from before the verification of the bundle to the end.

    Attributes:
        early: where commands wait until the box can carry them out.
        right_of_way: the line's, over what runs beside it.
    """

    link: MqttLink
    early: CommandInbox
    alarms: Alarms
    triggers: MqttTriggers | None
    outbox: Outbox
    delivery: ResultSender
    evidence: Evidence | None
    right_of_way: RightOfWay
    history: BoxHistory | None
    drift: DriftMonitor | None


def open_services(config: BoxConfig, session: str, stack: ExitStack) -> BoxServices:
    """Open all services but for the connection; the stack closes those that hold files."""
    link = MqttLink(config, session)
    alarms = Alarms(session, link)
    link.report_to(alarms)
    clock_watch = ClockMonitor(alarms)
    clock_watch.start()
    stack.callback(clock_watch.close)
    history = open_history(config, alarms)
    if history is not None:
        history.start()
        stack.callback(history.close)  # after the outbox, which is closed before
    outbox = open_outbox(config.outbox, alarms, root=config.topic_root)
    stack.callback(outbox.close)
    if history is not None:
        outbox.on_stored(history.stored)
    evidence, right_of_way = None, RightOfWay()
    if config.evidence is not None:
        evidence = Evidence(config.evidence, alarms, right_of_way=right_of_way)
        evidence.start()
        stack.callback(evidence.close)
    return BoxServices(
        link=link,
        early=receive_commands(link, config),
        alarms=alarms,
        triggers=_line_triggers(config, link, alarms),
        outbox=outbox,
        delivery=ResultSender(outbox, link, config.outbox.confirm, alarms),
        evidence=evidence,
        right_of_way=right_of_way,
        history=history,
        drift=_drift_monitor(config, alarms, stack),
    )


def _drift_monitor(config: BoxConfig, alarms: Alarms, stack: ExitStack) -> DriftMonitor | None:
    bounds = config.alarms
    if bounds.score_drift is None:
        return None
    monitor = DriftMonitor(
        config.drift_path, alarms, bound=bounds.score_drift, parts=bounds.score_drift_parts
    )
    monitor.start()
    stack.callback(monitor.close)
    return monitor


def _line_triggers(config: BoxConfig, link: MqttLink, alarms: Alarms) -> MqttTriggers | None:
    """Subscribe to the ``trigger`` topic, where the box file has the setting."""
    if not config.trigger.by_mqtt:
        return None
    names_only = config.trigger.source == "hardware"
    field = None
    if config.trigger.product is not None:
        field = ProductField(field=config.trigger.product, products=tuple(config.products or ()))
    triggers = MqttTriggers(
        alarms,
        late_ms=late_message_ms(config),
        names_only=names_only,
        windows=_windows(config),
        product_field=field,
    )
    link.subscribe(
        Topics(root=config.topic_root).trigger,
        triggers.handle,
        max_bytes=MAX_TRIGGER_BYTES,
        report_larger=True,
    )
    return triggers


def _windows(config: BoxConfig) -> Windows:
    """Return the time windows of parts: under way until the deadline or the timeout of frames."""
    under_way_ms = max(config.decision.deadline_ms, config.trigger.timeout_ms)
    part_ms = under_way_ms + config.decision.valid_ms
    return Windows(under_way_ns=round(under_way_ms * 1e6), part_ns=round(part_ms * 1e6))


@contextmanager
def running_services(out: BoxServices, state: StationState) -> Iterator[None]:
    """Connect, and publish the state from start to end: at the end ``stopped`` or the error.

    A box that stopped as it was told to says ``stopped``, and its alarms are over. One that failed, of
    whatever, is ``offline``: nobody stopped it, and its alarms stand on.
    """
    out.link.start()
    out.delivery.start()
    final: tuple[Event, str] = ("halt", "stopped")
    word: Availability = "stopped"
    try:
        yield
    except KeyboardInterrupt:  # somebody stopped it before it ran
        raise
    except BaseException as error:
        word, final = "offline", ("fail", failure_text(error))
        if not isinstance(error, EdgeflowError):
            out.alarms.raise_("thread_died", "error", f"the line failed: {final[1]}; see the box's log")
        if isinstance(error, ParityError):
            out.alarms.raise_("golden_parts", "error", error.message)
        wait_for_broker(out.link)
        raise
    else:
        out.alarms.clear_all()
    finally:
        out.delivery.close(0.0)
        state.move(*final)
        out.link.stop(word)


def publish_end(out: BoxServices, state: StationState, text: str) -> None:
    """Publish the end of a process that is ended by force: its state and availability; store its results."""
    with contextlib.suppress(EdgeflowError):  # it has ended already
        state.move("fail", text)
    out.outbox.flush(_FLUSH_S)
    out.link.stop("offline")


def wait_for_broker(link: MqttLink) -> None:
    """A moment for the first connection, so that the first decision finds it; the line runs without one."""
    deadline_s = time.monotonic() + BROKER_PATIENCE_S
    while not link.connected and time.monotonic() < deadline_s:
        time.sleep(0.01)
