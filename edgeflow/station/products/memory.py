"""Memory that a loaded bundle takes, measured where it is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import ceil

from edgeflow.errors import ConfigError
from edgeflow.metrics.system import resident_bytes
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.products.product import Product

__all__ = ["import_library", "measured_load", "require_room_for_two"]


def import_library(backend: str) -> None:
    """Import the library of a back end, so that the first bundle is not charged with it.

    Where it is not installed, loading says so.
    """
    with suppress(ImportError):
        importlib.import_module(backend)


def measured_load(load: Callable[[], LoadedBundle]) -> tuple[LoadedBundle, float]:
    """Load a bundle; return it and the megabytes by which this process grew, at least its graph's files."""
    before = resident_bytes()
    loaded = load()
    grown = resident_bytes() - before
    return loaded, max(grown, loaded.manifest.graph_bytes(loaded.graph)) / 1e6


def require_room_for_two(products: Sequence[Product], memory_mb: float | None) -> None:
    """Check that the two largest bundles fit together, without which every changeover would stop the line.

    Raises:
        ConfigError: they do not.
    """
    largest = sorted(products, key=lambda product: product.mb, reverse=True)[:2]
    need_mb = sum(product.mb for product in largest)
    if memory_mb is not None and need_mb > memory_mb:
        names = " and ".join(f"'{product.name}' ({product.mb:.0f} MB)" for product in largest)
        raise ConfigError(
            f"runtime.memory_mb {memory_mb:g}: the bundles of {names} take {need_mb:.0f} MB together, and "
            "the product before stays loaded until its last part is decided; raise runtime.memory_mb to at "
            f"least {ceil(need_mb)}, or leave it out"
        )
