"""One inspection box put together from its configuration, started, and shut down in order."""

from __future__ import annotations

import itertools
import logging
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from edgeflow import __version__
from edgeflow.alarms import Alarms
from edgeflow.bundle import Bundle
from edgeflow.cameras.source import public_source
from edgeflow.capture import Capture
from edgeflow.clock import monotonic_ns, utc_now, utc_text
from edgeflow.config import BoxConfig, config_sha256, load_config
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.messages import MESSAGES, Birth, BundleInfo, CameraInfo, State, StateName
from edgeflow.contracts.topics import Topics
from edgeflow.delivery import Delivery
from edgeflow.errors import EdgeflowError, ParityError
from edgeflow.evidence import Evidence
from edgeflow.graph_runner import Placement
from edgeflow.health import HealthReporter
from edgeflow.keeper import Keeper
from edgeflow.lateness import LateWatch
from edgeflow.loaded_bundle import BundleSlot, open_for_box, prove
from edgeflow.mqtt import MqttLink
from edgeflow.mqtt_triggers import MAX_TRIGGER_BYTES, MqttTriggers
from edgeflow.outbox import open_outbox
from edgeflow.pipeline import Line
from edgeflow.result import bundle_info
from edgeflow.run_view import RunView
from edgeflow.trust import note_as_run

__all__ = ["run_box"]

logger = logging.getLogger(__name__)

BROKER_PATIENCE_S = 2.0
DRAIN_S = 5.0
EXPIRES_SOON = timedelta(days=14)


def run_box(path: Path, *, overrides: tuple[str, ...], once: bool, view: RunView) -> None:
    """Run a box until SIGTERM, SIGINT or the end of its recorded parts.

    Raises:
        ConfigError, IntegrityError, ParityError, CameraError, DeviceError, StorageError: the box
            cannot start. Once it runs, failures become verdicts, states and log lines.
    """
    config = load_config(path, overrides)
    session = uuid.uuid4().hex[:12]
    with ExitStack() as stack:
        bundle, graph = open_for_box(config, config.bundle)
        stack.callback(bundle.close)
        info = bundle_info(bundle, graph)
        link = MqttLink(config, session)
        alarms = Alarms(session, link)
        triggers = _line_triggers(config, link, alarms)
        outbox = open_outbox(config.outbox, alarms)
        stack.callback(outbox.close)
        delivery = Delivery(outbox, link, config.outbox.confirm, alarms)
        evidence = Evidence(config.evidence, alarms) if config.evidence else None
        if evidence:
            evidence.start()
            stack.callback(evidence.close)
        say = _announcer(link, session, bundle.manifest.name)
        link.publish_birth(_birth(config, session, info))
        stack.enter_context(_announced(link, delivery, say, alarms))
        _warn_of_expiry(bundle, alarms)
        loaded = prove(config, bundle, graph, session=session, numbers=itertools.count(1))
        note_as_run(bundle, config.trust)
        bundles = BundleSlot(loaded)
        stack.callback(bundles.close)
        capture = stack.enter_context(
            Capture(config, bundle.manifest.view_ids, session, messages=triggers, alarms=alarms)
        )
        stack.enter_context(HealthReporter(capture, link, alarms, session))
        stack.enter_context(_stopped_by_signals(capture.stop))
        view.ready(_summary(config, graph, info, loaded.scorer.placement))
        _wait_for_broker(link)
        say("ContinuousExecution", "running")
        keep = Keeper(outbox=outbox, evidence=evidence, bundles=bundles)
        line = Line(
            bundles=bundles,
            gate=link,
            keep=keep,
            show=view.show,
            clock=monotonic_ns,
            lateness=LateWatch(alarms),
        )
        counts = line.run(itertools.islice(capture.view_sets(), 1 if once else None))
        delivery.close(DRAIN_S)
        waiting = outbox.count()
    view.finished(counts, waiting)


def _line_triggers(config: BoxConfig, link: MqttLink, alarms: Alarms) -> MqttTriggers | None:
    """The ``trigger`` topic, heard from the first connection on, where the box file asks for it."""
    if not config.trigger.by_mqtt:
        return None
    triggers = MqttTriggers(alarms)
    link.subscribe(Topics(root=config.topic_root).trigger, triggers.handle, max_bytes=MAX_TRIGGER_BYTES)
    return triggers


def _warn_of_expiry(bundle: Bundle, alarms: Alarms) -> None:
    expires = bundle.manifest.expires
    if expires is not None and expires - utc_now() < EXPIRES_SOON:
        text = f"bundle {bundle.manifest.name}: no start after {expires.isoformat()}; install a newer one"
        alarms.raise_("bundle_expires", "warning", text)


Say = Callable[[StateName, str], None]


def _announcer(link: MqttLink, session: str, recipe: str) -> Say:
    def say(state: StateName, detail: str) -> None:
        ready = state == "ContinuousExecution"
        link.publish_state(
            State(session=session, state=state, detail=detail, recipe=recipe, ready=ready, at=utc_text())
        )

    return say


@contextmanager
def _announced(link: MqttLink, delivery: Delivery, say: Say, alarms: Alarms) -> Iterator[None]:
    """States over MQTT from start to end: starting, whatever the line says, then stopped or the error.

    Alarms of a box that stopped as it was told to are over; those of one that failed stand on.
    """
    say("PreOperational", "starting")
    link.start()
    delivery.start()
    final: tuple[StateName, str] = ("Halted", "stopped")
    try:
        yield
    except EdgeflowError as error:
        final = ("Error", error.message)
        if isinstance(error, ParityError):
            alarms.raise_("golden_parts", "error", error.message)
        _wait_for_broker(link)
        raise
    else:
        alarms.clear_all()
    finally:
        delivery.close(0.0)
        say(*final)
        link.stop()


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


def _birth(config: BoxConfig, session: str, bundle: BundleInfo) -> Birth:
    cameras = tuple(
        CameraInfo(view=view, kind=camera.kind, source=public_source(camera))
        for view, camera in config.cameras.items()
    )
    return Birth(
        session=session,
        edgeflow_version=__version__,
        bundle=bundle,
        config_sha256=config_sha256(config),
        cameras=cameras,
        message_schemas=tuple(str(model.model_fields["schema_"].default) for model in MESSAGES.values()),
        at=utc_text(),
    )


def _summary(config: BoxConfig, graph: Graph, bundle: BundleInfo, placement: Placement) -> str:
    return (
        f"{config.topic_root}: bundle {bundle.name} ({graph.id} on {placement.device}, golden parts "
        f"reproduced), {len(config.cameras)} cameras, broker {config.mqtt.host}:{config.mqtt.port}"
    )
