"""The cameras of a box file, looked at without opening them: there, reachable, told apart, not too many."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from edgeflow.cameras.addresses import public_source, public_url
from edgeflow.cameras.genicam.aravis import load_aravis
from edgeflow.cameras.genicam.features import read_features
from edgeflow.cameras.streams.tls import STREAM_PORTS, certificate_problem
from edgeflow.cameras.v4l2.usb import usb_twins
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
from edgeflow.diagnostics.bandwidth import Load, box_loads
from edgeflow.diagnostics.findings import Finding, failed, failures, ok, warning
from edgeflow.errors import CameraError

__all__ = ["camera_findings", "load_findings", "source_findings"]

_REACH_S = 5.0


def camera_findings(view: str, camera: CameraConfig) -> list[Finding]:
    """Findings about one camera, by its kind."""
    name = f"camera {view}"
    match camera:
        case ReplayConfig():
            return _recording(name, camera.parts, camera.view or view)
        case RtspConfig():
            return _stream(name, view, camera)
        case FileConfig():
            return [_file(name, view, camera.path)]
        case GenicamConfig():
            return _genicam(name, camera)
        case _:
            return [_device(name, camera.device)]


def _genicam(name: str, camera: GenicamConfig) -> list[Finding]:
    if camera.features is not None:
        read_features(camera.features)
    try:
        load_aravis()
    except CameraError as error:
        return failures(name, error)
    shown = f"{public_source(camera)}: " + ("features can be read; " if camera.features else "")
    return [ok(name, f"{shown}see whether it is attached with 'edgeflow cameras list'")]


def _recording(name: str, root: Path, view: str) -> list[Finding]:
    parts = find_parts(root, views=(view,))
    return [ok(name, f"{root}: {len(parts)} recorded parts with view {view}")]


def _device(name: str, device: str) -> Finding:
    try:
        mode = Path(device).stat().st_mode
    except OSError as error:
        return failed(name, f"{device}: {error.strerror}; check its cable, then ls /dev/v4l/by-id")
    if not stat.S_ISCHR(mode):
        return failed(name, f"{device}: not a camera device; ls /dev/v4l/by-id")
    if not os.access(device, os.R_OK | os.W_OK):
        return failed(name, f"{device}: no permission; add this user to the group 'video'")
    twins = usb_twins(device) if "/by-id/" in device else ()
    if twins:
        return failed(
            name,
            f"{device}: {', '.join(twins)} has the same make and serial number: this name may lead to "
            "either; use its path in /dev/v4l/by-path, or a udev rule",
        )
    return ok(name, f"{device}: is there")


def _file(name: str, view: str, path: Path) -> Finding:
    if not path.is_file():
        return failed(name, f"{path}: no such file; check cameras.{view}.path")
    if not os.access(path, os.R_OK):
        return failed(name, f"{path}: no permission to read it")
    return ok(name, f"{path}: is there")


def _stream(name: str, view: str, camera: RtspConfig) -> list[Finding]:
    found = _reached(name, view, camera.url)
    if camera.encrypted and camera.tls.insecure_skip_verify:
        return [
            found,
            warning(
                name,
                "its certificate is not verified (tls.insecure_skip_verify): whoever answers at its address "
                "gets the password and decides what is seen; give tls.ca instead",
            ),
        ]
    problem = certificate_problem(camera, _REACH_S) if found.state == "ok" else ""
    return [failed(name, f"{public_url(camera.url)}: {problem}")] if problem else [found]


def _reached(name: str, view: str, url: str) -> Finding:
    shown = public_url(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or STREAM_PORTS.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if not host:
        return failed(name, f"{shown}: not an address; check cameras.{view}.url")
    if parts.scheme not in STREAM_PORTS or port is None:
        return warning(name, f"{shown}: can only be tried by running")
    try:
        socket.create_connection((host, port), timeout=_REACH_S).close()
    except (OSError, UnicodeError) as error:  # the latter for a host name that cannot be one
        return failed(name, f"{shown}: not reachable: {error}; check its power, cable and address")
    return ok(name, f"{shown}: answers")


def source_findings(config: BoxConfig) -> Iterable[Finding]:
    """Devices and streams that two views claim: only one of them would get images."""
    views: dict[str, list[str]] = {}
    for view, camera in config.cameras.items():
        if not isinstance(camera, ReplayConfig | FileConfig):
            views.setdefault(_identity(camera), []).append(view)
    for source, names in views.items():
        if len(names) > 1:
            shown = public_url(source) if "://" in source else source
            yield failed(f"camera {names[0]}", f"{shown}: also of view {', '.join(names[1:])}")


def _identity(camera: CameraConfig) -> str:
    """The same for two entries that name one camera, be it by different paths."""
    if isinstance(camera, RtspConfig):
        return camera.url
    if isinstance(camera, V4l2Config) and Path(camera.device).is_symlink():
        return str(Path(camera.device).resolve())
    return public_source(camera)


def load_findings(config: BoxConfig) -> Iterable[Finding]:
    """Check that buses and networks carry the data of all cameras."""
    for load in box_loads(config):
        if load.megabytes_per_s:
            yield _load(load)


def _load(load: Load) -> Finding:
    shares = ", ".join(f"{view} {rate:.1f}" for view, rate in load.megabytes_per_s.items())
    text = f"{load.carrier}: {load.total:.0f} of {load.capacity:.0f} MB/s ({shares})"
    if load.unknown:
        text += f", without {', '.join(load.unknown)}, whose format is not given"
    if load.total <= load.capacity:
        return ok("bandwidth", text)
    advice = "lower resolution, rate or bytes per pixel (MJPG, Bayer), or use another controller or link"
    if load.measured:
        return failed("bandwidth", f"{text}: too much; {advice}")
    return warning("bandwidth", f"{text}: too much if they share it; {advice}")
