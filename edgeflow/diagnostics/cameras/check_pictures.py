"""Sizes of the cameras' pictures, as far as known, compared with the crops and planes of a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edgeflow.cameras.addresses import public_source
from edgeflow.cameras.camera import EndOfStream
from edgeflow.cameras.drivers import make_camera
from edgeflow.cameras.genicam.features import read_features
from edgeflow.clock import monotonic_ns
from edgeflow.commands.control_socket import ask
from edgeflow.config.box import (
    BoxConfig,
    CameraConfig,
    FileConfig,
    GenicamConfig,
    ReplayConfig,
    RtspConfig,
    V4l2Config,
)
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.images import image_size
from edgeflow.contracts.manifest import ViewSpec
from edgeflow.errors import CameraError, ConfigError, DataError, EdgeflowError, HardwareError

__all__ = ["require_sizes"]

_PARTS = 50
"""Of a recording: all are of one size, or the first ones tell."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """Size of a camera's pictures, and where it is known from; a side that is not known is None."""

    width: int | None
    height: int | None
    source: str

    def __str__(self) -> str:
        return f"{self.source} {self.width or '?'}x{self.height or '?'}"


def require_sizes(config: BoxConfig, views: Sequence[ViewSpec]) -> None:
    """Check that cameras give the sizes that crop and rectification were made for, and crops lie within.

    A size is taken from the box file, the features file, recorded parts, a video file, or one picture of a
    stream. Streams are opened only where no box runs here, since some cameras serve one reader alone; a
    camera whose size is not known, or that does not answer, is left to the running box.

    Raises:
        ConfigError: names every view that does not fit.
    """
    problems = []
    for view in views:
        camera = config.cameras.get(view.id)
        if camera is None or not (view.camera_size or view.crop or view.rectify):
            continue
        misfits = (_misfit(view, seen) for seen in _sizes(config, view.id, camera))
        problem = next((found for found in misfits if found), "")
        if problem:
            problems.append(problem)
    if problems:
        raise ConfigError("set these cameras to the bundle's sizes, or train anew", problems=problems)


def _misfit(view: ViewSpec, seen: _Seen) -> str:
    """The contradiction between a view and the size of its camera's pictures; empty where there is none."""
    made_for = view.camera_size
    if made_for is not None:
        wrong = seen.width not in (None, made_for[0]) or seen.height not in (None, made_for[1])
        told = f"the bundle's crop and rectification were made for {made_for[0]}x{made_for[1]}"
        return f"cameras.{view.id}: {seen}, but {told}" if wrong else ""
    if seen.width is None or seen.height is None:
        return ""
    try:
        ViewGeometry(view, (seen.height, seen.width))
    except DataError:
        x, y, width, height = view.crop or (0, 0, 0, 0)
        return (
            f"cameras.{view.id}: {seen}, but the bundle's crop of {width}x{height} at {x},{y} reaches to "
            f"{x + width}x{y + height}: outside of the picture"
        )
    return ""


def _sizes(config: BoxConfig, view: str, camera: CameraConfig) -> Iterator[_Seen]:
    """Sizes of a camera's pictures, as far as they are known."""
    match camera:
        case V4l2Config():
            yield _Seen(width=camera.width, height=camera.height, source="set to")
        case GenicamConfig(features=path) if path is not None:
            try:
                features = read_features(path)
            except EdgeflowError:  # has a finding of its own
                return
            width, height = (_pixels(features.get(name)) for name in ("Width", "Height"))
            yield _Seen(width=width, height=height, source=f"{path.name} sets")
        case ReplayConfig():
            yield from _recorded(camera, camera.view or view)
        case FileConfig():
            yield from _opened(view, camera)
        case RtspConfig() if not _box_runs(config):
            yield from _opened(view, camera)


def _pixels(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _recorded(camera: ReplayConfig, view: str) -> Iterator[_Seen]:
    """Sizes of recorded images, from their headers; what cannot be read has a finding of its own."""
    try:
        parts = find_parts(camera.parts, views=(view,))
    except EdgeflowError:
        return
    for part in parts[:_PARTS]:
        try:
            height, width = image_size(part.images[view])
        except DataError:
            continue
        yield _Seen(width=width, height=height, source=f"{part.images[view]} is")


def _box_runs(config: BoxConfig) -> bool:
    try:
        ask(config.control_socket, "status", {})
    except HardwareError:
        return False
    except EdgeflowError:
        return True
    return True


def _opened(view: str, camera: FileConfig | RtspConfig) -> Iterator[_Seen]:
    """The size of one picture of a stream; nothing where none comes."""
    with ExitStack() as stack:
        try:
            opened = make_camera(view, camera)
            stack.callback(opened.close)
            opened.open(monotonic_ns())
            frame = opened.read(camera.read_timeout_ms / 1000)
        except (CameraError, EndOfStream):
            return
        if frame is not None:
            height, width = frame.image.shape[:2]
            yield _Seen(width=width, height=height, source=f"{public_source(camera)} gives")
