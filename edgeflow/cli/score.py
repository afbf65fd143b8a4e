"""``edgeflow score``: recorded parts scored with a bundle, as a table or as JSON lines."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.text import Text

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.options import FILE, device_option, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.decision.recorded_parts import (
    ScoredPart,
    doubtful_depth,
    find_bundle_parts,
    save_maps,
    score_parts,
)
from edgeflow.scoring.loading import choose_graph, make_scorer

__all__ = ["score"]

_COLOURS = {"OK": "green", "NG": "red", "UNDECIDED": "yellow"}


@click.command()
@click.argument("bundle", type=FILE)
@click.argument("parts", type=FILE)
@click.option("--class", "class_name", help="Which class of a Real-IAD folder with several.")
@click.option("--maps", type=FILE, metavar="DIR", help="Write heat maps and raw maps there.")
@click.option("--backend", type=click.Choice(["openvino", "onnxruntime"]), help="Default: the first graph's.")
@click.option(
    "--precision", type=click.Choice(["fp32", "bf16", "int8"]), help="Default: int8 where the bundle has it."
)
@device_option
@json_option
def score(
    bundle: Path,
    parts: Path,
    *,
    class_name: str | None,
    maps: Path | None,
    backend: str | None,
    precision: str | None,
    device: str,
    json_output: bool,
) -> None:
    """Score recorded PARTS with BUNDLE: Real-IAD layout, or one folder per part with one image per view."""
    with Bundle.open(bundle) as opened:
        found = find_bundle_parts(opened, parts, class_name, incomplete=True)
        graph = choose_graph(opened, backend=backend, precision=precision)
        scorer = make_scorer(opened, graph, placement=Placement(device=device))
        table = make_table("part", "verdict", "score", *opened.manifest.view_ids)
        counts = dict.fromkeys(_COLOURS, 0)
        undecided: list[ScoredPart] = []
        results = score_parts(opened, scorer, found)
        console = Console(stderr=True, markup=False)
        if doubt := doubtful_depth(opened, found):
            console.print(f"warning: {doubt}", style="bold red", soft_wrap=True)
        for scored, scores in track(results, "scoring", len(found), console=console, transient=True):
            counts[scored.verdict] += 1
            if maps is not None and scores is not None:
                save_maps(opened, scorer.thresholds, scored.part_id, scores, maps)
            if json_output:
                print_json(_line(scored))
            else:
                table.add_row(*_row(scored))
                undecided += [scored] if scored.verdict == "UNDECIDED" else []
    if not json_output:
        out = Console(highlight=False)
        print_table(out, table)
        for scored in undecided:
            out.print(f"{scored.part_id}: {scored.reason}", markup=False, soft_wrap=True)
        out.print(f"{len(found)} parts: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))


def _line(scored: ScoredPart) -> dict[str, object]:
    line = asdict(scored)
    if not scored.reason:
        del line["reason"]
    return line


def _row(scored: ScoredPart) -> list[str | Text]:
    verdict = Text(scored.verdict, style=_COLOURS[scored.verdict])
    views = [_figure(view.score) for view in scored.views]
    return [scored.part_id, verdict, _figure(scored.score), *views]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
