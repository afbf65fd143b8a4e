"""Birth message of a box, its summary line on the terminal, its status on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from edgeflow import __version__
from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.addresses import public_source
from edgeflow.cameras.worker import CameraHealth
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.clock import monotonic_ns, utc_now, utc_text
from edgeflow.config.box import BoxConfig, config_sha256
from edgeflow.contracts.manifest import Graph, Manifest
from edgeflow.contracts.messages import MESSAGES, Birth, BundleInfo, CameraInfo, GraphChosenBy, ProductInfo
from edgeflow.decision.result import bundle_info
from edgeflow.delivery.outbox import Outbox
from edgeflow.mqtt.home_assistant import discovery
from edgeflow.mqtt.link import MqttLink
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.products.resident import ProductBundles
from edgeflow.station.state import StationState

__all__ = ["BirthPublisher", "StatusReport", "make_birth", "summary", "warn_of_expiry"]

EXPIRES_SOON = timedelta(days=14)


def make_birth(
    config: BoxConfig,
    session: str,
    bundle: BundleInfo,
    latencies_ms: Mapping[str, float] | None = None,
    products: tuple[ProductInfo, ...] = (),
) -> Birth:
    """Return the birth message: versions, bundle and cameras of a box."""
    cameras = tuple(
        CameraInfo(
            view=view,
            kind=camera.kind,
            source=public_source(camera),
            latency_ms=None if latencies_ms is None else latencies_ms.get(view),
        )
        for view, camera in config.cameras.items()
    )
    return Birth(
        session=session,
        edgeflow_version=__version__,
        bundle=bundle,
        config_sha256=config_sha256(config),
        cameras=cameras,
        products=products,
        message_schemas=tuple(str(model.model_fields["schema_"].default) for model in MESSAGES.values()),
        at=utc_text(),
    )


class BirthPublisher:
    """Publishes the birth message: at the start, and again when another bundle inspects.

    Attributes:
        products: returns all products, once a box with several has verified them.
    """

    def __init__(self, config: BoxConfig, session: str, link: MqttLink, alarms: Alarms) -> None:
        self._config = config
        self._session = session
        self._link = link
        self._alarms = alarms
        self.recipe = ""
        self.products: Callable[[], tuple[ProductInfo, ...]] = tuple
        self._latencies_ms: Mapping[str, float] = {}

    def measured(self, latencies_ms: Mapping[str, float]) -> None:
        """Take the latency of the open cameras, for the next birth message."""
        self._latencies_ms = latencies_ms

    def publish(self, bundle: Bundle, graph: Graph, chosen_by: GraphChosenBy) -> None:
        """Publish the birth and what other systems want; an alarm where the bundle's time is soon over."""
        self.recipe = bundle.manifest.name
        info = bundle_info(bundle, graph, chosen_by)
        self._link.publish_birth(
            make_birth(self._config, self._session, info, self._latencies_ms, self.products())
        )
        for topic, document in discovery(self._config).items():
            self._link.publish_document(topic, document)
        warn_of_expiry(bundle.manifest, self._alarms, utc_now())


def summary(config: BoxConfig, loaded: LoadedBundle) -> str:
    """Return the summary of a box that is ready, in one line."""
    products = f"{len(config.products)} products, " if config.products else ""
    return (
        f"{config.topic_root}: {products}bundle {loaded.manifest.name} ({loaded.graph.id} on "
        f"{loaded.scorer.placement.device}, golden parts reproduced), {len(config.cameras)} cameras, "
        f"broker {config.mqtt.host}:{config.mqtt.port}"
    )


def warn_of_expiry(manifest: Manifest, alarms: Alarms, now: datetime) -> None:
    """Raise an alarm where the bundle expires soon: the box runs on, but does not start again then."""
    if manifest.expires is None or manifest.expires - now >= EXPIRES_SOON:
        alarms.clear("bundle_expires")
        return
    text = f"bundle {manifest.name}: no start after {manifest.expires.isoformat()}; install a newer one"
    alarms.raise_("bundle_expires", "warning", text)


@dataclass(frozen=True, kw_only=True)
class StatusReport:
    """Status of a box, for ``edgeflow ctl BOX status`` and for those who watch it."""

    session: str
    state: StationState
    bundles: ActiveBundle | ProductBundles
    alarms: Alarms
    link: MqttLink
    outbox: Outbox
    manager: ServiceManager
    triggers: MqttTriggers | None = None
    cameras: Callable[[], Mapping[str, CameraHealth]] = dict
    box_file_sha256: str = ""

    def __call__(self) -> dict[str, Any]:
        """Return the status, for JSON."""
        manifest = self.bundles.newest.manifest
        return {
            "session": self.session,
            "state": self.state.now,
            "box_file_sha256": self.box_file_sha256,
            "bundle": {
                "name": manifest.name,
                "version": manifest.version,
                "sha256": self.bundles.newest.bundle.sha256,
                "graph": self.bundles.newest.graph.id,
                "graph_chosen_by": self.bundles.newest.chosen_by,
            },
            **self._products(),
            "broker": self._broker(),
            "broker_address": self.link.address,
            "broker_user": self.link.username,
            "broker_refuses": list(self.link.refusals),
            "results_waiting": self.outbox.count(),
            "results_set_aside": len(self.outbox.aside()),
            "decisions_unsent": self.link.decisions_unsent,
            "triggers": self.triggers.status() if self.triggers is not None else {},
            "decisions_refused": self.link.gate.refused,
            "cameras": {view: asdict(health) for view, health in self.cameras().items()},
            "watchdog": asdict(self.manager.watchdog(monotonic_ns())),
            "alarms": [alarm.model_dump(mode="json", by_alias=True) for alarm in self.alarms.standing()],
        }

    def _products(self) -> dict[str, Any]:
        if not isinstance(self.bundles, ProductBundles):
            return {}
        return {"product": self.bundles.timeline.now.name, "products": self.bundles.status()}

    def _broker(self) -> str:
        if not self.link.connected:
            return self.link.problem
        refused = len(self.link.refusals)
        return f"connected, but it refuses {refused} topics" if refused else "connected"
