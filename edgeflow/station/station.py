"""Station: an inspection box built from its box file, started, and shut down in order."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgeflow.capture.capture import Capture
from edgeflow.capture.part_product import ProductTimeline
from edgeflow.clock import monotonic_ns
from edgeflow.commands.issuers import read_rules
from edgeflow.commands.rules import Rules
from edgeflow.commands.service import commanded
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.config.camera_views import as_bundle_reads
from edgeflow.config.products.resolve import product_config
from edgeflow.contracts.messages import VerdictName
from edgeflow.decision.deadline import DeadlineMonitor
from edgeflow.decision.session import Session, new_session
from edgeflow.errors import DeviceError, ThreadError
from edgeflow.log_output import use_format
from edgeflow.metrics import PartMetrics
from edgeflow.monitoring.camera_health import CameraHealthReporter
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.monitoring.supervision import DeadThreads, Supervisor
from edgeflow.monitoring.view_monitor import ViewMonitor, check_identity
from edgeflow.shadow.runner import ShadowRunner
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle, load_verified
from edgeflow.station.birth import BirthPublisher, StatusReport, summary
from edgeflow.station.line import InspectionLine, RunView
from edgeflow.station.loop_watchdog import LoopWatchdog
from edgeflow.station.operations import Operations
from edgeflow.station.process.restart import Restart
from edgeflow.station.process.service_manager import PROOF_S, ServiceManager
from edgeflow.station.process.shutdown import TimedShutdown
from edgeflow.station.process.signals import stopped_by_signals
from edgeflow.station.process.switch_interval import shorten_switch_interval
from edgeflow.station.products.chosen import first_product
from edgeflow.station.products.loader import ProductLoader
from edgeflow.station.products.opening import Opening, load_bundles, open_bundles
from edgeflow.station.products.resident import ProductBundles
from edgeflow.station.reporting.box_reporting import MetricsSources, open_listener, reported
from edgeflow.station.reporting.followed_line import FollowedGate, FollowedStream, open_streams
from edgeflow.station.scoring_thread import ScoringThread
from edgeflow.station.services import (
    BoxServices,
    open_services,
    publish_end,
    running_services,
    wait_for_broker,
)
from edgeflow.station.state import StationState
from edgeflow.station.view_check import ViewCheck
from edgeflow.thread_activity import at_work

__all__ = ["run_box"]

logger = logging.getLogger(__name__)

DRAIN_S = 5.0
_OPENING_S = 120.0
_CAMERAS_S = 60.0
_SCORING_END_S = 2.0
LOOK_S = 1.5
SELF_TRIGGERED = ("interval", "free")  # nobody waits for an answer


def run_box(
    path: Path,
    *,
    overrides: tuple[str, ...],
    once: bool,
    view: RunView,
    load: Callable[..., LoadedBundle] = load_verified,
) -> bool:
    """Run a box until SIGTERM, SIGINT, the command ``restart`` or the end of its recorded parts.

    Args:
        load: how an opened bundle becomes one that inspects.

    Returns:
        True where the process is to begin anew; after ``restart`` under a service manager, that does it.

    Raises:
        ConfigError, IntegrityError, ParityError, CameraError, DeviceError, StorageError: the box
            cannot start. Once it runs, failures become verdicts, states and log lines, but for these two.
        DeviceError: scoring hung when the box was to end.
        ThreadError: a thread of the box died.
    """
    manager = ServiceManager.from_environment(os.environ)
    restart = Restart(path=path, overrides=overrides, supervised=manager.present)
    config = load_config(path, overrides)
    use_format(config.log.format)
    session = new_session()
    shorten_switch_interval()
    rules = read_rules(config, session.id)
    with ExitStack() as stack:
        stack.callback(manager.close)
        manager.extend(_OPENING_S, "opening the bundle, the outbox and the evidence")
        products = ProductTimeline(first_product(config)) if config.products else None
        opening = open_bundles(config, products.now.name if products else None)
        stack.callback(opening.close)
        bundle, order = opening.first.bundle, opening.first.order
        listener = open_listener(config, stack)
        out = open_services(config, session.id, stack)
        birth = BirthPublisher(config, session.id, out.link, out.alarms)
        birth.publish(bundle, order.first, order.chosen_by)
        state = StationState(
            out.link, session.id, lambda: birth.recipe, lambda: products.now.name if products else None
        )
        stack.enter_context(running_services(out, state))
        deaths = DeadThreads()
        stack.enter_context(Supervisor(out.alarms, deaths))
        scoring = ScoringThread()
        stack.callback(scoring.close, _SCORING_END_S)
        bundles = load_bundles(
            opening,
            products,
            session=session,
            alarms=out.alarms,
            release=scoring.release,
            patience=partial(_verifying, manager),
            load=load,
        )
        stack.callback(bundles.close)
        loaded = bundles.newest
        box = _Box(
            config=config,
            session=session,
            out=out,
            state=state,
            bundles=bundles,
            products=products,
            scoring=scoring,
            manager=manager,
            deaths=deaths,
            restart=restart,
        )
        capture, watch = _opened(box, opening, stack)
        latencies_ms = capture.latencies_ms()
        if latencies_ms or loaded.graph != order.first or isinstance(bundles, ProductBundles):
            birth.measured(latencies_ms)
            if isinstance(bundles, ProductBundles):
                birth.products = bundles.infos
            birth.publish(loaded.bundle, loaded.graph, loaded.chosen_by)
        status = _status(box, capture)
        live = open_streams(status, state, out.right_of_way, stack)
        shadow = _shadowed(box, stack)
        metrics = stack.enter_context(reported(_metrics_sources(box, capture, shadow), listener))
        stack.enter_context(_commanded(box, rules, birth, (status, live), capture))
        stack.enter_context(_brought_back(box))
        counts = _inspect(box, capture, watch, (live, metrics, shadow), once=once, view=view)
        manager.stopping()
        out.delivery.close(DRAIN_S)
        waiting = out.outbox.count()
        _end_scoring(box)
        deaths.raise_first()
    view.finished(counts, waiting)
    return restart.asked and not restart.supervised


@contextmanager
def _verifying(manager: ServiceManager, name: str) -> Iterator[None]:
    manager.extend(PROOF_S, f"verifying bundle {name} on this device")
    with at_work(PROOF_S):
        yield


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A box whose bundle is verified, with its services."""

    config: BoxConfig
    session: Session
    out: BoxServices
    state: StationState
    bundles: ActiveBundle | ProductBundles
    products: ProductTimeline | None
    scoring: ScoringThread
    manager: ServiceManager
    deaths: DeadThreads
    restart: Restart

    @property
    def first_config(self) -> BoxConfig:
        """The box file with the cameras as the product that is chosen at the start has them."""
        name = self.products.now.name if self.products is not None else None
        cameras = self.config.cameras if name is None else product_config(self.config, name).cameras
        return self.config.model_copy(update={"cameras": cameras})


def _end_scoring(box: _Box) -> None:
    """Release bundle and device, unless scoring hangs: then the process has to end without that."""
    box.bundles.close()
    if not box.scoring.close(_SCORING_END_S):
        device = box.config.runtime.device
        raise DeviceError(
            f"scoring on device {device} hangs, and the process ends without its answer; if that "
            "happens again, restart the computer, and update the device's driver"
        )


def _opened(box: _Box, opening: Opening, stack: ExitStack) -> tuple[Capture, ViewMonitor | None]:
    """Cameras open, at their views and watched over; signals end what they capture."""
    alarms = box.out.alarms
    box.manager.extend(_CAMERAS_S, "opening the cameras")
    with at_work(_CAMERAS_S):
        bundle = opening.first.bundle
        capture = stack.enter_context(
            Capture(
                as_bundle_reads(box.first_config, bundle.manifest.preprocessing),
                opening.views,
                box.session.id,
                messages=box.out.triggers,
                alarms=alarms,
                products=box.products,
            )
        )
        watch = _watched(box, capture, stack)
    box.state.move("opened", "golden parts reproduced, cameras open")
    stack.enter_context(
        CameraHealthReporter(capture, box.out.link, alarms, box.session.id, box.state.degrade)
    )
    stack.enter_context(stopped_by_signals(capture.stop))
    end = stack.enter_context(TimedShutdown(partial(publish_end, box.out, box.state)))
    box.deaths.end_by(capture.stop, partial(end.begin, ThreadError.exit_code))
    return capture, watch


def _status(box: _Box, capture: Capture) -> StatusReport:
    out = box.out
    return StatusReport(
        session=box.session.id,
        state=box.state,
        bundles=box.bundles,
        alarms=out.alarms,
        link=out.link,
        outbox=out.outbox,
        manager=box.manager,
        triggers=out.triggers,
        cameras=capture.statuses,
        box_file_sha256=box.restart.read_sha256,
    )


def _metrics_sources(box: _Box, capture: Capture, shadow: ShadowRunner | None) -> MetricsSources:
    return MetricsSources(
        config=box.config,
        session=box.session,
        out=box.out,
        state=box.state,
        bundles=box.bundles,
        manager=box.manager,
        cameras=capture.statuses,
        shadow=shadow,
    )


def _shadowed(box: _Box, stack: ExitStack) -> ShadowRunner | None:
    """The candidate bundle beside the running one, where the box file names one."""
    if box.config.shadow is None:
        return None
    out = box.out
    return stack.enter_context(ShadowRunner(box.config, box.config.shadow, out.alarms, out.right_of_way))


def _commanded(
    box: _Box,
    rules: Rules,
    birth: BirthPublisher,
    watched: tuple[StatusReport, FollowedStream],
    capture: Capture,
) -> AbstractContextManager[None]:
    """The box takes commands, and answers for itself."""
    out = box.out
    operations = Operations(
        config=box.config,
        session=box.session,
        bundles=box.bundles,
        state=box.state,
        alarms=out.alarms,
        evidence=out.evidence,
        publish_birth=birth.publish,
        reset_triggers=out.triggers.reset if out.triggers else lambda: None,
        manager=box.manager,
        cameras=capture,
        restart=box.restart.ask,
    )
    status, streams = watched
    return commanded(
        box.config,
        rules,
        operations.verbs(),
        out.link,
        out.early,
        status,
        streams.live.serve,
        streams.decisions.serve,
    )


@contextmanager
def _brought_back(box: _Box) -> Iterator[None]:
    """Bundles that gave up their memory come back when a part of their product comes."""
    if not isinstance(box.bundles, ProductBundles):
        yield
        return
    loader = ProductLoader(box.bundles, box.out.alarms)
    loader.start()
    try:
        yield
    finally:
        loader.close()


def _inspect(
    box: _Box,
    capture: Capture,
    watch: ViewMonitor | None,
    watchers: tuple[FollowedStream, PartMetrics, ShadowRunner | None],
    *,
    once: bool,
    view: RunView,
) -> Counter[VerdictName]:
    """The line, from ready to its last part; how many got which verdict."""
    out, state = box.out, box.state
    live, metrics, shadow = watchers
    view.ready(summary(box.config, box.bundles.newest))
    wait_for_broker(out.link)
    line_monitor = LineMonitor(
        box.config.alarms, out.alarms, period_ms=box.config.trigger.period_ms, now_ns=monotonic_ns()
    )
    turn = LoopWatchdog(
        scoring=box.scoring,
        line_monitor=line_monitor,
        manager=box.manager,
        link=out.link,
        alarms=out.alarms,
        clock=monotonic_ns,
    )
    captured = capture.view_sets(turn)  # a controller triggers as soon as it reads that the line is ready
    state.move("prepared", "ready")
    state.move("start", "running")
    box.manager.ready()
    line = InspectionLine(
        bundles=box.bundles,
        gate=FollowedGate(link=out.link, decisions=live.decisions),
        outbox=out.outbox,
        evidence=out.evidence,
        history=out.history,
        drift=out.drift,
        views=watch,
        live=live,
        metrics=metrics,
        shadow=shadow,
        gate_told=out.link.gate.told,
        show=view.show,
        clock=monotonic_ns,
        view_check=ViewCheck(box.config, out.alarms),
        scoring=box.scoring,
        right_of_way=out.right_of_way,
        hang_ns=round(box.config.alarms.scoring_hangs_s * 1e9),
        line_monitor=line_monitor,
        turn=turn,
        deadline_monitor=DeadlineMonitor(out.alarms),
    )
    asked = box.config.trigger.source not in SELF_TRIGGERED
    view_sets = state.inspected(captured, asked=asked)
    with at_work(_CAMERAS_S):  # and every turn says so anew
        return line.run(itertools.islice(view_sets, 1 if once else None))


def _watched(box: _Box, capture: Capture, stack: ExitStack) -> ViewMonitor | None:
    """Every camera at its view, before the line is ready; then the watch over it.

    Before the first trigger, nobody knows the product in front of the cameras where triggers name it.
    """
    views, alarms = box.config.views, box.out.alarms
    if views.at_start == "off" and not views.watch:
        return None
    loaded = box.bundles.newest
    known = box.products is None or box.products.now.name is not None
    if views.at_start != "off" and known:
        check_identity(capture.look(LOOK_S), loaded.bundle, loaded.baseline, views, alarms)
    if not views.watch:
        return None
    watch = ViewMonitor(loaded.baseline, views, alarms)
    watch.start()
    stack.callback(watch.close)
    return watch
