"""Memory that a loaded bundle takes, measured where it is loaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress

from edgeflow.errors import ConfigError, EdgeflowError
from edgeflow.metrics.system import resident_bytes
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.products.product import Product

__all__ = ["import_library", "measured_load", "require_room_for_two", "without_set_up"]


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
    files = loaded.manifest.files
    graph = sum(files[name].size for name in (loaded.graph.model, loaded.graph.weights) if name in files)
    return loaded, max(grown, graph) / 1e6


def without_set_up(first_mb: float, load: Callable[[], LoadedBundle]) -> float:
    """Return the megabytes of the bundle that was loaded first, without what its library takes once.

    A second copy of it takes what every later bundle takes. What that leaves behind when it is closed is used
    again by the next one, which therefore may count a little less.

    Args:
        first_mb: as measured when it was loaded.
        load: loads the copy.
    """
    try:
        copy, mb = measured_load(load)
    except EdgeflowError:
        return first_mb
    copy.close()
    return min(first_mb, mb)


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
            f"least {need_mb:.0f}, or leave it out"
        )
