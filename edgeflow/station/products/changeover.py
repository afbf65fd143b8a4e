"""Command ``product``: parts that are triggered from now on are of another product."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edgeflow.capture.part_product import PartProduct
from edgeflow.config.box import BoxConfig, CameraConfig
from edgeflow.config.camera_views import as_bundle_reads
from edgeflow.config.products import normal_name, shown_name
from edgeflow.config.products.resolve import product_config
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.process.service_manager import PROOF_S, ServiceManager
from edgeflow.station.products.chosen import keep_product
from edgeflow.station.products.resident import ProductBundles

__all__ = ["Cameras", "Changeover"]


_CAMERAS_S = 60.0


class Cameras(Protocol):
    """Cameras of a running box."""

    def changed_cameras(self, cameras: Mapping[str, CameraConfig]) -> dict[str, CameraConfig]:
        """Return those of some settings that the cameras do not have, by view."""

    def configure_cameras(self, cameras: Mapping[str, CameraConfig]) -> None:
        """Open cameras again with other settings, and wait for them."""


@dataclass(frozen=True, kw_only=True)
class Changeover:
    """Changes the product of a box by command; parts that are triggered already keep theirs.

    Attributes:
        bundles: None where the box has one bundle.
        cameras: of the running box; None where it has none.
        chosen: called with the bundle of the product that is chosen.
    """

    config: BoxConfig
    bundles: ProductBundles | None
    manager: ServiceManager
    cameras: Cameras | None
    chosen: Callable[[LoadedBundle], None]

    def command(self, arguments: Mapping[str, str]) -> str:
        """Carry out ``product name=B``: load its bundle where it is not loaded, then choose it.

        Raises:
            UsageError: no such product, its bundle does not run here, or the triggers name the product.
            StorageError: the choice cannot be kept for the next start; the product stays.
        """
        bundles = self.bundles
        if bundles is None:
            raise UsageError("this box has one bundle and no products; give its file a section 'products'")
        if set(arguments) != {"name"}:
            raise UsageError(f"give one argument, name=PRODUCT; there are: {', '.join(bundles.names)}")
        if self.config.trigger.product is not None:
            field = self.config.trigger.product
            raise UsageError(f"every trigger of this box names its product (trigger.product: {field})")
        name = normal_name(arguments["name"])
        if name not in bundles.names:
            known = ", ".join(bundles.names)
            raise UsageError(f"no product '{shown_name(name)}'; there are: {known}; the product stays")
        with self.manager.patience(PROOF_S, f"loading product {name}"):
            try:
                seconds = bundles.require(name)
            except EdgeflowError as cause:
                raise UsageError(f"{cause.message}; the product stays") from cause
        self._set_cameras(bundles, name)
        keep_product(self.config, name)  # before it counts: after a crash no part is of the product before
        bundles.timeline.choose(PartProduct(name=name))
        loaded = bundles.newest
        self.chosen(loaded)
        how = f", whose bundle was loaded in {seconds:.1f} s" if seconds else ""
        manifest = loaded.manifest
        return (
            f"parts triggered from now on are of product {name} ({manifest.name} version {manifest.version})"
            f"{how}; those under way keep theirs"
        )

    def _set_cameras(self, bundles: ProductBundles, name: str) -> None:
        """Give the cameras the product's settings, where these are others; parts meanwhile are of no product.

        Raises:
            CameraError: a camera does not open with them; no product is chosen then.
        """
        if self.cameras is None:
            return
        manifest = bundles.product(name).manifest
        own = product_config(self.config, name)
        wanted = (own if manifest is None else as_bundle_reads(own, manifest.preprocessing)).cameras
        changed = self.cameras.changed_cameras(wanted)
        if not changed:
            return
        views = ", ".join(changed)
        text = f"unknown product: the cameras ({views}) are not set up for product '{name}' yet"
        keep_product(self.config, None)  # a crash from here on leaves cameras of which nobody knows
        bundles.timeline.choose(PartProduct(name=None, problem=text))
        time.sleep(self.config.trigger.timeout_ms / 1000)  # parts that are triggered already get their frames
        with self.manager.patience(_CAMERAS_S, f"opening cameras for product {name}"):
            self.cameras.configure_cameras(changed)
