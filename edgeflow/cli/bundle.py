"""``edgeflow inspect`` and ``edgeflow verify``: a bundle's content, and its golden parts replayed here."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.detection_rates import false_rejects, recall, shortcomings
from edgeflow.cli.options import FILE, device_option, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.manifest import REPORT_NAME, Foreground, Graph, Manifest, Preprocessing
from edgeflow.contracts.parity import FOR_SCALE
from edgeflow.errors import (
    ConfigError,
    DeviceError,
    EdgeflowError,
    IntegrityError,
    ParityError,
    StorageError,
)
from edgeflow.scoring.isolated_verification import verify_in_subprocess
from edgeflow.scoring.verification import GoldenCheck

__all__ = ["inspect", "print_accuracy", "print_rates", "verify"]


@click.command()
@click.argument("bundle", type=FILE)
@click.option("--report", type=FILE, metavar="FILE", help="Write its report for people (HTML) there.")
@json_option
def inspect(bundle: Path, report: Path | None, json_output: bool) -> None:
    """Say what BUNDLE holds and what was verified of it."""
    with Bundle.open(bundle) as opened:
        if report is not None:
            _write_report(opened, report)
        if json_output:
            print_json({"sha256": opened.sha256, **opened.manifest.model_dump(mode="json")})
        else:
            _print_summary(opened, bundle, report)


@click.command()
@click.argument("bundle", type=FILE)
@device_option
@click.option("--graph", "graph_id", help="Only this graph, such as openvino-int8.")
@json_option
def verify(bundle: Path, device: str, graph_id: str | None, json_output: bool) -> None:
    """Replay BUNDLE's golden parts on this machine and compare with the trained model."""
    with Bundle.open(bundle) as opened:
        checks, failures = _replayed(opened, bundle, device=device, graph_id=graph_id)
    if json_output:
        print_json(
            {"device": device, "checks": [asdict(c) for c in checks], "failures": [str(f) for f in failures]}
        )
    else:
        print_table(Console(highlight=False), _check_table(checks))
    if failures:
        raise _worst(failures)


def _replayed(
    bundle: Bundle, path: Path, *, device: str, graph_id: str | None
) -> tuple[list[GoldenCheck], list[EdgeflowError]]:
    """Golden parts replayed on every graph, or on one; one graph's failure does not stop the others."""
    manifest = bundle.manifest
    graphs = [
        graph
        for graph in manifest.graphs
        if graph.id == graph_id or (graph_id is None and manifest.is_calibrated(graph))
    ]
    if not graphs:
        found = ", ".join(graph.id for graph in bundle.manifest.graphs)
        raise ConfigError(f"{path}: no graph '{graph_id}'; the bundle holds: {found}")
    checks: list[GoldenCheck] = []
    failures: list[EdgeflowError] = []
    for graph in graphs:
        try:
            checks += verify_in_subprocess(bundle, graph, placement=Placement(device=device))
        except (ParityError, DeviceError, IntegrityError) as error:
            failures.append(error)
    return checks, failures


def _print_summary(bundle: Bundle, path: Path, report: Path | None) -> None:
    manifest = bundle.manifest
    console = Console(highlight=False, markup=False)
    console.print(manifest.name, style="bold", end="")
    console.print(f"  {path}  {path.stat().st_size / 1e6:.2f} MB")
    console.print(f"made by {manifest.created_by}; sha256 {bundle.sha256[:16]}…; all hashes match")
    console.print(_origin(bundle), markup=False)
    size = manifest.preprocessing
    views = ", ".join(view.id + (f" ({view.described})" if view.described else "") for view in manifest.views)
    console.print(f"views: {views}; model image {size.width}×{size.height}{_tiles(size)}")
    print_rates(console, manifest)
    _print_scoring(console, manifest)
    if manifest.foreground is not None:
        console.print(_foreground(manifest.foreground), markup=False)
    print_table(console, _graph_table(manifest))
    if manifest.graph_thresholds:
        print_table(console, _threshold_table(manifest))
    print_accuracy(console, manifest)
    for note in manifest.notes:
        console.print(f"note: {note}", markup=False)
    for key, value in manifest.provenance.items():
        console.print(f"{key}: {value}", markup=False)
    if REPORT_NAME in manifest.files:
        where = report or f"'edgeflow inspect {path} --report FILE' writes it"
        console.print(f"report with pictures: {where}", markup=False, soft_wrap=True)


def print_accuracy(console: Console, manifest: Manifest) -> None:
    """Print what each reduced graph does to scores and verdicts, and a figure to compare it with."""
    for found in manifest.accuracy:
        quantized = (f"{found.quantized} in INT8",) if found.quantized else ()
        for sentence in (*quantized, *found.sentences):
            console.print(f"{found.graph}: {sentence}", markup=False, soft_wrap=True)
    if any(found.sentences for found in manifest.accuracy):
        console.print(FOR_SCALE, markup=False, soft_wrap=True)


def _write_report(bundle: Bundle, target: Path) -> None:
    if REPORT_NAME not in bundle.manifest.files:
        raise ConfigError(f"{bundle.path}: carries no report; export it with this version of edgeflow")
    try:
        target.write_bytes(bundle.read(REPORT_NAME))
    except OSError as cause:
        raise StorageError(
            f"{target}: the report cannot be written: {cause.strerror}; check space and rights"
        ) from cause


def _worst(failures: list[EdgeflowError]) -> EdgeflowError:
    """A hostile graph is worse than a wrong result, and that than a missing library."""
    first = min(failures, key=lambda f: (not isinstance(f, IntegrityError), not isinstance(f, ParityError)))
    others = [str(failure) for failure in failures if failure is not first]
    return type(first)(first.message, problems=[*first.problems, *others])


def _origin(bundle: Bundle) -> str:
    """The version, device class, expiry and signer, by which a box admits a bundle."""
    manifest, signature = bundle.manifest, bundle.signature
    signer = f"claims to be signed by key {signature.key_id}" if signature else "not signed"
    device = f", for device class {manifest.device_class}" if manifest.device_class else ""
    until = f", until {manifest.expires.isoformat()}" if manifest.expires else ""
    return f"version {manifest.version}{device}{until}; {signer}"


def print_rates(console: Console, manifest: Manifest) -> None:
    """Print recall and false rejects first, and in red where they are too low."""
    thresholds = manifest.reference_thresholds
    found, rejected = recall(thresholds), false_rejects(thresholds)
    for sentence in shortcomings(thresholds, manifest.min_recall):
        console.print(f"warning: {sentence}", style="bold red", markup=False, soft_wrap=True)
    console.print(
        f"recall: {found or 'unknown, no labelled defective parts'}; false rejects: "
        f"{rejected or 'unknown, no labelled normal test parts'}",
        markup=False,
        soft_wrap=True,
    )


def _tiles(size: Preprocessing) -> str:
    if size.tiles is None or size.grid is None:
        return ""
    return f" in {len(size.grid)} tiles of {size.tiles.width}×{size.tiles.height}"


def _print_scoring(console: Console, manifest: Manifest) -> None:
    scoring, thresholds = manifest.scoring, manifest.reference_thresholds
    console.print(
        f"view score: {scoring.pooled}{'' if scoring.blur else ' of the map'}"
        f"{' after pixel statistics' if scoring.pixel_statistics else ''}; "
        f"part score: {scoring.part} over views"
    )
    console.print(
        f"part threshold {thresholds.part.threshold:.4g} (scaled 1.0) from {thresholds.normal_parts} normal "
        f"parts at a false-reject rate of {thresholds.false_reject_rate:g}"
    )
    interval = thresholds.part.interval
    if interval is not None:
        high = "not bounded above" if interval.high is None else f"to {interval.high:.4g}"
        console.print(
            f"by {thresholds.part.method}; {interval.level:.0%} interval from {interval.low:.4g} {high}",
            markup=False,
        )
    if thresholds.subsets:
        console.print(
            f"also calibrated for parts seen by {'; '.join(thresholds.subsets)} alone", markup=False
        )
    if thresholds.note:
        console.print(f"note: {thresholds.note}", markup=False)


def _foreground(foreground: Foreground) -> str:
    size = f" at {foreground.size}x{foreground.size}" if foreground.size else ""
    note = f" ({foreground.note})" if foreground.note else ""
    return f"foreground: {foreground.kind}{size}; background counts as 0{note}"


def _graph_table(manifest: Manifest) -> Table:
    table = make_table("graph", "size", "map error", "allowed", "verdict flips", "part AUROC (fp32)")
    reports = {report.graph: report for report in manifest.accuracy}
    for graph in manifest.graphs:
        report = reports.get(graph.id)
        auroc = report.part_auroc if report else None
        table.add_row(
            graph.id,
            f"{_size(manifest, graph) / 1e6:.2f} MB",
            f"{graph.measured_error:.2g}",
            f"{manifest.allowed_error(graph):.2g}",
            f"{report.verdict_flips} of {report.parts}" if report else "",
            f"{auroc:.4f} ({report.part_auroc_reference:.4f})" if report and auroc is not None else "",
        )
    return table


def _threshold_table(manifest: Manifest) -> Table:
    """Every graph's own part threshold, and what it rejects of the labelled parts."""
    table = make_table("graph", "own part threshold", "recall", "false rejects")
    for graph in manifest.graphs:
        if not manifest.is_calibrated(graph):
            table.add_row(graph.id, "none: no box can run it", "", "")
            continue
        own = manifest.thresholds_of(graph)
        table.add_row(
            graph.id, f"{own.part.threshold:.4g}", str(recall(own) or ""), str(false_rejects(own) or "")
        )
    return table


def _size(manifest: Manifest, graph: Graph) -> int:
    return sum(manifest.files[name].size for name in (graph.model, graph.weights) if name)


def _check_table(checks: list[GoldenCheck]) -> Table:
    headings = ("graph", "device", "golden part", "map error", "allowed", "score", "trained model's")
    table = make_table(*headings)
    for check in checks:
        table.add_row(
            check.graph,
            check.device,
            check.part_id,
            f"{check.error:.2g}",
            f"{check.tolerance:.2g}",
            f"{check.score:.3f}",
            f"{check.expected_score:.3f}",
        )
    return table
