"""Interface of the bundles of a box: one bundle for all parts, or one for each product."""

from __future__ import annotations

from typing import Protocol

from edgeflow.capture.view_set import ViewSet
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.products.no_bundle import NoBundle

__all__ = ["BoxBundles"]


class BoxBundles(Protocol):
    """Bundles of a box, as its line and those who report on it see them."""

    @property
    def newest(self) -> LoadedBundle:
        """The bundle that stands for the box at the moment; for every thread."""

    def for_part(self, view_set: ViewSet) -> tuple[LoadedBundle | NoBundle, ViewSet]:
        """Return what decides a part that begins now, and the part as that sees it; for the line's thread."""

    def close(self) -> None:
        """Release everything; the line has ended."""
