"""One product of a box: its box file, its bundle, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.manifest import Manifest
from edgeflow.contracts.messages import BundleInfo
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle

__all__ = ["LoadProduct", "Product"]


class LoadProduct(Protocol):
    """Loads a product's bundle again; any thread but the line's may call it."""

    def __call__(self, product: Product) -> LoadedBundle:
        """Open, verify and load the bundle that was verified before.

        Raises:
            EdgeflowError: it is another one by now, or does not run here.
        """


@dataclass(kw_only=True)
class Product:
    """One product of a box. Only :class:`~edgeflow.station.products.resident.ProductBundles` changes it.

    Attributes:
        config: the box file of a box with this product alone.
        manifest: of its bundle; None where it could not be opened.
        info: of its bundle, for messages; None where it was never verified.
        slot: its bundle while that is loaded.
        problem: why its bundle does not run here; empty where it does.
        mb: megabytes that its bundle takes while it is loaded.
        used_ns: when its latest part began, or it was loaded, by the monotonic clock.
    """

    name: str
    config: BoxConfig
    manifest: Manifest | None = None
    info: BundleInfo | None = None
    slot: ActiveBundle | None = None
    problem: str = ""
    mb: float = 0.0
    used_ns: int = 0
