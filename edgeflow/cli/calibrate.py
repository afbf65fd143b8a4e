"""``edgeflow calibrate``: new thresholds from good parts, as the bundle's next version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.effect import Effect
from edgeflow.calibration.labelled.calibration import EvidenceCalibration
from edgeflow.calibration.labelled.preview import EvidencePreview
from edgeflow.calibration.next_version import Recalibrated
from edgeflow.calibration.recalibrate import recalibrate
from edgeflow.calibration.thresholds import Method
from edgeflow.cli.calibrate_evidence import is_box_or_export, print_preview, read_evidence, write_page
from edgeflow.cli.options import FILE, NEW_BUNDLE, FiniteRange, box_overrides, device_option, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.decision.recorded_parts import find_bundle_parts, require_depth
from edgeflow.errors import UsageError
from edgeflow.files import require_new
from edgeflow.security.keys import read_passphrase, read_private_key

__all__ = ["calibrate"]


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """The options of one call that both kinds of parts take."""

    source: Path
    output: Path | None
    page: Path | None
    rate: float | None
    method: Method
    graph_id: str | None
    placement: Placement
    accept: bool
    signer: Ed25519PrivateKey | None
    overrides: tuple[str, ...]


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("parts", type=FILE)
@click.option("-o", "--output", type=FILE, help=f"{NEW_BUNDLE} Without it, what would change is only shown.")
@click.option(
    "--html", "page", type=FILE, metavar="FILE", help="Write what would change there, with pictures."
)
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option(
    "--rate",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    help="Share of good parts that may be rejected; default: the bundle's.",
)
@click.option("--method", type=click.Choice(["auto", "quantile", "tail"]), default="auto", show_default=True)
@click.option("--graph", "graph_id", help="It describes the bundle; default: the first, in fp32.")
@device_option
@click.option("--accept", is_flag=True, help="Take thresholds that move by more than 0.25 in scaled score.")
@click.option("--sign", type=FILE, metavar="KEY", help="Sign with this private key, NAME.key.pem.")
@click.option("--passphrase-file", type=FILE, help="As for 'edgeflow keys sign'.")
@click.option("--allow-dark", is_flag=True, help="Accept images that use less than a quarter of their depth.")
@box_overrides
@json_option
def calibrate(
    bundle: Path,
    parts: Path,
    *,
    output: Path | None,
    page: Path | None,
    class_name: str | None,
    rate: float | None,
    method: Method,
    graph_id: str | None,
    device: str,
    accept: bool,
    sign: Path | None,
    passphrase_file: Path | None,
    allow_dark: bool,
    overrides: tuple[str, ...],
    json_output: bool,
) -> None:
    """Give BUNDLE new thresholds from good PARTS recorded at this box, as its next version.

    PARTS is a folder of good parts, an export of labelled evidence, or the file of a box, whose history and
    evidence are read where they lie. Of both latter, the thresholds are those of all parts that the box has
    inspected, and what would change is shown first.

    Every graph of the bundle that can run here gets thresholds from its own scores; no box can run the others
    from then on. The graphs and golden parts stay as they are, and are replayed before the new bundle takes
    its name.
    """
    if output is not None:
        require_new(output)
    wish = _Wish(
        source=parts,
        output=output,
        page=page,
        rate=rate,
        method=method,
        graph_id=graph_id,
        placement=Placement(device=device),
        accept=accept,
        signer=None if sign is None else read_private_key(sign, read_passphrase(passphrase_file)),
        overrides=overrides,
    )
    with Bundle.open(bundle) as opened:
        if is_box_or_export(parts):
            preview, done = _from_evidence(opened, wish)
        else:
            preview, done = None, _from_parts(opened, wish, class_name, allow_dark=allow_dark)
    if json_output:
        print_json(_json(preview, done, signed=sign is not None))
    else:
        _show(preview, done, signed=sign is not None)
    if page is not None and not json_output:
        click.echo(f"{page}: with pictures")


def _json(preview: EvidencePreview | None, done: Recalibrated | None, *, signed: bool) -> dict[str, object]:
    written = {} if done is None else _document(done, signed=signed)
    return written if preview is None else {**written, "preview": preview.document()}


def _show(preview: EvidencePreview | None, done: Recalibrated | None, *, signed: bool) -> None:
    console = Console(highlight=False, markup=False)
    if preview is not None:
        thresholds = {preview.graph: (preview.before, preview.after)}
        if done is not None:
            thresholds |= {name: (new.before, new.after) for name, new in done.graphs.items()}
        print_table(console, _table(preview.graph, thresholds))
        print_preview(console, preview)
    elif done is not None:
        thresholds = {name: (new.before, new.after) for name, new in done.graphs.items()}
        print_table(console, _table(done.graph, thresholds))
        for sentence in done.effect.sentences:
            console.print(sentence, markup=False, soft_wrap=True)
    if done is not None:
        _print(console, done, signed=signed, previewed=preview is not None)
    else:
        console.print("nothing was written: -o NEW.bundle writes it", markup=False)


def _from_evidence(bundle: Bundle, wish: _Wish) -> tuple[EvidencePreview, Recalibrated | None]:
    """Preview thresholds from labelled evidence, and write them where an output is named."""
    evidence = read_evidence(bundle, wish.source, wish.overrides)
    calibration = EvidenceCalibration(
        bundle=bundle,
        evidence=evidence,
        rate=wish.rate,
        method=wish.method,
        placement=wish.placement,
        progress=_progress,
    )
    preview = calibration.preview()
    if wish.page is not None:
        write_page(preview, evidence, wish.page, f"{bundle.manifest.name}: thresholds from labelled parts")
    if wish.output is None:
        return preview, None
    return preview, calibration.write(preview, wish.output, accept=wish.accept, signer=wish.signer)


def _from_parts(bundle: Bundle, wish: _Wish, class_name: str | None, *, allow_dark: bool) -> Recalibrated:
    if wish.output is None or wish.page is not None:
        raise UsageError(
            f"{wish.source}: recorded parts have no history to preview; give -o, and no --html (both serve a "
            "box file and an export of labelled evidence)"
        )
    found = find_bundle_parts(bundle, wish.source, class_name)
    require_depth(bundle, found, allow_dark=allow_dark)
    return recalibrate(
        bundle,
        found,
        wish.output,
        rate=wish.rate,
        method=wish.method,
        graph_id=wish.graph_id,
        placement=wish.placement,
        accept=wish.accept,
        signer=wish.signer,
        progress=_progress,
    )


def _progress(found: Iterable[RecordedPart]) -> Iterable[RecordedPart]:
    return track(list(found), "scoring", console=Console(stderr=True), transient=True)


def _document(done: Recalibrated, *, signed: bool) -> dict[str, object]:
    return {
        "bundle": str(done.path),
        "sha256": done.sha256,
        "version": done.version,
        "signed": signed,
        "graph": done.graph,
        "before": done.before.model_dump(mode="json"),
        "thresholds": done.after.model_dump(mode="json"),
        "changed_verdicts": list(done.changed),
        "effect": _effect(done.effect),
        "graphs": {
            name: {
                "before": new.before.model_dump(mode="json"),
                "thresholds": new.after.model_dump(mode="json"),
                "effect": _effect(new.effect),
            }
            for name, new in done.graphs.items()
        },
        "shortcomings": list(done.shortcomings),
        "not_calibrated": list(done.uncalibrated),
    }


def _effect(effect: Effect) -> dict[str, object]:
    return {
        "moved": dict(effect.moved),
        "good_parts": effect.parts,
        "rejected_before": list(effect.rejected_before),
        "rejected_now": list(effect.rejected_now),
        "recall_before": effect.recall_before and effect.recall_before.share,
        "recall_now": effect.recall_now and effect.recall_now.share,
    }


def _print(console: Console, done: Recalibrated, *, signed: bool, previewed: bool) -> None:
    after = done.after
    console.print(
        f"from {after.normal_parts} good parts at a false-reject rate of {after.false_reject_rate:g}; "
        f"{done.graph} describes the bundle"
    )
    for sentence in done.shortcomings:
        console.print(f"warning: {sentence}", markup=False, style="bold red", soft_wrap=True)
    if after.note and not previewed:
        console.print(f"note: {after.note}", markup=False)
    for change in done.changed:
        console.print(f"golden part {change}", markup=False)
    if done.uncalibrated:
        console.print(
            f"without thresholds: {', '.join(done.uncalibrated)}; they cannot run here, or too few OK parts "
            "were kept to know what they score; no box can run them with this bundle",
            soft_wrap=True,
        )
    state = "signed" if signed else "not signed"
    console.print(f"{done.path}: version {done.version}, {state}; golden parts replayed", markup=False)


def _table(reference: str, graphs: Mapping[str, tuple[Thresholds, Thresholds]]) -> Table:
    """Every threshold of the graph that describes the bundle; of the others the part's."""
    table = make_table("threshold of", "before", "now", "method", "95 % interval", right=("before", "now"))
    before, after = graphs[reference]
    table.add_row(*_row("part", before.part, after.part))
    for view, scale in after.views.items():
        table.add_row(*_row(view, before.views[view], scale))
    for key, scale in after.subsets.items():
        table.add_row(*_row(f"part from {key}", before.subsets[key], scale))
    for name, (old, new) in graphs.items():
        if name != reference:
            table.add_row(*_row(f"part, {name}", old.part, new.part))
    return table


def _row(name: str, before: Scale, after: Scale) -> tuple[str, ...]:
    interval = after.interval
    high = "?" if interval is None or interval.high is None else f"{interval.high:.4g}"
    shown = f"{interval.low:.4g} to {high}" if interval else ""
    return name, f"{before.threshold:.4g}", f"{after.threshold:.4g}", after.method or "", shown
