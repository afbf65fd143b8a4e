"""Everything that a box needs, looked at without running the line: all that is wrong, in one report."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from edgeflow.backends.table import choose_graph, inspect_graph
from edgeflow.broker import Settings, check_files, connect_failure, new_client
from edgeflow.bundle import Bundle
from edgeflow.cameras.aravis import load_aravis
from edgeflow.cameras.features import read_features
from edgeflow.cameras.source import public_source, public_url
from edgeflow.capture import check_views
from edgeflow.clock import utc_now
from edgeflow.config import (
    BoxConfig,
    CameraConfig,
    EvidenceConfig,
    FileConfig,
    GenicamConfig,
    MqttConfig,
    ReplayConfig,
    RtspConfig,
    RuntimeConfig,
    load_config,
)
from edgeflow.contracts.parts import find_parts
from edgeflow.errors import CameraError, EdgeflowError
from edgeflow.trust import open_admitted

__all__ = ["Finding", "Report", "State", "check_box"]

State = Literal["ok", "warning", "failed"]

_REACH_S = 5.0
_MOST_PER_CHECK = 20  # findings; a recording with a thousand broken parts needs no more
_STREAM_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_SETTINGS = Settings(
    address="mqtt.host and mqtt.port",
    credentials="mqtt.username and mqtt.password_file (or password_env)",
    tls="mqtt.tls",
    client_id="mqtt.client_id",
    version="mqtt.version",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; ``text`` says what was found and, if it is not well, what to do."""

    name: str
    state: State
    text: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, in the order of the box file."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether the box can run; warnings allow it."""
        return all(finding.state != "failed" for finding in self.findings)


def check_box(config_path: Path, overrides: tuple[str, ...] = ()) -> Report:
    """Look at everything that a box file names. Raises nothing for what it finds.

    Cameras are not opened, since the line may be using them; of network cameras and broker the
    address is tried. What a user may read or write is found for the user who runs this.
    """
    try:
        config = load_config(config_path, overrides)
    except EdgeflowError as error:
        return Report(findings=tuple(_failures("box file", error)))
    checks = _checks(config_path, config)
    with ThreadPoolExecutor(len(checks)) as pool:  # together they take as long as the slowest one
        found = list(pool.map(_findings, checks))
    return Report(findings=tuple(finding for findings in found for finding in findings))


_Check = tuple[str, Callable[[], Iterable[Finding]]]


def _checks(path: Path, config: BoxConfig) -> list[_Check]:
    checks: list[_Check] = [
        ("box file", partial(_box_file, path, config)),
        ("bundle", partial(_bundle, config)),
        ("back end", partial(_back_end, config.runtime)),
    ]
    for view, camera in config.cameras.items():
        checks.append((f"camera {view}", partial(_camera, view, camera)))
    checks.append(("cameras", partial(_sources, config)))
    checks.append(("outbox", partial(_outbox, config.outbox.path)))
    if config.evidence:
        checks.append(("evidence", partial(_evidence, config.evidence)))
    if config.runtime.cache_dir:
        checks.append(("cache", partial(_folder, "cache", config.runtime.cache_dir)))
    return [*checks, ("broker", partial(_broker, config.mqtt))]


def _findings(check: _Check) -> list[Finding]:
    name, look = check
    try:
        return list(look())
    except EdgeflowError as error:
        return _failures(name, error)
    except OSError as error:  # a folder on the way that this user may not enter
        return [_failed(name, f"{error.filename}: {error.strerror}; check its rights")]


def _ok(name: str, text: str) -> Finding:
    return Finding(name=name, state="ok", text=text)


def _warning(name: str, text: str) -> Finding:
    return Finding(name=name, state="warning", text=text)


def _failed(name: str, text: str) -> Finding:
    return Finding(name=name, state="failed", text=text)


def _failures(name: str, error: EdgeflowError) -> list[Finding]:
    """A finding for each problem of an error."""
    problems = list(error.problems) or [error.message]
    more = len(problems) - _MOST_PER_CHECK
    if more > 0:
        problems = [*problems[:_MOST_PER_CHECK], f"and {more} more problems"]
    return [_failed(name, problem) for problem in problems]


def _box_file(path: Path, config: BoxConfig) -> Iterable[Finding]:
    yield _ok("box file", f"{path}: {len(config.cameras)} cameras, topics under {config.topic_root}")
    timeout_ms, deadline_ms = config.trigger.timeout_ms, config.decision.deadline_ms
    if timeout_ms >= deadline_ms:
        yield _warning(
            "box file",
            f"trigger.timeout_ms {timeout_ms:g} is not below decision.deadline_ms {deadline_ms:g}: "
            "a part with a missing view is always decided too late; lower timeout_ms",
        )


def _bundle(config: BoxConfig) -> list[Finding]:
    runtime = config.runtime
    with open_admitted(config.bundle, config.trust, utc_now()) as bundle:
        views = bundle.manifest.view_ids
        name = f"{bundle.manifest.name}, sha256 {bundle.sha256[:16]}…"
        problems = [
            *_misfits(partial(check_views, config, views)),
            *_misfits(partial(_graphs, bundle, runtime)),
        ]
    return problems or [_ok("bundle", f"{config.bundle}: {name}, views {', '.join(views)}")]


def _graphs(bundle: Bundle, runtime: RuntimeConfig) -> None:
    """The graph that will run is there, and all of them are harmless; neither needs their library."""
    choose_graph(bundle, backend=runtime.backend, precision=runtime.precision)
    foreground = bundle.manifest.foreground
    for graph in (*bundle.manifest.graphs, *(foreground.graphs if foreground else ())):
        weights = bundle.read(graph.weights) if graph.weights else None
        inspect_graph(graph, bundle.read(graph.model), weights)


def _misfits(compare: Callable[[], object]) -> list[Finding]:
    """What is wrong between box file and bundle."""
    try:
        compare()
    except EdgeflowError as error:
        return _failures("bundle", error)
    return []


def _back_end(runtime: RuntimeConfig) -> list[Finding]:
    # Only looked for: importing it would cost seconds, and compiling is what 'edgeflow verify' does.
    if importlib.util.find_spec(runtime.backend) is None:
        return [_failed("back end", f"not installed; run: pip install 'edgeflow[{runtime.backend}]'")]
    return [_ok("back end", f"{runtime.backend} is installed; try it with 'edgeflow verify'")]


def _camera(view: str, camera: CameraConfig) -> list[Finding]:
    name = f"camera {view}"
    match camera:
        case ReplayConfig():
            return _recording(name, camera.parts, camera.view or view)
        case RtspConfig():
            return [_stream(name, view, camera.url)]
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
        return _failures(name, error)
    shown = f"{public_source(camera)}: " + ("features can be read; " if camera.features else "")
    return [_ok(name, f"{shown}see whether it is attached with 'edgeflow cameras list'")]


def _recording(name: str, root: Path, view: str) -> list[Finding]:
    parts = find_parts(root, views=(view,))
    return [_ok(name, f"{root}: {len(parts)} recorded parts with view {view}")]


def _device(name: str, device: str) -> Finding:
    try:
        mode = Path(device).stat().st_mode
    except OSError as error:
        return _failed(name, f"{device}: {error.strerror}; check its cable, then ls /dev/v4l/by-id")
    if not stat.S_ISCHR(mode):
        return _failed(name, f"{device}: not a camera device; ls /dev/v4l/by-id")
    if not os.access(device, os.R_OK | os.W_OK):
        return _failed(name, f"{device}: no permission; add this user to the group 'video'")
    return _ok(name, f"{device}: is there")


def _file(name: str, view: str, path: Path) -> Finding:
    if not path.is_file():
        return _failed(name, f"{path}: no such file; check cameras.{view}.path")
    if not os.access(path, os.R_OK):
        return _failed(name, f"{path}: no permission to read it")
    return _ok(name, f"{path}: is there")


def _stream(name: str, view: str, url: str) -> Finding:
    shown = public_url(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _STREAM_PORTS.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if not host:
        return _failed(name, f"{shown}: not an address; check cameras.{view}.url")
    if parts.scheme not in _STREAM_PORTS or port is None:
        return _warning(name, f"{shown}: can only be tried by running")
    try:
        socket.create_connection((host, port), timeout=_REACH_S).close()
    except (OSError, UnicodeError) as error:  # the latter for a host name that cannot be one
        return _failed(name, f"{shown}: not reachable: {error}; check its power, cable and address")
    return _ok(name, f"{shown}: answers")


def _sources(config: BoxConfig) -> Iterable[Finding]:
    """Devices and streams that two views claim: only one of them would get images."""
    views: dict[str, list[str]] = {}
    for view, camera in config.cameras.items():
        if not isinstance(camera, ReplayConfig | FileConfig):
            source = camera.url if isinstance(camera, RtspConfig) else public_source(camera)
            views.setdefault(source, []).append(view)
    for source, names in views.items():
        if len(names) > 1:
            shown = public_url(source) if "://" in source else source
            yield _failed(f"camera {names[0]}", f"{shown}: also of view {', '.join(names[1:])}")


def _folder(name: str, folder: Path) -> list[Finding]:
    """A folder that the box makes where it is missing, and writes to."""
    existing = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return [
            _failed(
                name, f"{folder}: cannot be written: {error.strerror}; give this user the right, or change it"
            )
        ]
    return [_ok(name, f"{folder}: can be {'written' if existing == folder else 'made'}")]


def _outbox(path: Path) -> list[Finding]:
    if path.is_dir():
        return [_failed("outbox", f"{path}: is a folder; outbox.path names a file")]
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return [_failed("outbox", f"{path}: no permission to read and write it")]
    return _folder("outbox", path.parent)


def _evidence(config: EvidenceConfig) -> list[Finding]:
    findings = _folder("evidence", config.dir)
    if findings[0].state == "ok":
        existing = next(path for path in (config.dir, *config.dir.parents) if os.access(path, os.F_OK))
        free_gb = shutil.disk_usage(existing).free / 1e9
        if free_gb < config.min_free_gb:
            findings.append(
                _warning(
                    "evidence",
                    f"{free_gb:.1f} GB free, less than evidence.min_free_gb {config.min_free_gb:g}: nothing "
                    "would be kept; make room",
                )
            )
    return findings


def _broker(config: MqttConfig) -> list[Finding]:
    findings: list[Finding] = []
    try:
        check_files(config)
        new_client(config, "check")
    except EdgeflowError as error:
        findings += _failures("broker", error)
    address = f"{config.host}:{config.port}"
    try:
        socket.create_connection((config.host, config.port), timeout=_REACH_S).close()
    except (OSError, UnicodeError) as error:
        # Only a warning: the line runs without it, and results wait in the outbox.
        return [*findings, _warning("broker", f"{address}: {connect_failure(error, _SETTINGS)}")]
    return [*findings, _ok("broker", f"{address}: answers")]
