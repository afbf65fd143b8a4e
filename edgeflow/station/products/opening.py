"""Start of a box: the bundles of all its products opened, then verified and loaded one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import note_as_run
from edgeflow.capture.part_product import ProductTimeline
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from edgeflow.config.camera_views import as_bundle_reads, check_views
from edgeflow.config.products.resolve import only_product, product_config
from edgeflow.decision.session import Session
from edgeflow.errors import ConfigError, EdgeflowError, IntegrityError
from edgeflow.scoring.graph_order import GraphOrder
from edgeflow.station.active_bundle import (
    ActiveBundle,
    LoadedBundle,
    load_verified,
    open_for_box,
    warn_of_graph,
)
from edgeflow.station.products.memory import (
    import_library,
    measured_load,
    require_room_for_two,
)
from edgeflow.station.products.no_bundle import make_no_bundle
from edgeflow.station.products.product import Product
from edgeflow.station.products.resident import ProductBundles

__all__ = ["Opened", "Opening", "load_again", "load_bundles", "open_bundles"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The bundle of one product, opened and admitted; of the box, where it has no products."""

    config: BoxConfig
    bundle: Bundle
    order: GraphOrder


@dataclass(frozen=True, kw_only=True)
class Opening:
    """All bundles of a box, opened.

    Attributes:
        opened: in the order of the box file; at least one.
        problems: product → why its bundle does not run here.
        first: the one that stands for the box until parts come.
    """

    config: BoxConfig
    opened: tuple[Opened, ...]
    problems: dict[str, str]
    first: Opened

    @property
    def views(self) -> tuple[str, ...]:
        """Views of all cameras: of the bundle, in its order, or of all products together."""
        if self.config.products is None:
            return self.first.bundle.manifest.view_ids
        return tuple(self.config.cameras)

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for opened in self.opened:
            opened.bundle.close()


def open_bundles(config: BoxConfig, chosen: str | None) -> Opening:
    """Open the bundle of a box, or of each of its products; the caller closes them.

    A product whose bundle cannot be opened is left out, as long as another one can.

    Args:
        chosen: product that is inspected first, where that is known.

    Raises:
        UsageError, ConfigError, IntegrityError, StorageError: no bundle can be opened; the first one's error.
        ConfigError: a camera is of no product.
    """
    if config.products is None:
        bundle, order = open_for_box(config, config.bundle)
        only = Opened(config=config, bundle=bundle, order=order)
        return Opening(config=config, opened=(only,), problems={}, first=only)
    with ExitStack() as stack:
        opened, errors = _opened(config, config.products)
        for one in opened.values():
            stack.callback(one.bundle.close)
        if not opened:
            raise next(iter(errors.values()))
        first = opened.get(chosen or "", next(iter(opened.values())))
        for name, other in list(opened.items()):
            if not _reads_alike(config, first, other):
                errors[name] = ConfigError(_READING)
                opened.pop(name).bundle.close()
        if not errors:
            check_views(config, sorted({v for one in opened.values() for v in one.bundle.manifest.view_ids}))
        stack.pop_all()
    problems = {name: _problem(name, error) for name, error in errors.items()}
    return Opening(config=config, opened=tuple(opened.values()), problems=problems, first=first)


def _opened(config: BoxConfig, names: Iterable[str]) -> tuple[dict[str, Opened], dict[str, EdgeflowError]]:
    """The products whose bundles can be opened, and the errors of the others."""
    opened: dict[str, Opened] = {}
    errors: dict[str, EdgeflowError] = {}
    for name in names:
        own = product_config(config, name)
        try:
            bundle, order = open_for_box(own, own.bundle)
        except EdgeflowError as error:
            errors[name] = error
        else:
            opened[name] = Opened(config=own, bundle=bundle, order=order)
    return opened, errors


def load_bundles(
    opening: Opening,
    timeline: ProductTimeline | None,
    *,
    session: Session,
    alarms: Alarms,
    release: Callable[[LoadedBundle], None],
    patience: Callable[[str], AbstractContextManager[None]],
    load: Callable[..., LoadedBundle] = load_verified,
) -> ActiveBundle | ProductBundles:
    """Verify and load all bundles, one after the other.

    Args:
        release: see :class:`ProductBundles`.
        patience: entered with a bundle's name while that is verified.

    Raises:
        ParityError, DeviceError, IntegrityError: no bundle is to be run here; the first one's error.
        ConfigError: two bundles do not fit into ``runtime.memory_mb``.
    """
    config = opening.config
    if config.products is None or timeline is None:
        first = opening.first
        with patience(first.bundle.manifest.name):
            loaded = load(config, first.bundle, first.order, session=session)
        note_as_run(first.bundle, config.trust, alarms)
        warn_of_graph(loaded, alarms)
        return ActiveBundle(loaded, release=release)
    products = {name: Product(name=name, config=product_config(config, name)) for name in config.products}
    for name, problem in opening.problems.items():
        _fail(products[name], problem, alarms)
    errors: list[EdgeflowError] = []
    import_library(config.runtime.backend)
    alone = len(opening.opened) == 1
    for one in sorted(opening.opened, key=lambda one: one is opening.first):  # it stays, whatever the memory
        product = products[only_product(one.config) or ""]
        product.manifest = one.bundle.manifest
        try:
            with patience(f"{one.bundle.manifest.name} of product {product.name}"):
                loaded, mb = measured_load(partial(load, one.config, one.bundle, one.order, session=session))
        except EdgeflowError as error:
            errors.append(error)
            _fail(product, _problem(product.name, error), alarms)
            continue
        note_as_run(one.bundle, config.trust, alarms, product.name)
        warn_of_graph(loaded, alarms, subject=product.name)
        product.info, product.mb, product.used_ns = loaded.make.bundle, mb, monotonic_ns()
        if not alone and not any(other.slot for other in products.values()):
            product.mb = _without_set_up(mb, partial(load_again, product, session=session, load=load))
        product.slot = ActiveBundle(loaded, release=release)
        _give_way(products, product, config.runtime.memory_mb)
    verified = [product for product in products.values() if not product.problem]
    with ExitStack() as stack:
        for product in verified:
            if product.slot is not None:
                stack.callback(product.slot.newest.close)
        if not verified:
            raise errors[0]
        require_room_for_two(verified, config.runtime.memory_mb)
        stack.pop_all()
    return ProductBundles(
        products,
        make_no_bundle(config, session),
        timeline,
        load=partial(load_again, session=session, load=load),
        release=release,
        memory_mb=config.runtime.memory_mb,
    )


def _without_set_up(first_mb: float, load: Callable[[], LoadedBundle]) -> float:
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


def load_again(
    product: Product, *, session: Session, load: Callable[..., LoadedBundle] = load_verified
) -> LoadedBundle:
    """Bring back a bundle that gave up its memory; its compiled graph comes from the cache.

    Raises:
        IntegrityError: the file is another one than was verified.
        EdgeflowError: see :func:`~edgeflow.station.active_bundle.open_for_box` and ``load_verified``.
    """
    bundle, order = open_for_box(product.config, product.config.bundle)
    with ExitStack() as stack:
        stack.callback(bundle.close)
        if product.info is not None and bundle.sha256 != product.info.sha256:
            raise IntegrityError(
                f"{product.config.bundle}: is another bundle than the one that was verified; take it with "
                f"'reload product={product.name}'"
            )
        loaded = load(product.config, bundle, order, session=session)
        stack.pop_all()
    return loaded


_READING = (
    "its bundle reads images otherwise than the first product's (bit depth, or the turn that image files ask "
    "for), and the cameras of a box give one kind; export both with the same edgeflow and recipe data"
)


def _reads_alike(config: BoxConfig, first: Opened, other: Opened) -> bool:
    one, two = (as_bundle_reads(config, each.bundle.manifest.preprocessing) for each in (first, other))
    return one.cameras == two.cameras


def _give_way(products: dict[str, Product], newest: Product, memory_mb: float | None) -> None:
    """Unload what was verified first, as long as all take more than they may."""
    loaded = [product for product in products.values() if product.slot is not None]
    taken_mb = sum(product.mb for product in loaded)
    for victim in sorted(loaded, key=lambda product: product.used_ns):
        if memory_mb is None or taken_mb <= memory_mb or victim is newest:
            return
        if victim.slot is not None:
            victim.slot.newest.close()  # no part has used it yet
            victim.slot = None
        taken_mb -= victim.mb


def _fail(product: Product, problem: str, alarms: Alarms) -> None:
    product.problem = problem
    alarms.raise_("product_failed", "error", problem, subject=product.name)
    logger.error("%s", problem)


def _problem(name: str, error: EdgeflowError) -> str:
    return f"product '{name}' does not run here: {'; '.join([error.message, *error.problems[:3]])}"
