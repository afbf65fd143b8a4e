"""Setup: the cameras of a box without bundle, gate and broker, for focusing and aiming them on its page."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeflow.alarms import Alarms
from edgeflow.bundles.trust import open_admitted
from edgeflow.capture.capture import Capture
from edgeflow.capture.recorder import recording_config
from edgeflow.clock import utc_now, utc_text
from edgeflow.commands.control_socket import ControlSocket
from edgeflow.commands.dispatcher import Answer
from edgeflow.config.box import BoxConfig
from edgeflow.config.camera_views import as_bundle_reads
from edgeflow.contracts.commands import Reply
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Manifest
from edgeflow.contracts.messages import Alarm
from edgeflow.contracts.preprocess import prepare
from edgeflow.decision.session import new_session
from edgeflow.delivery.store.database_file import claim
from edgeflow.errors import DataError, EdgeflowError
from edgeflow.live import LivePart, LiveStream
from edgeflow.log_output import use_format
from edgeflow.monitoring.view_appearance import Baseline
from edgeflow.monitoring.view_monitor import bundle_baseline
from edgeflow.station.process.signals import stopped_by_signals

__all__ = ["run_setup"]

logger = logging.getLogger(__name__)

_SHARE = 0.3  # of a core, for pictures: no part waits for it
_REFUSAL = "the box is being set up and inspects no part; end the setup, and start it with 'edgeflow run BOX'"


class _Unpublished:
    """Takes alarms that only the page shows: a setup has no broker."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class _Golden:
    """Golden images of the bundle, with which figures are compared."""

    manifest: Manifest
    baseline: Baseline


def run_setup(
    path: Path, *, overrides: tuple[str, ...], every_ms: float | None, ready: Callable[[str], None]
) -> None:
    """Open the cameras and serve their pictures on the box's local socket until SIGTERM or SIGINT.

    Args:
        every_ms: takes pictures so often, instead of at the box's trigger.
        ready: called once the cameras are open.

    Raises:
        ConfigError, CameraError: the box file or its cameras.
        StorageError: the box runs, or another setup does: a camera never has two owners.
    """
    config = recording_config(path, overrides, every_ms)
    use_format(config.log.format)
    session = new_session().id
    golden = _golden(config)
    if golden is not None:
        config = as_bundle_reads(config, golden.manifest.preprocessing)
    with ExitStack() as stack:
        stack.enter_context(_owned(config))
        alarms = Alarms(session, _Unpublished())
        capture = Capture(config, tuple(config.cameras), session, alarms=alarms)
        status = _Status(session=session, golden=golden, capture=capture, alarms=alarms)
        stream = stack.enter_context(LiveStream(status, share=_SHARE))
        control = ControlSocket(config.control_socket, _refuse, status, stream.serve)
        stack.callback(control.close)
        control.start()
        stack.enter_context(capture)
        stack.enter_context(stopped_by_signals(capture.stop))
        ready(f"{len(config.cameras)} cameras are open; see them with 'edgeflow web {path}', page Cameras")
        _show(capture, golden, stream)


@dataclass(frozen=True, kw_only=True)
class _Status:
    """Status of a setup, with the fields of a box's status."""

    session: str
    golden: _Golden | None
    capture: Capture
    alarms: Alarms

    def __call__(self) -> dict[str, Any]:
        manifest = self.golden.manifest if self.golden else None
        return {
            "session": self.session,
            "state": "PreOperational",
            "bundle": {
                "name": manifest.name if manifest else "–",
                "version": manifest.version if manifest else 0,
                "sha256": "",
            },
            "broker": "not connected during the setup",
            "broker_refuses": [],
            "results_waiting": 0,
            "results_set_aside": 0,
            "decisions_unsent": 0,
            "decisions_refused": 0,
            "cameras": {view: asdict(health) for view, health in self.capture.statuses().items()},
            "alarms": [alarm.model_dump(mode="json", by_alias=True) for alarm in self.alarms.standing()],
        }


def _golden(config: BoxConfig) -> _Golden | None:
    """Return what the bundle's golden images look like; None where there is no bundle yet."""
    try:
        product = config.product or next(iter(config.products or ()), None)
        bundle = open_admitted(config.bundle, config.trust, utc_now(), product)
    except EdgeflowError as cause:
        logger.info("figures are shown without golden images: %s", cause)
        return None
    try:
        return _Golden(manifest=bundle.manifest, baseline=bundle_baseline(bundle))
    finally:
        bundle.close()


@contextmanager
def _owned(config: BoxConfig) -> Iterator[None]:
    """Own the box as a running one does, so that neither opens the other's cameras."""
    path = config.outbox.path
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = claim(path)
    try:
        yield
    finally:
        os.close(lock)


def _show(capture: Capture, golden: _Golden | None, stream: LiveStream) -> None:
    for number, view_set in zip(itertools.count(1), capture.view_sets(), strict=False):
        if not stream.watched or not view_set.frames:
            continue
        images = {view: frame.image for view, frame in view_set.frames.items()}
        part = LivePart(result=None, images=images, maps={}, scales={}, number=number)
        if golden is not None and (prepared := _prepared(images, golden.manifest)):
            part = replace(part, images=prepared, baseline=golden.baseline)
        stream.offer(part)


def _prepared(images: Mapping[str, RgbImage], manifest: Manifest) -> dict[str, RgbImage]:
    """Return model images of the bundle's views; empty where the cameras' images do not fit it yet."""
    try:
        return {
            view.id: prepare(images[view.id], view, manifest.preprocessing)
            for view in manifest.views
            if view.id in images
        }
    except DataError as cause:
        logger.info("pictures are shown as the cameras give them: %s", cause)
        return {}


def _refuse(verb: str, arguments: Mapping[str, str], who: str, patience_s: float) -> Answer:  # noqa: ARG001
    reply = Reply(
        session="setup", command_id=None, verb=verb, outcome="refused", text=_REFUSAL, at=utc_text()
    )
    return Answer(reply=reply, exit_code=2)
