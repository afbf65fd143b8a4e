"""Check of a part's views before the verdict: a frozen or blind view never acquits a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgeflow.alarms import AlarmHysteresis, Alarms
from edgeflow.cameras.liveness import FrozenViewDetector, Origin
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig, CameraConfig, FileConfig, GenicamConfig, ReplayConfig, RtspConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import AlarmCode
from edgeflow.monitoring.view_appearance import Baseline, blindness, glance
from edgeflow.scoring.scorer import Scores

__all__ = ["ViewCheck", "origin_of"]

_FROZEN = "is frozen: it shows the same picture for different parts; switch the camera off and on"
_WELL_AFTER = 3  # parts in a row
_CODES: tuple[AlarmCode, ...] = ("camera_frozen", "camera_blind")
_RAW = frozenset({"YUYV", "UYVY", "YVYU", "NV12", "NV21", "YU12", "GREY", "RGB3", "BGR3", "BA81", "GRBG"})


class ViewCheck:
    """Marks parts with a frozen or blind view as faulty, and raises an alarm for the view.

    Without a box file it lets everything pass.
    """

    def __init__(self, config: BoxConfig | None = None, alarms: Alarms | None = None) -> None:
        self._mode = "off" if config is None else config.views.unusable
        cameras = {} if config is None else config.cameras
        self._repetition = FrozenViewDetector(
            {view: origin_of(camera) for view, camera in cameras.items()},
            most=3 if config is None else config.views.frozen_after,
        )
        self._alarms = alarms
        # Of every alarm from the start on, since others raise them too.
        self._standing = {(code, view): AlarmHysteresis(_WELL_AFTER) for code in _CODES for view in cameras}

    def checked(self, view_set: ViewSet, scores: Scores | None, baseline: Baseline) -> ViewSet:
        """The part, with a fault where a view cannot be trusted. For the line's thread.

        Args:
            scores: with the model images of all views; None where the part was not scored.
            baseline: of the bundle that inspects.
        """
        if self._mode == "off" or not view_set.frames:
            return view_set
        seen = {} if scores is None else _model_images(view_set, scores, baseline)
        images = {view: frame.image for view, frame in view_set.frames.items()}
        frozen = dict.fromkeys(self._repetition.frozen(images, seen, baseline.variety), _FROZEN)
        blind = _blind(seen, baseline)
        self._raise_or_clear("camera_frozen", frozen, view_set)
        if scores is not None:
            self._raise_or_clear("camera_blind", blind, view_set)
        if self._mode == "alarm" or not (frozen or blind):
            return view_set
        told = [f"view '{view}' {problem}" for found in (frozen, blind) for view, problem in found.items()]
        code: ReasonCode = "view_frozen" if frozen else "view_blind"
        return replace(
            view_set,
            fault="; ".join(filter(None, [view_set.fault, *told])),
            fault_code=view_set.fault_code or code,
        )

    def _raise_or_clear(self, code: AlarmCode, found: Mapping[str, str], view_set: ViewSet) -> None:
        """Raise alarms of views, and end those of views that were well for some parts."""
        if self._alarms is None:
            return
        for view in view_set.frames:
            hysteresis = self._standing.setdefault((code, view), AlarmHysteresis(_WELL_AFTER))
            if view in found:
                hysteresis.bad(found[view])
                self._alarms.raise_(code, "error", f"view '{view}' {found[view]}", subject=view)
            elif hysteresis.good():
                self._alarms.clear(code, subject=view)


def origin_of(camera: CameraConfig) -> Origin:
    """Return the source of a configured camera's pictures."""
    match camera:
        case ReplayConfig() | FileConfig():
            return "recording"
        case GenicamConfig():
            return "sensor"
        case RtspConfig():
            return "stream" if camera.url.startswith("rtsp") else "pictures"
        case _:
            return "sensor" if camera.fourcc in _RAW else "pictures"


def _model_images(view_set: ViewSet, scores: Scores, baseline: Baseline) -> dict[str, RgbImage]:
    """View → what the model saw of it, without the views that are missing."""
    pairs = zip(baseline.views, scores.inputs, strict=True)
    return {view: image for view, image in pairs if view in view_set.frames}


def _blind(seen: Mapping[str, RgbImage], baseline: Baseline) -> dict[str, str]:
    found = {view: blindness(glance(image), baseline.glances[view]) for view, image in seen.items()}
    return {view: problem for view, problem in found.items() if problem}
