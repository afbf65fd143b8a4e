"""``edgeflow calibrate``: new thresholds from good parts, as the bundle's next version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.calibration.effect import Effect
from edgeflow.calibration.recalibrate import Recalibrated, recalibrate
from edgeflow.calibration.thresholds import Method
from edgeflow.cli.options import FILE, NEW_BUNDLE, device_option, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.datasets.population import POPULATION_FILE
from edgeflow.contracts.manifest import Scale
from edgeflow.decision.recorded_parts import find_bundle_parts, require_depth
from edgeflow.errors import DataError
from edgeflow.files import require_new
from edgeflow.security.keys import read_passphrase, read_private_key

__all__ = ["calibrate"]


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("parts", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help=NEW_BUNDLE)
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of good parts that may be rejected; default: the bundle's.",
)
@click.option("--method", type=click.Choice(["auto", "quantile", "tail"]), default="auto", show_default=True)
@click.option("--graph", "graph_id", help="It describes the bundle; default: the first, in fp32.")
@device_option
@click.option("--accept", is_flag=True, help="Take thresholds that move by more than 0.25 in scaled score.")
@click.option("--sign", type=FILE, metavar="KEY", help="Sign with this private key, NAME.key.pem.")
@click.option("--passphrase-file", type=FILE, help="As for 'edgeflow keys sign'.")
@click.option("--allow-dark", is_flag=True, help="Accept images that use less than a quarter of their depth.")
@json_option
def calibrate(
    bundle: Path,
    parts: Path,
    *,
    output: Path,
    class_name: str | None,
    rate: float | None,
    method: Method,
    graph_id: str | None,
    device: str,
    accept: bool,
    sign: Path | None,
    passphrase_file: Path | None,
    allow_dark: bool,
    json_output: bool,
) -> None:
    """Give BUNDLE new thresholds from good PARTS recorded at this box, as its next version.

    Every graph of the bundle scores the parts, and gets thresholds from its own scores; one that cannot run
    here gets none, and no box can run it from then on.

    The graphs and golden parts stay as they are, and are replayed before the new bundle takes its name.
    """
    require_new(output)
    _refuse_biased_sample(parts)
    signer = read_private_key(sign, read_passphrase(passphrase_file)) if sign is not None else None
    console = Console(stderr=True)

    def progress(found: Iterable[RecordedPart]) -> Iterable[RecordedPart]:
        return track(list(found), "scoring", console=console, transient=True)

    with Bundle.open(bundle) as opened:
        found = find_bundle_parts(opened, parts, class_name)
        require_depth(opened, found, allow_dark=allow_dark)
        done = recalibrate(
            opened,
            found,
            output,
            rate=rate,
            method=method,
            graph_id=graph_id,
            placement=Placement(device=device),
            accept=accept,
            signer=signer,
            progress=progress,
        )
    if json_output:
        print_json(_document(done, signed=signer is not None))
    else:
        _print(done, signed=signer is not None)


def _refuse_biased_sample(parts: Path) -> None:
    """Refuse an export of labelled evidence: every reject is in it, and few of the good parts.

    Raises:
        DataError: thresholds from such parts would lie too high.
    """
    if (parts / POPULATION_FILE).is_file():
        raise DataError(
            f"{parts}: is labelled evidence: it has every reject and few of the good parts, so that "
            "thresholds from it would lie too high; record good parts as they come with 'edgeflow record'"
        )


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


def _print(done: Recalibrated, *, signed: bool) -> None:
    console = Console(highlight=False, markup=False)
    print_table(console, _table(done))
    after = done.after
    console.print(
        f"from {after.normal_parts} good parts at a false-reject rate of {after.false_reject_rate:g}; "
        f"{done.graph} describes the bundle"
    )
    for sentence in done.shortcomings:
        console.print(f"warning: {sentence}", markup=False, style="bold red", soft_wrap=True)
    if after.note:
        console.print(f"note: {after.note}", markup=False)
    for sentence in done.effect.sentences:
        console.print(sentence, markup=False, soft_wrap=True)
    for change in done.changed:
        console.print(f"golden part {change}", markup=False)
    if done.uncalibrated:
        console.print(
            f"cannot run here, so without thresholds: {', '.join(done.uncalibrated)}; no box can run "
            "them with this bundle: calibrate where every graph runs",
            soft_wrap=True,
        )
    state = "signed" if signed else "not signed"
    console.print(f"{done.path}: version {done.version}, {state}; golden parts replayed", markup=False)


def _table(done: Recalibrated) -> Table:
    """Every threshold of the graph that describes the bundle; of the others the part's."""
    table = make_table("threshold of", "before", "now", "method", "95 % interval", right=("before", "now"))
    before, after = done.before, done.after
    table.add_row(*_row("part", before.part, after.part))
    for view, scale in after.views.items():
        table.add_row(*_row(view, before.views[view], scale))
    for key, scale in after.subsets.items():
        table.add_row(*_row(f"part from {key}", before.subsets[key], scale))
    for name, new in done.graphs.items():
        if name != done.graph:
            table.add_row(*_row(f"part, {name}", new.before.part, new.after.part))
    return table


def _row(name: str, before: Scale, after: Scale) -> tuple[str, ...]:
    interval = after.interval
    high = "?" if interval is None or interval.high is None else f"{interval.high:.4g}"
    shown = f"{interval.low:.4g} to {high}" if interval else ""
    return name, f"{before.threshold:.4g}", f"{after.threshold:.4g}", after.method or "", shown
