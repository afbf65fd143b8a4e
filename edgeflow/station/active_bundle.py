"""Active bundle: verified, loaded, and exchanged between two parts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.backends.model_cache import trim_cache, usable_cache
from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import is_new_here, open_admitted
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import utc_now
from edgeflow.config.box import BoxConfig
from edgeflow.config.camera_views import check_views
from edgeflow.config.products.resolve import only_product, product_config
from edgeflow.contracts.manifest import Graph, Manifest
from edgeflow.contracts.messages import GraphChosenBy
from edgeflow.decision.decision import Policy, check_degraded
from edgeflow.decision.result import Origin, ResultMaker
from edgeflow.decision.session import Session
from edgeflow.errors import DeviceError, EdgeflowError, ParityError
from edgeflow.monitoring.view_appearance import Baseline
from edgeflow.monitoring.view_monitor import bundle_baseline
from edgeflow.scoring.graph_order import GraphOrder, graph_order
from edgeflow.scoring.isolated_verification import verify_in_subprocess
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer
from edgeflow.scoring.verification import verify_scorer

__all__ = ["ActiveBundle", "LoadedBundle", "load_verified", "open_for_box", "warn_of_graph"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoadedBundle:
    """A bundle that has reproduced its golden parts on this device, with all that decides by it.

    Attributes:
        baseline: what its golden parts look like, for whatever watches the cameras.
        chosen_by: why this graph runs.
        notes: graphs that did not verify on this device, and choices that are not followed.
    """

    bundle: Bundle
    graph: Graph
    scorer: Scorer
    policy: Policy
    make: ResultMaker
    baseline: Baseline
    chosen_by: GraphChosenBy = "order"
    notes: tuple[str, ...] = ()

    @property
    def manifest(self) -> Manifest:
        """Manifest of the bundle."""
        return self.bundle.manifest

    def close(self) -> None:
        """Release the graphs and the file; safe to call twice."""
        self.scorer.close()
        self.bundle.close()


def open_for_box(config: BoxConfig, path: Path) -> tuple[Bundle, GraphOrder]:
    """Open a bundle that this box may run with its cameras, and order its graphs; the caller closes it.

    Raises:
        UsageError, ConfigError: no such bundle; its views or graphs do not fit the box file.
        IntegrityError, StorageError: see :func:`~edgeflow.bundles.trust.open_admitted`.
    """
    product = only_product(config)
    bundle = open_admitted(path, config.trust, utc_now(), product)
    try:
        views = bundle.manifest.view_ids
        own = config if product is None else product_config(config, product, views)
        check_views(own, views)  # cameras of other products are no mistake
        order = graph_order(bundle, config)
        check_degraded(config.sync, bundle.manifest.thresholds_of(order.first))
    except BaseException:
        bundle.close()
        raise
    return bundle, order


def load_verified(config: BoxConfig, bundle: Bundle, order: GraphOrder, *, session: Session) -> LoadedBundle:
    """Load a graph and let it replay the golden parts on this device; one that is new here, apart first.

    A graph that does not reproduce them here, or cannot run here, gives way to the next in the order.

    Args:
        session: numbers the parts, over all its bundles.

    Raises:
        ParityError, DeviceError: no graph in the order is to be run here; the first one's error.
        IntegrityError: the bundle is not to be run here.
    """
    graph, scorer, refused = _first_verified(config, bundle, order)
    chosen_by: GraphChosenBy = "fallback" if refused else order.chosen_by
    policy = Policy(thresholds=scorer.thresholds, sync=config.sync, decision=config.decision)
    place = config.station
    origin = Origin(site=place.site, line=place.line, station=place.station, box=config.device_name)
    make = ResultMaker(
        session=session, bundle=bundle, graph=graph, policy=policy, origin=origin, chosen_by=chosen_by
    )
    baseline = bundle_baseline(bundle)  # here, since it takes longer than the line may wait
    return LoadedBundle(
        bundle=bundle,
        graph=graph,
        scorer=scorer,
        policy=policy,
        make=make,
        baseline=baseline,
        chosen_by=chosen_by,
        notes=(*order.notes, *refused),
    )


def warn_of_graph(loaded: LoadedBundle, alarms: Alarms, *, subject: str = "") -> None:
    """Raise an alarm where another graph runs than the first in order, or a choice is not followed.

    Args:
        subject: product, where the box has several.
    """
    if not loaded.notes:
        alarms.clear("graph_refused", subject=subject)
        return
    text = f"{loaded.graph.id} runs: {'; '.join(loaded.notes)}"
    alarms.raise_("graph_refused", "warning", text, subject=subject)


def _first_verified(
    config: BoxConfig, bundle: Bundle, order: GraphOrder
) -> tuple[Graph, Scorer, tuple[str, ...]]:
    """The first graph that verifies here, and why those before it do not run."""
    errors: list[EdgeflowError] = []
    for graph in order.graphs:
        try:
            scorer = _verified_scorer(config, bundle, graph)
        except (ParityError, DeviceError) as error:
            logger.warning("%s is not run here: %s", graph.id, error)
            errors.append(error)
        else:
            return graph, scorer, tuple(error.message for error in errors)
    raise errors[0]


def _verified_scorer(config: BoxConfig, bundle: Bundle, graph: Graph) -> Scorer:
    """The graph compiled as the box file says; it has reproduced the golden parts."""
    runtime = config.runtime
    cache_dir = usable_cache(runtime.cache_dir, runtime.cache_max_mb)
    placement = Placement(
        device=runtime.device, threads=runtime.threads, streams=runtime.streams, cache_dir=cache_dir
    )
    if is_new_here(bundle, config.trust, only_product(config)):
        verify_in_subprocess(bundle, graph, placement=placement)
    scorer = make_scorer(bundle, graph, placement=placement)
    if cache_dir is not None:
        trim_cache(cache_dir, runtime.cache_max_mb)
    try:
        # A box must be up in seconds: one costly mask of every golden part is enough here.
        verify_scorer(bundle, graph, scorer, ask="some")
    except BaseException:
        scorer.close()
        raise
    return scorer


class ActiveBundle:
    """Holds the bundle that inspects; the line takes over another one between two parts.

    Args:
        release: closes what inspects no more; it must not wait for a call that may hang.
    """

    def __init__(
        self, first: LoadedBundle, release: Callable[[LoadedBundle], None] = LoadedBundle.close
    ) -> None:
        self._release = release
        self._lock = threading.Lock()
        self._now = first
        self._next: LoadedBundle | None = None

    @property
    def now(self) -> LoadedBundle:
        """The bundle of the part in hand; for the line's thread."""
        return self._now

    def for_part(self, view_set: ViewSet) -> tuple[LoadedBundle, ViewSet]:
        """The bundle for a part that begins now, and the part as it is: all are of one product."""
        return self.take(), view_set

    @property
    def newest(self) -> LoadedBundle:
        """The bundle of the next part; for every thread."""
        with self._lock:
            return self._next or self._now

    def offer(self, loaded: LoadedBundle) -> None:
        """Let a verified bundle inspect from the next part on; the bundle that it replaces is closed."""
        with self._lock:
            unused, self._next = self._next, loaded
        if unused is not None:
            self._release(unused)

    def take(self) -> LoadedBundle:
        """The bundle for the part that begins now; for the line's thread."""
        with self._lock:
            if self._next is None:
                return self._now
            before, self._now, self._next = self._now, self._next, None
        self._release(before)
        return self._now

    def close(self) -> None:
        """Release everything; the line has ended."""
        with self._lock:
            for loaded in (self._now, self._next):
                if loaded is not None:
                    self._release(loaded)
