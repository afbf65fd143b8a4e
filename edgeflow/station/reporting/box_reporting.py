"""Metrics of one station: its services as sources, the server for Prometheus where the box file wants one."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from edgeflow import __version__
from edgeflow.cameras.worker import CameraHealth
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.decision.session import Session
from edgeflow.metrics import BoxMetrics, BundleFigures, MetricsPublisher, PartMetrics, Sources
from edgeflow.metrics.figures import CandidateFigures
from edgeflow.shadow.runner import ShadowRunner
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.products.box_bundles import BoxBundles
from edgeflow.station.products.resident import ProductBundles
from edgeflow.station.services import BoxServices
from edgeflow.station.state import StationState

__all__ = ["MetricsSources", "open_listener", "reported"]


@dataclass(frozen=True, kw_only=True)
class MetricsSources:
    """Parts of a station that its metrics are made of, once its cameras are open."""

    config: BoxConfig
    session: Session
    out: BoxServices
    state: StationState
    bundles: BoxBundles
    manager: ServiceManager
    cameras: Callable[[], Mapping[str, CameraHealth]]
    shadow: ShadowRunner | None = None


def open_listener(config: BoxConfig, stack: ExitStack) -> socket.socket | None:
    """Take the address of the metrics early, so that a box whose address is taken does not start.

    Raises:
        UsageError: the address cannot be used.
    """
    if config.metrics.listen is None:
        return None
    from edgeflow.metrics.server import bound_socket  # noqa: PLC0415 - prometheus_client, only where wanted

    listener = bound_socket(config.metrics.listen)
    stack.callback(listener.close)
    return listener


@contextmanager
def reported(sources: MetricsSources, listener: socket.socket | None) -> Iterator[PartMetrics]:
    """Publish and serve the metrics; yield what takes the results of the line."""
    out, parts = sources.out, PartMetrics()
    metrics = BoxMetrics(_sources(sources), parts)
    out.outbox.on_stored(parts.stored)
    out.delivery.on_confirmed(parts.confirmed)
    every_s = sources.config.metrics.every_s
    with ExitStack() as stack:
        stack.enter_context(MetricsPublisher(metrics, out.link, out.right_of_way, every_s))
        if listener is not None:
            _serve(sources, metrics, listener, stack)
        yield parts


def _serve(sources: MetricsSources, metrics: BoxMetrics, listener: socket.socket, stack: ExitStack) -> None:
    from prometheus_client import CollectorRegistry, ProcessCollector  # noqa: PLC0415 - only where wanted

    from edgeflow.metrics.exposition import BoxCollector  # noqa: PLC0415
    from edgeflow.metrics.server import MetricsServer  # noqa: PLC0415

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(BoxCollector(metrics.figures, _about(sources.config)))
    out = sources.out
    stack.enter_context(MetricsServer(listener, registry, out.alarms, out.right_of_way))


def _about(config: BoxConfig) -> dict[str, str]:
    station = config.station
    return {
        "site": station.site,
        "line": station.line,
        "station": station.station,
        "box": config.device_name,
        "version": __version__,
    }


def _sources(sources: MetricsSources) -> Sources:
    out, history = sources.out, sources.out.history
    return Sources(
        session=sources.session.id,
        state=lambda: sources.state.now,
        bundle=lambda: _bundle(sources.bundles),
        alarms=out.alarms,
        link=out.link,
        outbox=out.outbox,
        cameras=sources.cameras,
        evidence=out.evidence,
        history_missed=lambda: history.writer.missed if history is not None else 0,
        products=lambda: _loaded(sources.bundles),
        watchdog=lambda: sources.manager.watchdog(monotonic_ns()),
        candidate=lambda: _candidate(sources.shadow),
    )


def _loaded(bundles: BoxBundles) -> Mapping[str, bool]:
    if not isinstance(bundles, ProductBundles):
        return {}
    return {product["name"]: product["loaded"] for product in bundles.status()}


def _candidate(shadow: ShadowRunner | None) -> CandidateFigures | None:
    if shadow is None:
        return None
    found = shadow.figures()
    return CandidateFigures(
        comparing=found.state == "comparing",
        outcomes=found.outcomes,
        skipped=found.skipped,
        ended=found.ended,
    )


def _bundle(bundles: BoxBundles) -> BundleFigures:
    loaded = bundles.newest
    return BundleFigures(
        name=loaded.manifest.name,
        version=loaded.manifest.version,
        sha256=loaded.bundle.sha256,
        graph=loaded.graph.id,
        backend=loaded.graph.backend,
        precision=loaded.graph.precision,
    )
