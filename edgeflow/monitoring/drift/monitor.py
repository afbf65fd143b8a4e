"""Watch over the drift of all views: alarms, and a state that survives a restart, on a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.contracts.documents.file_names import file_name
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.state import read_state, write_state
from edgeflow.monitoring.drift.view import ViewDrift
from edgeflow.thread_activity import working

__all__ = ["DriftMonitor", "drift_text", "state_path"]

logger = logging.getLogger(__name__)

_QUEUE_SIZE = 1000
_TICK_S = 1.0
_KEEP_S = 60.0
_SILENT_S = 60.0
_CLOSE_S = 2.0


@dataclass(kw_only=True)
class _Product:
    """Drift of one product's views; of all parts, where the box has one bundle.

    Attributes:
        loaded: the bundle as it was loaded.
        changed: since the state was written.
    """

    loaded: object
    state: DriftState
    changed: bool = False


def state_path(path: Path, product: str | None) -> Path:
    """Return the file of a product's state, beside that of a box with one bundle."""
    return path if product is None else path.with_name(f"{path.stem}.{file_name(product)}{path.suffix}")


def _subject(view: str, product: str | None) -> str:
    return view if product is None else f"{product}.{view}"


class DriftMonitor:
    """Compares the scores of accepted parts with those of the first ones under the bundle, each product's.

    The reference survives a restart of the box. A bundle that is loaded while the box runs, also the one
    that ran before, begins anew: so somebody who has changed the light on purpose reloads the bundle.

    Args:
        path: of the state; its folder is the box's own.
        bound: drift in standard deviations that raises an alarm.
        parts: of the reference.
    """

    def __init__(self, path: Path, alarms: Alarms, *, bound: float, parts: int) -> None:
        self._path, self._alarms = path, alarms
        self._bound, self._parts = bound, parts
        self._of: dict[str | None, _Product] = {}
        self._offered: queue.Queue[AcceptedPart] = queue.Queue(_QUEUE_SIZE)
        self._problems = ChangeLog(logger, "drift of scores: ")
        self._keep_at_s = time.monotonic() + _KEEP_S
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Take in what waits, keep the state, then end."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def offer(self, part: AcceptedPart) -> None:
        """Take a part; never blocks. Where too many wait, it is left out: others tell as much."""
        with contextlib.suppress(queue.Full):
            self._offered.put_nowait(part)

    def take(self, part: AcceptedPart) -> None:
        """Enter one part into the charts, and raise or clear alarms; for the thread, and without one."""
        known = self._of.get(part.product)
        if known is None or part.loaded is not known.loaded:
            known = self._of[part.product] = self._begin(part, known)
        known.state = known.state.added(part, self._parts)
        for name, drift in known.state.views.items():
            self._raise_or_clear(name, drift, part.product)
        known.changed = True

    def keep(self) -> None:
        """Write the state where it has changed; a failure is logged once."""
        for product, known in self._of.items():
            if known.changed:
                self._keep(product, known)

    def _keep(self, product: str | None, known: _Product) -> None:
        path = state_path(self._path, product)
        try:
            write_state(path, known.state)
        except OSError as cause:
            self._problems.report(f"{path} cannot be written: {cause}; a restart will learn anew")
        else:
            self._problems.clear()
            known.changed = False

    def _begin(self, part: AcceptedPart, before: _Product | None) -> _Product:
        """Go on where the box stopped; another bundle, or the same one loaded again, begins anew."""
        kept = read_state(state_path(self._path, part.product)) if before is None else None
        for name in before.state.views if before is not None else ():
            self._alarms.clear("score_drift", subject=_subject(name, part.product))
        if kept is not None and (kept.bundle, kept.graph, kept.bound) == (
            part.bundle,
            part.graph,
            self._bound,
        ):
            return _Product(loaded=part.loaded, state=kept)
        return _Product(
            loaded=part.loaded, state=DriftState(bundle=part.bundle, graph=part.graph, bound=self._bound)
        )

    def _raise_or_clear(self, view: str, drift: ViewDrift, product: str | None) -> None:
        subject = _subject(view, product)
        if drift.direction is None:
            self._alarms.clear("score_drift", subject=subject)
        else:
            text = drift_text(view, drift)
            text = f"product '{product}', {text}" if product is not None else text
            self._alarms.raise_("score_drift", "warning", text, subject=subject)

    def _run(self) -> None:
        while not self._closing.is_set():
            working(_SILENT_S)
            self._take_in(_TICK_S)
            if time.monotonic() >= self._keep_at_s:
                self._keep_at_s = time.monotonic() + _KEEP_S
                self.keep()
        self._take_in(0.0)
        self.keep()

    def _take_in(self, wait_s: float) -> None:
        self._closing.wait(wait_s)
        with contextlib.suppress(queue.Empty):
            while True:
                part = self._offered.get_nowait()
                try:
                    self.take(part)
                except Exception:  # one odd part must not end the watch over all others
                    logger.exception("a part's scores could not be entered into the drift charts")


def drift_text(view: str, drift: ViewDrift) -> str:
    """Return the text of the alarm: the problem, and the remedy."""
    chart = drift.chart
    if chart.drift is None:
        than = "higher" if drift.offset > 0 else "lower"
        return (
            f"view '{view}': good parts score {abs(drift.offset):.1f} standard deviations {than} on this box "
            f"than those that the bundle was calibrated with; {_effect(drift.offset > 0)}; compare light, "
            "exposure and focus with the training images, or calibrate with this box's good parts"
        )
    up = chart.drift == "up"
    return (
        f"view '{view}': scores of good parts have {'risen' if up else 'fallen'} by {chart.size:.1f} "
        f"standard deviations since {chart.since[:16]}Z; {_effect(up)}; check light, glass, exposure and "
        "focus; if the change is wanted, calibrate, or reload the bundle to compare anew"
    )


def _effect(up: bool) -> str:
    return "more good parts will be rejected" if up else "defects may pass"
