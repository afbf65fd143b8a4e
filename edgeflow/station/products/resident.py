"""Bundles of all products: each part is judged by its own product's; those unused give up their memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edgeflow.capture.part_product import ProductTimeline
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.contracts.messages import ProductInfo
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle
from edgeflow.station.products.no_bundle import NoBundle, without_bundle
from edgeflow.station.products.own_views import own_views
from edgeflow.station.products.product import LoadProduct, Product

__all__ = ["MemoryShortError", "ProductBundles"]


class MemoryShortError(UsageError):
    """A bundle cannot be loaded, because products that are in use would have to give way."""


class ProductBundles:
    """Bundles of all products of one box.

    The bundle of a part is found by the product that the part carries since its trigger. There is no present
    product here: what is chosen meanwhile is of no effect on a part that is under way.

    Args:
        products: name → product, in the order of the box file; at least one is loaded.
        timeline: products that are chosen for parts whose triggers name none.
        release: closes what inspects no more; it must not wait for a call that may hang.
        memory_mb: that all loaded bundles may take together; None: without a limit.
        load: brings back a bundle that gave up its memory.
    """

    def __init__(
        self,
        products: Mapping[str, Product],
        no_bundle: NoBundle,
        timeline: ProductTimeline,
        *,
        load: LoadProduct,
        release: Callable[[LoadedBundle], None] = LoadedBundle.close,
        memory_mb: float | None = None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._products = dict(products)
        self._no_bundle = no_bundle
        self.timeline = timeline
        timeline.views_of = self._views_of
        self._load = load
        self._release = release
        self._memory_mb = memory_mb
        self._clock = clock
        self._lock = threading.Lock()  # over products; held for moments
        self._loading = threading.RLock()  # one bundle is loaded at a time
        self._in_hand: Product | None = None
        self.request: Callable[[str], None] = lambda _name: None

    @property
    def names(self) -> tuple[str, ...]:
        """Products of the box file, in its order."""
        return tuple(self._products)

    @property
    def newest(self) -> LoadedBundle:
        """The bundle of the product that is chosen, else of the one used last; for every thread."""
        with self._lock:
            loaded = [product for product in self._products.values() if product.slot is not None]
            chosen = self.timeline.now.name
            best = max(loaded, key=lambda product: (product.name == chosen, product.used_ns))
            slot = best.slot
        assert slot is not None  # noqa: S101 - the last one is never unloaded
        return slot.newest

    def product(self, name: str) -> Product:
        """Return a product.

        Raises:
            UsageError: no such product.
        """
        if name not in self._products:
            raise UsageError(f"no product '{name}'; there are: {', '.join(self._products)}")
        return self._products[name]

    def infos(self) -> tuple[ProductInfo, ...]:
        """Return all products for messages."""
        with self._lock:
            return tuple(
                ProductInfo(product=product.name, bundle=product.info, problem=product.problem)
                for product in self._products.values()
            )

    def status(self) -> list[dict[str, Any]]:
        """Return all products for the status of the box, as JSON."""
        with self._lock:
            return [
                {
                    "name": product.name,
                    "bundle": product.manifest.name if product.manifest else None,
                    "version": product.manifest.version if product.manifest else None,
                    "sha256": product.info.sha256 if product.info else None,
                    "loaded": product.slot is not None,
                    "memory_mb": round(product.mb, 1),
                    "problem": product.problem,
                }
                for product in self._products.values()
            ]

    def for_part(self, view_set: ViewSet) -> tuple[LoadedBundle | NoBundle, ViewSet]:
        """Return the bundle of a part's own product and the part with this bundle's views.

        Without such a bundle, the part has a fault that says why. For the line's thread.
        """
        told = view_set.product
        if told is None or told.name is None:
            problem = told.problem if told is not None else "unknown product: the part carries none"
            return self._no_bundle, without_bundle(view_set, problem)
        with self._lock:
            product = self._products.get(told.name)
            slot = product.slot if product is not None else None
            if product is not None and slot is not None:
                product.used_ns = self._clock()
                self._in_hand = product
                loaded = slot.take()
                return loaded, own_views(view_set, loaded.manifest.view_ids)
        problem = product.problem if product is not None else f"unknown product '{told.name}'"
        if not problem:
            problem = f"product '{told.name}' is not loaded yet (runtime.memory_mb)"
            self.request(told.name)
        return self._no_bundle, without_bundle(view_set, problem)

    def offer(self, name: str, loaded: LoadedBundle, mb: float) -> None:
        """Let a verified bundle inspect a product's parts from the next one on.

        Where there is no room for it, it is the product's bundle, but not loaded.
        """
        with self._loading:
            product = self.product(name)
            if product.slot is None:
                try:
                    self._make_room(product, mb, least_idle_s=0.0)
                except MemoryShortError:
                    with self._lock:
                        _note(product, loaded, mb)
                    loaded.close()
                    return
            with self._lock:
                self._put(product, loaded, mb)

    def require(self, name: str, *, least_idle_s: float = 0.0) -> float:
        """Load a product's bundle where it is not; others that were unused for longest give way.

        Args:
            least_idle_s: a product that had a part within this time does not give way.

        Returns:
            Seconds that it took; 0 where it was loaded.

        Raises:
            MemoryShortError: there is no room.
            EdgeflowError: the bundle does not run here; the product keeps this as its problem.
        """
        begun_ns = self._clock()
        with self._loading:
            product = self.product(name)
            if product.slot is not None:
                return 0.0
            if product.problem:
                raise UsageError(product.problem)
            self._make_room(product, product.mb, least_idle_s)
            try:
                loaded = self._load(product)
            except EdgeflowError as cause:
                with self._lock:
                    product.problem = f"product '{name}' does not run here: {cause.message}"
                raise
            with self._lock:
                self._put(product, loaded, product.mb)
        return (self._clock() - begun_ns) / 1e9

    def close(self) -> None:
        """Release everything; the line has ended."""
        with self._lock:
            for product in self._products.values():
                if product.slot is not None:
                    product.slot.close()

    def _views_of(self, name: str) -> tuple[str, ...] | None:
        """Return the views of a product's bundle, for the threads that collect its parts."""
        with self._lock:
            product = self._products.get(name)
            manifest = product.manifest if product is not None else None
        return manifest.view_ids if manifest is not None else None

    def _put(self, product: Product, loaded: LoadedBundle, mb: float) -> None:
        if product.slot is None:
            product.slot = ActiveBundle(loaded, release=self._release)
        else:
            product.slot.offer(loaded)
        product.used_ns = self._clock()
        _note(product, loaded, mb)

    def _make_room(self, product: Product, mb: float, least_idle_s: float) -> None:
        """Unload products that are not in use, those unused for longest first, until there is room.

        Raises:
            MemoryShortError: that would not be enough; nothing is unloaded then.
        """
        if self._memory_mb is None:
            return
        with self._lock:
            loaded = [one for one in self._products.values() if one.slot is not None and one is not product]
            in_use = [one for one in loaded if self._is_in_use(one, least_idle_s)]
            if not in_use and loaded:  # one stays, if loading the other fails
                in_use = [max(loaded, key=lambda one: one.used_ns)]
            if sum(one.mb for one in in_use) + mb > self._memory_mb:
                raise MemoryShortError(_short(product.name, mb, self._memory_mb, in_use))
            taken_mb = sum(one.mb for one in loaded) + mb
            for victim in sorted(loaded, key=lambda one: one.used_ns):
                if taken_mb <= self._memory_mb:
                    return
                if victim in in_use or victim.slot is None:
                    continue
                slot, victim.slot = victim.slot, None
                slot.close()
                taken_mb -= victim.mb

    def _is_in_use(self, product: Product, least_idle_s: float) -> bool:
        """Return True for the product of the part in hand, of parts to come, and of one a moment ago."""
        idle_s = (self._clock() - product.used_ns) / 1e9
        return product is self._in_hand or product.name == self.timeline.now.name or idle_s < least_idle_s


def _note(product: Product, loaded: LoadedBundle, mb: float) -> None:
    product.manifest, product.info = loaded.manifest, loaded.make.bundle
    product.problem, product.mb = "", mb


def _short(name: str, mb: float, memory_mb: float, in_use: Sequence[Product]) -> str:
    others = ", ".join(f"'{one.name}' {one.mb:.0f} MB" for one in in_use) or "nothing else"
    return (
        f"product '{name}' cannot be loaded: it takes {mb:.0f} MB, in use are {others}, and "
        f"runtime.memory_mb is {memory_mb:g}; raise it, or let fewer products take turns"
    )
