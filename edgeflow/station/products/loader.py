"""Thread that brings back bundles which gave up their memory, when a part of their product comes."""

from __future__ import annotations

import logging
import queue
import threading

from edgeflow.alarms import Alarms
from edgeflow.errors import EdgeflowError
from edgeflow.station.products.resident import MemoryShortError, ProductBundles
from edgeflow.thread_activity import waiting, working

__all__ = ["LEAST_IDLE_S", "ProductLoader"]

logger = logging.getLogger(__name__)

LEAST_IDLE_S = 60.0
"""A product that had a part within this time does not give way to another one."""
_SILENT_S = 600.0
_STOP_S = 2.0


class ProductLoader:
    """Loads bundles in a thread of its own; the parts that need one meanwhile are UNDECIDED.

    Where products take turns that do not fit into the memory together, nothing is swapped: their parts stay
    UNDECIDED, and an alarm says so.
    """

    def __init__(self, bundles: ProductBundles, alarms: Alarms) -> None:
        self._bundles = bundles
        self._alarms = alarms
        self._wanted: queue.Queue[str | None] = queue.Queue()
        self._under_way: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="products", daemon=True)

    def start(self) -> None:
        """Take requests; returns at once."""
        self._bundles.request = self.request
        self._thread.start()

    def close(self) -> None:
        """End after the bundle that is being loaded, or leave it behind."""
        self._bundles.request = lambda _name: None
        self._wanted.put(None)
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def request(self, name: str) -> None:
        """Ask for a product's bundle; returns at once, for the line's thread."""
        with self._lock:
            if name in self._under_way:
                return
            self._under_way.add(name)
        self._wanted.put(name)

    def _run(self) -> None:
        while (name := self._next()) is not None:
            working(_SILENT_S)
            try:
                self._bring_back(name)
            except Exception:
                logger.exception("product %s could not be loaded", name)
            finally:
                with self._lock:
                    self._under_way.discard(name)

    def _bring_back(self, name: str) -> None:
        try:
            seconds = self._bundles.require(name, least_idle_s=LEAST_IDLE_S)
        except MemoryShortError as cause:
            self._alarms.raise_("product_memory", "error", cause.message)
        except EdgeflowError as cause:
            text = f"product '{name}' does not run here: {cause.message}"
            self._alarms.raise_("product_failed", "error", text, subject=name)
        else:
            self._alarms.clear("product_memory")
            logger.warning("product %s is loaded again after %.1f s", name, seconds)

    def _next(self) -> str | None:
        waiting()
        return self._wanted.get()
