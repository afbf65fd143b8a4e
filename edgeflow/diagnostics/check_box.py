"""Everything that a box needs, looked at without running the line: all that is wrong, in one report."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgeflow.backends.registry import inspect_graph
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.trust import open_admitted
from edgeflow.calibration.detection_rates import shortcomings
from edgeflow.clock import utc_now
from edgeflow.commands.issuers import read_rules
from edgeflow.config.box import BoxConfig, EvidenceConfig, RuntimeConfig, load_config
from edgeflow.config.camera_views import check_views
from edgeflow.config.cameras import CameraConfig
from edgeflow.config.products.resolve import only_product, product_config
from edgeflow.config.units import host_and_port
from edgeflow.contracts.manifest import Thresholds
from edgeflow.decision.decision import check_degraded
from edgeflow.diagnostics.cameras.check_cameras import camera_findings, load_findings, source_findings
from edgeflow.diagnostics.cameras.check_pictures import require_sizes
from edgeflow.diagnostics.check_broker import broker_findings
from edgeflow.diagnostics.check_sync import sync_findings
from edgeflow.diagnostics.findings import Finding, Report, failed, failures, ok, warning
from edgeflow.diagnostics.graph_speed import speed_findings
from edgeflow.errors import ConfigError, EdgeflowError, UsageError
from edgeflow.log_output import journal_handler
from edgeflow.metrics.server import bound_socket
from edgeflow.scoring.loading import choose_graph

__all__ = ["Finding", "Report", "check_box"]

_ANSWER_S = 3.0
_LONGEST_PAGE = 1_000_000


def check_box(config_path: Path, overrides: tuple[str, ...] = (), *, publish: bool = False) -> Report:
    """Look at everything that a box file names. Raises nothing for what it finds.

    Cameras are not opened, since the line may be using them; of network cameras the address is tried, and
    where no box runs here and the bundle has a crop or a rectification, one picture is taken of a stream.
    What a user may read or write is found for the user who runs this.

    Args:
        publish: see ``check_broker.broker_findings``.
    """
    try:
        config = load_config(config_path, overrides)
    except EdgeflowError as error:
        return Report(findings=tuple(failures("box file", error)))
    checks = [*_checks(config_path, config), ("broker", partial(broker_findings, config, publish=publish))]
    with ThreadPoolExecutor(len(checks)) as pool:  # together they take as long as the slowest one
        found = list(pool.map(_findings, checks))
    return Report(findings=tuple(finding for findings in found for finding in findings))


_Check = tuple[str, Callable[[], Iterable[Finding]]]


def _checks(path: Path, config: BoxConfig) -> list[_Check]:
    checks: list[_Check] = [
        ("box file", partial(_box_file, path, config)),
        *_bundles(config),
        ("back end", partial(_back_end, config.runtime)),
        ("graph", partial(speed_findings, config)),
    ]
    for view, camera in config.cameras.items():
        checks.append((f"camera {view}", partial(camera_findings, view, camera)))
    for name, product in (config.products or {}).items():
        for view, camera in product.cameras.items():
            checks.append((f"camera {view}", partial(_product_camera, name, view, camera)))
    if config.runtime.memory_mb is not None:
        checks.append(("memory", partial(_memory, config, config.runtime.memory_mb)))
    checks.append(("cameras", partial(source_findings, config)))
    checks.append(("bandwidth", partial(load_findings, config)))
    checks.append(("sync", partial(sync_findings, config)))
    checks.append(("outbox", partial(_outbox, config.outbox.path)))
    if config.evidence:
        checks.append(("evidence", partial(_evidence, config.evidence)))
    if config.runtime.cache_dir:
        checks.append(("cache", partial(_cache, config.runtime.cache_dir)))
    if config.commands.allow or config.commands.issuers:
        checks.append(("commands", partial(_commands, config)))
    if config.metrics.listen is not None:
        checks.append(("metrics", partial(_metrics, config, config.metrics.listen)))
    if config.log.format == "journal":
        checks.append(("log", _journal))
    return checks


def _findings(check: _Check) -> list[Finding]:
    name, look = check
    try:
        return list(look())
    except EdgeflowError as error:
        return failures(name, error)
    except OSError as error:  # a folder on the way that this user may not enter
        return [failed(name, f"{error.filename}: {error.strerror}; check its rights")]


def _box_file(path: Path, config: BoxConfig) -> Iterable[Finding]:
    yield ok("box file", f"{path}: {len(config.cameras)} cameras, topics under {config.topic_root}")
    timeout_ms, deadline_ms = config.trigger.timeout_ms, config.decision.deadline_ms
    if timeout_ms >= deadline_ms:
        yield warning(
            "box file",
            f"trigger.timeout_ms {timeout_ms:g} is not below decision.deadline_ms {deadline_ms:g}: "
            "a part with a missing view is always decided too late; lower timeout_ms",
        )


def _bundles(config: BoxConfig) -> list[_Check]:
    """The bundle of the box, or of each of its products."""
    names = list(config.products or ())
    own = [product_config(config, name) for name in names] or [config]
    return [("bundle", partial(_bundle, one)) for one in own]


def _bundle(config: BoxConfig) -> list[Finding]:
    runtime, product = config.runtime, only_product(config)
    with open_admitted(config.bundle, config.trust, utc_now(), product) as bundle:
        manifest = bundle.manifest
        views = manifest.view_ids
        if product is not None:
            config = product_config(config, product, views)
        name = f"{manifest.name}, sha256 {bundle.sha256[:16]}…"
        thresholds = _thresholds(bundle, runtime)
        problems = [
            *_misfits(partial(check_views, config, views)),
            *_misfits(partial(check_degraded, config.sync, thresholds)),
            *_misfits(partial(_graphs, bundle, runtime)),
            *_misfits(partial(require_sizes, config, manifest.views)),
        ]
        weak = shortcomings(thresholds, manifest.min_recall)
    whose = f"product {product}: " if product is not None else ""
    found = problems or [ok("bundle", f"{whose}{config.bundle}: {name}, views {', '.join(views)}")]
    return found + [warning("bundle", sentence, grave=True) for sentence in weak]


def _product_camera(product: str, view: str, camera: CameraConfig) -> list[Finding]:
    """A camera with the settings that a product has in place of the others."""
    try:
        found = camera_findings(view, camera)
    except EdgeflowError as error:
        found = failures(f"camera {view}", error)
    return [replace(finding, text=f"product {product}: {finding.text}") for finding in found]


def _memory(config: BoxConfig, memory_mb: float) -> list[Finding]:
    """Two bundles need at least the size of their graphs; all of it is known only once they are loaded."""
    least_mb: dict[str, float] = {}
    for name in config.products or ():
        own = product_config(config, name)
        # What is wrong with a bundle is told of the bundle itself.
        with suppress(EdgeflowError), open_admitted(own.bundle, own.trust, utc_now(), name) as bundle:
            graph = choose_graph(bundle, backend=own.runtime.backend, precision=own.runtime.precision)
            least_mb[name] = bundle.manifest.graph_bytes(graph) / 1e6
    largest = sorted(least_mb, key=lambda name: least_mb[name], reverse=True)[:2]
    need_mb = sum(least_mb[name] for name in largest)
    names = " and ".join(f"'{name}'" for name in largest)
    told = f"runtime.memory_mb {memory_mb:g}: the graphs of {names} alone take {need_mb:.1f} MB"
    if need_mb > memory_mb:
        return [failed("memory", f"{told}, and both must fit; raise it, or leave it out")]
    more = "large images and tiles need far more to compute with: see what 'edgeflow ctl BOX status' counts"
    return [ok("memory", f"{told}; {more}")] if largest else []


def _thresholds(bundle: Bundle, runtime: RuntimeConfig) -> Thresholds:
    """The thresholds of the graph that will run; those of the bundle where none can."""
    try:
        graph = choose_graph(bundle, backend=runtime.backend, precision=runtime.precision)
    except ConfigError:
        return bundle.manifest.reference_thresholds
    return bundle.manifest.thresholds_of(graph)


def _graphs(bundle: Bundle, runtime: RuntimeConfig) -> None:
    """The graph that will run is there, and all of them are harmless; neither needs their library."""
    choose_graph(bundle, backend=runtime.backend, precision=runtime.precision)
    foreground = bundle.manifest.foreground
    for graph in (*bundle.manifest.graphs, *(foreground.graphs if foreground else ())):
        weights = bundle.read(graph.weights) if graph.weights else None
        inspect_graph(graph, bundle.read(graph.model), weights)


def _misfits(compare: Callable[[], object]) -> list[Finding]:
    """Contradictions between box file and bundle."""
    try:
        compare()
    except EdgeflowError as error:
        return failures("bundle", error)
    return []


def _back_end(runtime: RuntimeConfig) -> list[Finding]:
    # Only looked for: importing it would cost seconds, and compiling is what 'edgeflow verify' does.
    if importlib.util.find_spec(runtime.backend) is None:
        return [failed("back end", f"not installed; run: pip install 'edgeflow[{runtime.backend}]'")]
    return [ok("back end", f"{runtime.backend} is installed; try it with 'edgeflow verify'")]


def _folder(name: str, folder: Path) -> list[Finding]:
    """A folder that the box makes where it is missing, and writes to."""
    existing = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    try:
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"probe")  # a full disk still lets empty files be made
    except OSError as error:
        return [
            failed(
                name, f"{folder}: cannot be written: {error.strerror}; give this user the right, or change it"
            )
        ]
    return [ok(name, f"{folder}: can be {'written' if existing == folder else 'made'}")]


def _cache(folder: Path) -> list[Finding]:
    """Only a warning where it cannot be written: the box runs without it."""
    (found,) = _folder("cache", folder)
    if found.state == "ok":
        return [found]
    return [warning("cache", f"{found.text}; until then every start compiles the models anew")]


def _outbox(path: Path) -> list[Finding]:
    if path.is_dir():
        return [failed("outbox", f"{path}: is a folder; outbox.path names a file")]
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return [failed("outbox", f"{path}: no permission to read and write it")]
    return _folder("outbox", path.parent)


def _evidence(config: EvidenceConfig) -> list[Finding]:
    findings = _folder("evidence", config.dir)
    if findings[0].state == "ok":
        existing = next(path for path in (config.dir, *config.dir.parents) if os.access(path, os.F_OK))
        free_gb = shutil.disk_usage(existing).free / 1e9
        if free_gb < config.min_free_gb:
            findings.append(
                warning(
                    "evidence",
                    f"{free_gb:.1f} GB free, less than evidence.min_free_gb {config.min_free_gb:g}: nothing "
                    "would be kept; make room",
                )
            )
    return findings


def _commands(config: BoxConfig) -> list[Finding]:
    rules = read_rules(config, "check")
    bundles = [product.bundle for product in (config.products or {}).values()] or [config.bundle]
    files = [bundle for bundle in bundles if not bundle.is_symlink()]
    if {"reload", "rollback"} & set(rules.allow) and files:
        text = f"{files[0]}: a file, not a link; reload bundle=NAME and rollback need a link to a bundle"
        return [warning("commands", text)]
    who = "whom the broker lets" if rules.issuers is None else ", ".join(rules.issuers)
    return [ok("commands", f"over MQTT: {', '.join(rules.allow) or 'none'}; by {who}")]


def _metrics(config: BoxConfig, address: str) -> list[Finding]:
    """The address is free, or the running box itself has it."""
    try:
        bound_socket(address).close()
    except UsageError as error:
        if _is_this_box(address, config.device_name):
            return [ok("metrics", f"http://{address}/metrics: the running box answers")]
        return failures("metrics", error)
    return [ok("metrics", f"http://{address}/metrics: free for the box")]


def _is_this_box(address: str, name: str) -> bool:
    connection = http.client.HTTPConnection(*host_and_port(address), timeout=_ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        page = connection.getresponse().read(_LONGEST_PAGE).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return any(
        line.startswith("edgeflow_box_info{") and f'box="{name}"' in line for line in page.splitlines()
    )


def _journal() -> list[Finding]:
    journal_handler().close()
    return [ok("log", "journald takes it")]
