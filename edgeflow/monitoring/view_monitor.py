"""Cameras watched while the line runs: swapped, moved, blurred or badly exposed ones become alarms."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from edgeflow.alarms import Alarms
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.config.views import ViewsConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import CameraError, DataError
from edgeflow.monitoring.view_appearance import (
    Baseline,
    Look,
    blindness,
    glance,
    likenesses,
    look_at,
    make_baseline,
    swapped_views,
)
from edgeflow.thread_activity import waiting, working

__all__ = ["ViewMonitor", "bundle_baseline", "check_identity", "swap_text", "view_problem"]

logger = logging.getLogger(__name__)

_SILENT_S = 30.0  # without a sign of life the watch hangs
_PERIOD_S = 1.0  # between two looks; cameras do not move faster, and the line needs the processor
_LOOKS = 9  # single parts lie oddly; their middle does not
_ENOUGH = 5
_BASELINES = 16  # of bundles that take turns
_LIKENESSES = 3  # one part may be odd, and views alike; what cameras show then stands out
_LIKENESS_EVERY = 3  # looks; comparing all views with all is the costly part
_REMEMBERED = 120  # looks; a problem under a bundle that inspected nothing meanwhile is of the past
_UNLIKE = 0.6  # share of the golden images' likeness that normal parts never lose


def bundle_baseline(bundle: Bundle) -> Baseline:
    """Return the appearance of the bundle's golden parts, as the model sees them."""
    manifest = bundle.manifest
    golden = [bundle.golden_images(part) for part in manifest.golden]
    return make_baseline(
        [{v.id: prepare(part[v.id], v, manifest.preprocessing) for v in manifest.views} for part in golden]
    )


def check_identity(
    frames: Mapping[str, Frame], bundle: Bundle, baseline: Baseline, config: ViewsConfig, alarms: Alarms
) -> None:
    """Look at what the cameras see before the line is ready.

    Raises:
        CameraError: cameras are swapped, and the box is to refuse that.
    """
    spec = bundle.manifest.preprocessing
    try:
        images = {v.id: prepare(frames[v.id].image, v, spec) for v in bundle.manifest.views if v.id in frames}
    except DataError as cause:
        logger.warning("cameras cannot be recognised yet: %s", cause)
        return
    if len(images) < len(baseline.views):
        missing = ", ".join(view for view in baseline.views if view not in images)
        logger.info("cameras cannot be recognised yet: no image of %s", missing)
        return
    blind = _blind_views(images, baseline)
    for view, problem in blind.items():
        alarms.raise_("camera_blind", "error", f"view '{view}' {problem}", subject=view)
    views = [view for view in baseline.views if view not in blind]
    if not views:
        return
    swapped = swapped_views(likenesses({v: images[v] for v in views}, baseline), baseline, views)
    if swapped is None:
        logger.info("cameras cannot be recognised yet: no part is to be seen")
    elif swapped:
        if config.at_start == "refuse":
            raise CameraError(swap_text(swapped))
        alarms.raise_("camera_swapped", "error", swap_text(swapped))


def _blind_views(images: Mapping[str, RgbImage], baseline: Baseline) -> dict[str, str]:
    """Views that show nothing, and why; their neighbours are not to be blamed for them."""
    found = {view: blindness(glance(image), baseline.glances[view]) for view, image in images.items()}
    return {view: problem for view, problem in found.items() if problem}


def swap_text(swapped: Mapping[str, str]) -> str:
    """Return the text of the alarm: the problem, and the remedy."""
    pairs = ", ".join(f"'{view}' shows view '{shown}'" for view, shown in swapped.items())
    return f"cameras are swapped: {pairs}; exchange their cables, or their entries under cameras"


def view_problem(looks: Sequence[Look], view: str, baseline: Baseline, config: ViewsConfig) -> str:
    """Return the problem of a view on average; empty where there is none."""
    golden = baseline.looks[view]
    place = baseline.views.index(view)
    likeness = median(look.likeness for look in looks)
    if likeness < _UNLIKE * baseline.likeness[place, place]:
        return f"shows something else than its golden images (likeness {likeness:.1f}); check where it points"
    shift = median(look.shift for look in looks)
    if shift > config.max_shift:
        return f"has moved by {shift:.0%} of its image; fix its mount, or train and export anew"
    brightness, low, high = (
        median(look.brightness for look in looks),
        min(look.brightness for look in golden) * (1 - config.brightness),
        max(look.brightness for look in golden) * (1 + config.brightness),
    )
    if not low <= brightness <= high:
        how = "dark" if brightness < low else "bright"
        return f"is too {how}; check its light, exposure and gain"
    if median(look.clipped for look in looks) > max(look.clipped for look in golden) + 0.1:
        return "has white or black areas; check its light, exposure and gain"
    least = min(look.sharpness for look in golden) * config.least_sharpness
    if median(look.sharpness for look in looks) < least:
        return "is blurred; check its focus, its glass and the exposure time"
    return ""


@dataclass(kw_only=True)
class _Watched:
    """Latest looks at parts under one bundle.

    Attributes:
        compared: views that ``likeness`` is of.
        problems: view → what the latest looks found; only of views that were looked at often enough.
        swapped: views that show others; None as long as nobody knows.
        latest: number of the latest look, counted over all bundles.
    """

    baseline: Baseline
    looks: dict[str, deque[Look]]
    likeness: deque[FloatArray] = field(default_factory=lambda: deque(maxlen=_LIKENESSES))
    compared: list[str] = field(default_factory=list)
    count: int = 0
    product: str | None = None
    problems: dict[str, str] = field(default_factory=dict)
    swapped: Mapping[str, str] | None = None
    latest: int = 0

    def told(self, text: str) -> str:
        """Return an alarm's text with the product whose parts showed it, on a box with several."""
        return text if self.product is None else f"{text} (seen with parts of product '{self.product}')"


class ViewMonitor:
    """Looks at one part a second in a thread of its own; the line never waits for it.

    Where bundles of several products take turns, the alarm of a view stands as long as one of them finds it
    wrong: what another one finds right ends nothing.
    """

    def __init__(self, baseline: Baseline, config: ViewsConfig, alarms: Alarms) -> None:
        self._config = config
        self._alarms = alarms
        self._offered: queue.Queue[tuple[Mapping[str, RgbImage], Baseline, str | None] | None] = queue.Queue(
            1
        )
        self._first = baseline
        self._watched: deque[_Watched] = deque(maxlen=_BASELINES)
        self._looks = 0
        self._standing: set[str] = set()  # views with an alarm
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="views", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End; safe to call twice."""
        self._stop.set()
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._offered.put_nowait(None)
            self._thread.join(2.0)

    def offer(self, images: Mapping[str, RgbImage], baseline: Baseline, product: str | None = None) -> None:
        """A part's model images, view → uint8 (H, W, 3); most are not looked at. Does not wait.

        Args:
            baseline: of the bundle that inspects; after another one took over, parts look different.
            product: of the part, on a box with several.
        """
        if not self._offered.full():  # a copy: it must not hold a camera's memory
            images = {view: image.copy() for view, image in images.items()}
        with contextlib.suppress(queue.Full):
            self._offered.put_nowait((images, baseline, product))

    def look(
        self, images: Mapping[str, RgbImage], baseline: Baseline | None = None, product: str | None = None
    ) -> None:
        """Measure one part, and raise or clear alarms.

        Args:
            baseline: of the bundle that inspected it; None: the first one.
            product: of the part, on a box with several.
        """
        watched = self._of(baseline or self._first)
        self._looks += 1
        watched.latest, watched.product = self._looks, product
        for view, image in images.items():
            watched.looks[view].append(look_at(image, view, watched.baseline))
            if len(watched.looks[view]) >= _ENOUGH:
                looks = watched.looks[view]
                watched.problems[view] = view_problem(looks, view, watched.baseline, self._config)
        for view in self._standing | set(watched.problems):
            self._raise_or_clear(view)
        if watched.count % _LIKENESS_EVERY == 0 and len(images) == len(watched.baseline.views):
            self._compare(watched, images)
        watched.count += 1

    def _of(self, baseline: Baseline) -> _Watched:
        """The looks at parts of one bundle; those of another one are not compared with its images."""
        found = next((one for one in self._watched if one.baseline is baseline), None)
        if found is None:
            looks: dict[str, deque[Look]] = {view: deque(maxlen=_LOOKS) for view in baseline.views}
            found = _Watched(baseline=baseline, looks=looks)
            self._watched.append(found)
        return found

    def _compare(self, watched: _Watched, images: Mapping[str, RgbImage]) -> None:
        """Compare the images with all views; one that shows nothing is not compared."""
        blind = _blind_views(images, watched.baseline)
        views = [view for view in watched.baseline.views if view not in blind]
        if views != watched.compared:
            watched.likeness.clear()
            watched.compared = views
        if views:
            watched.likeness.append(likenesses({view: images[view] for view in views}, watched.baseline))
            likeness = np.mean(watched.likeness, axis=0)
            found = swapped_views(likeness, watched.baseline, watched.compared)
            watched.swapped = watched.swapped if found is None else found
            self._raise_or_clear_swapped()

    def _present(self) -> list[_Watched]:
        """The bundles whose parts were looked at lately, the latest first."""
        oldest = self._looks - _REMEMBERED
        found = [watched for watched in self._watched if watched.latest > oldest]
        return sorted(found, key=lambda watched: -watched.latest)

    def _raise_or_clear(self, view: str) -> None:
        wrong = [watched for watched in self._present() if watched.problems.get(view)]
        if not wrong:
            self._standing.discard(view)
            self._alarms.clear("camera_view", subject=view)
            return
        one = min(wrong, key=lambda watched: watched.product or "")  # of several, always the same one
        self._standing.add(view)
        text = one.told(f"view '{view}' {one.problems[view]}")
        self._alarms.raise_("camera_view", "error", text, subject=view)

    def _raise_or_clear_swapped(self) -> None:
        present = self._present()
        wrong = [watched for watched in present if watched.swapped]
        if wrong:
            one = min(wrong, key=lambda watched: watched.product or "")
            self._alarms.raise_("camera_swapped", "error", one.told(swap_text(one.swapped or {})))
        elif any(watched.swapped == {} for watched in present):
            self._alarms.clear("camera_swapped")

    def _run(self) -> None:
        while not self._stop.is_set():
            waiting()
            offered = self._offered.get()
            if offered is None:
                return
            working(_SILENT_S)
            try:
                self.look(*offered)
            except Exception:  # one odd part must not end the watch over all others
                logger.exception("a part's views could not be looked at")
            self._stop.wait(_PERIOD_S)
