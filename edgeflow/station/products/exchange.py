"""Exchange of a bundle on a running box: verified beside the one that runs, then files, then the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.bundles import current_link
from edgeflow.bundles.trust import note_as_run
from edgeflow.bundles.version_record import permit_older
from edgeflow.config.box import BoxConfig
from edgeflow.config.products.resolve import only_product, product_named
from edgeflow.contracts.manifest import Manifest
from edgeflow.decision.session import Session
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.station.active_bundle import (
    ActiveBundle,
    LoadedBundle,
    load_verified,
    open_for_box,
    warn_of_graph,
)
from edgeflow.station.process.service_manager import PROOF_S, ServiceManager
from edgeflow.station.products.memory import measured_load
from edgeflow.station.products.resident import ProductBundles

__all__ = ["BundleExchange"]


@dataclass(frozen=True, kw_only=True)
class BundleExchange:
    """Takes another bundle for the box, or for one of its products, while the line runs.

    Attributes:
        taken: called with the bundle that inspects from the next part on.
    """

    config: BoxConfig
    session: Session
    bundles: ActiveBundle | ProductBundles
    alarms: Alarms
    manager: ServiceManager
    taken: Callable[[LoadedBundle], None]

    def reload(self, product: str | None, name: str | None) -> str:
        """Verify another bundle, or the present file again, and exchange it.

        Args:
            product: that is meant, on a box with several.
            name: of the file beside the present one; None: the present file.

        Raises:
            UsageError: no such product or file, or one of another kind.
            EdgeflowError: it does not run here; nothing is exchanged.
        """
        config = product_named(self.config, product)
        self._require_own_link(config, change=name is not None)
        path = config.bundle if name is None else current_link.sibling(config.bundle, name)
        return self._take(path, config, link=name is not None)

    def rollback(self, product: str | None, *, running: str | None = None) -> str:
        """Go back to the previous bundle, although it may be older than the installed record allows.

        Args:
            running: SHA-256 of the bundle to leave; a command that is sent twice goes back once.

        Raises:
            UsageError: no such product, or no bundle before this one.
            EdgeflowError: it does not run here; nothing is exchanged.
        """
        config = product_named(self.config, product)
        self._require_own_link(config, change=True)
        self._require_running(config, running)
        path = current_link.previous_target(config.bundle)
        older = config.trust.model_copy(update={"allow_older": True}) if config.trust else None
        return self._take(path, config.model_copy(update={"trust": older}), link=True)

    def _take(self, path: Path, config: BoxConfig, *, link: bool) -> str:
        """Verify a bundle beside the one that runs; only then exchange files and line.

        The order holds at every crash: what the box would start with is whole, and allowed.
        """
        product = only_product(config)
        bundle, order = open_for_box(config, path)
        try:
            self._check_fits(bundle.manifest, product)
            with self.manager.patience(PROOF_S, f"verifying {path.name}"):
                loaded, mb = measured_load(
                    partial(load_verified, config, bundle, order, session=self.session)
                )
        except EdgeflowError as cause:
            bundle.close()
            text = f"{path.name} not taken: {cause.message}"
            self.alarms.raise_("golden_parts", "error", text, subject=product or "")
            raise
        try:
            record = config.trust.installed if config.trust else None
            if record is not None and config.trust and config.trust.allow_older:
                permit_older(record, bundle.manifest, bundle.sha256, product)
            if link:
                current_link.switch(config.bundle, path)
            note_as_run(bundle, config.trust, product=product)
            self._offer(loaded, product, mb)
        except EdgeflowError:
            loaded.close()
            raise
        self.alarms.clear("golden_parts", subject=product or "")
        if product is not None:
            self.alarms.clear("product_failed", subject=product)
        warn_of_graph(loaded, self.alarms, subject=product or "")
        self.taken(loaded)
        manifest = bundle.manifest
        whose = f" of product {product}" if product is not None else ""
        return (
            f"{manifest.name} version {manifest.version} ({bundle.sha256[:16]}) has reproduced its golden "
            f"parts and inspects from the next part{whose} on"
        )

    def _offer(self, loaded: LoadedBundle, product: str | None, mb: float) -> None:
        if isinstance(self.bundles, ProductBundles):
            self.bundles.offer(product or "", loaded, mb)
        else:
            self.bundles.offer(loaded)

    def _check_fits(self, manifest: Manifest, product: str | None) -> None:
        """Another name, or other views, take a restart: who reads results may expect neither."""
        running: Manifest | None
        if isinstance(self.bundles, ProductBundles):
            running = self.bundles.product(product or "").manifest
        else:
            running = self.bundles.newest.manifest
        if running is None:
            return  # it never ran
        if manifest.view_ids != running.view_ids:
            raise UsageError(
                f"its views are {', '.join(manifest.view_ids)}, the cameras run for "
                f"{', '.join(running.view_ids)}; restart the box"
            )
        if manifest.name != running.name:
            raise UsageError(
                f"it is of product '{manifest.name}', the box inspects '{running.name}'; to change "
                "that on purpose, restart the box with that bundle"
            )

    def _require_running(self, config: BoxConfig, sha256: str | None) -> None:
        if isinstance(self.bundles, ProductBundles):
            info = self.bundles.product(only_product(config) or "").info
            found = info.sha256 if info is not None else ""
        else:
            found = self.bundles.newest.bundle.sha256
        if sha256 is not None and sha256 != found:
            raise UsageError(f"the bundle that inspects is {found}, not {sha256}; nothing is exchanged")

    def _require_own_link(self, config: BoxConfig, *, change: bool) -> None:
        """Two products with one link would both change."""
        products = self.config.products or {}
        others = [
            name
            for name, other in products.items()
            if name != config.product and other.bundle == config.bundle
        ]
        if change and products and others:
            raise UsageError(
                f"{config.bundle} is also the bundle of product '{others[0]}', which would change with it; "
                "give each product a link of its own, and restart the box"
            )
