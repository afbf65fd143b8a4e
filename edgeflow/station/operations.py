"""Operations: the commands that a running box carries out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.commands.dispatcher import AttributedOperation, Operation
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.messages import GraphChosenBy
from edgeflow.decision.session import Session
from edgeflow.errors import UsageError
from edgeflow.evidence.writer import Evidence
from edgeflow.history.labelling import label_by_command
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.products.changeover import Cameras, Changeover
from edgeflow.station.products.exchange import BundleExchange
from edgeflow.station.products.resident import ProductBundles
from edgeflow.station.state import StationState

__all__ = ["Operations"]


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Commands, executed on the thread of the command dispatcher while the line runs.

    Attributes:
        reset_triggers: forgets what the line's triggers are compared with.
        cameras: of the running box, whose settings may change with the product.
        restart: ends the box after the part in hand, so that it begins anew; None where it cannot.
        publish_birth: publishes which bundle inspects from the next part on.
    """

    config: BoxConfig
    session: Session
    bundles: ActiveBundle | ProductBundles
    state: StationState
    alarms: Alarms
    evidence: Evidence | None
    publish_birth: Callable[[Bundle, Graph, GraphChosenBy], None]
    manager: ServiceManager
    reset_triggers: Callable[[], None] = lambda: None
    cameras: Cameras | None = None
    restart: Callable[[], str] | None = None

    def verbs(self) -> dict[str, Operation | AttributedOperation]:
        """Return verb → operation."""
        return {
            "start": self.start,
            "stop": self.stop,
            "reset": self.reset,
            "snapshot": self.snapshot,
            "reload": self.reload,
            "rollback": self.rollback,
            "recalibrate": self.recalibrate,
            "label": AttributedOperation(carry_out=self.label),
            "product": self.product,
            "restart": self.begin_anew,
        }

    def start(self, arguments: Mapping[str, str]) -> str:
        """Start the inspection of parts."""
        _only(arguments)
        return f"{self.state.move('start', 'running')}: parts are inspected"

    def stop(self, arguments: Mapping[str, str]) -> str:
        """Stop the inspection of parts; cameras and connections stay."""
        _only(arguments)
        state = self.state.move("stop", "stopped by command")
        return f"{state}: no part is inspected until 'start'; a restart of the box starts it, too"

    def reset(self, arguments: Mapping[str, str]) -> str:
        """Clear all alarms and leave an error state."""
        _only(arguments)
        cleared = self.alarms.clear_all()
        self.reset_triggers()
        state = self.state.move("reset", "running" if self.state.running else "reset")
        return f"{state}: {cleared} alarms cleared; problems that still exist are raised again"

    def snapshot(self, arguments: Mapping[str, str]) -> str:
        """Keep the next part's evidence, whatever its verdict."""
        _only(arguments)
        if self.evidence is None or self.config.evidence is None:
            raise UsageError("this box keeps no evidence; give its file a section 'evidence'")
        self.evidence.snapshot()
        return f"the next part is kept below {self.config.evidence.dir}, whatever its verdict"

    def label(self, arguments: Mapping[str, str], who: str, source: Literal["mqtt", "local"]) -> str:
        """Record a person's label of a part, in the history and beside its images."""
        if not self.config.history.enabled:
            raise UsageError("this box keeps no history (history.enabled), and labels belong to it")
        return label_by_command(self.config.history_path, arguments, who=who, source=source)

    def recalibrate(self, arguments: Mapping[str, str]) -> str:
        """Refuse: thresholds are part of the bundle, which is signed elsewhere."""
        _only(arguments)
        raise UsageError(
            "not while the box runs: thresholds belong to the bundle and are signed with it; run "
            "'edgeflow calibrate BUNDLE PARTS -o NAME.bundle --sign KEY', copy it beside the present one, "
            "then 'reload bundle=NAME.bundle'"
        )

    def reload(self, arguments: Mapping[str, str]) -> str:
        """Verify another bundle, or the present file again, and exchange it."""
        _only(arguments, "bundle", "product")
        return self._exchange.reload(arguments.get("product"), arguments.get("bundle"))

    def rollback(self, arguments: Mapping[str, str]) -> str:
        """Go back to the previous bundle, although it may be older than the installed record allows."""
        _only(arguments, "product", "from")
        return self._exchange.rollback(arguments.get("product"), running=arguments.get("from"))

    def begin_anew(self, arguments: Mapping[str, str]) -> str:
        """Start the box anew with its file as it is now; from this computer alone."""
        _only(arguments)
        if self.restart is None:
            raise UsageError("this box does not start anew by itself; stop it, and start it")
        return self.restart()

    def product(self, arguments: Mapping[str, str]) -> str:
        """Inspect another product from the next trigger on."""
        bundles = self.bundles if isinstance(self.bundles, ProductBundles) else None
        changeover = Changeover(
            config=self.config,
            bundles=bundles,
            manager=self.manager,
            cameras=self.cameras,
            chosen=self._publish,
        )
        return changeover.command(arguments)

    @property
    def _exchange(self) -> BundleExchange:
        return BundleExchange(
            config=self.config,
            session=self.session,
            bundles=self.bundles,
            alarms=self.alarms,
            manager=self.manager,
            taken=self._publish,
        )

    def _publish(self, loaded: LoadedBundle) -> None:
        """Tell what stands for the box now; a bundle of a product that is not chosen does not."""
        newest = self.bundles.newest if isinstance(self.bundles, ProductBundles) else loaded
        self.publish_birth(newest.bundle, newest.graph, newest.chosen_by)
        self.state.publish()


def _only(arguments: Mapping[str, str], *known: str) -> None:
    unknown = ", ".join(sorted(set(arguments) - set(known)))
    if unknown:
        raise UsageError(f"unknown arguments: {unknown}; this command takes: {', '.join(known) or 'none'}")
