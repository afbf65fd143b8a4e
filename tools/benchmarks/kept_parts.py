"""Thresholds from few kept parts: error, effective parts and interval, in simulated histories of bounds."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from edgeflow.calibration.detection_rates import needed_parts
from edgeflow.calibration.labelled.completed_scores import CompletedScores, complete

RATE, LEVEL = 0.01, 0.95
CASES = ((5000, 50, 2.5), (5000, 100, 2.5), (5000, 200, 2.5), (3000, 200, 3.0), (4000, 1000, 3.0))
"""Inspected parts, kept ones, and how far at most a bound lies over the score, in its deviations."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Result of one case.

    Attributes:
        error: of the score that is exceeded at the rate, root mean square, in deviations of the scores.
        effective: exactly known parts that would tell the rate as well, median.
        accepted: share of histories whose effective parts are enough for the rate.
        held: share of these whose interval holds the true score.
    """

    parts: int
    kept: int
    widest: float
    error: float
    effective: float
    accepted: float
    held: float | None


@click.command()
@click.option("--histories", type=click.IntRange(1), default=200, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(histories: int, as_json: bool) -> None:
    """Simulate histories of good parts of which only bounds are known, and complete them from kept parts."""
    found = [_measure(*case, histories) for case in CASES]
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found]))
        return
    table = Table("parts", "kept", "bound", "error", "effective", "accepted", "held")
    for one in found:
        held = "–" if one.held is None else f"{one.held:.0%}"
        figures = f"{one.error:.3f}", f"{one.effective:.0f}", f"{one.accepted:.0%}", held
        table.add_row(str(one.parts), str(one.kept), f"{one.widest:g}", *figures)
    Console().print(table)


def _measure(parts: int, kept: int, widest: float, histories: int) -> Found:
    truth = float(stats.norm.isf(RATE))
    errors, effective, held = [], [], []
    for seed in range(histories):
        rng = np.random.default_rng(seed)
        completed, scores = _history(parts, kept, widest, rng)
        errors.append(np.quantile(completed.scores, 1 - RATE) - np.quantile(scores, 1 - RATE))
        effective.append(completed.effective_parts(RATE))
        if effective[-1] >= needed_parts(RATE):
            low, high = completed.interval(RATE, LEVEL)
            held.append(low <= truth <= (np.inf if high is None else high))
    return Found(
        parts=parts,
        kept=kept,
        widest=widest,
        error=float(np.sqrt(np.mean(np.square(errors)))),
        effective=float(np.median(effective)),
        accepted=len(held) / histories,
        held=float(np.mean(held)) if held else None,
    )


def _history(
    parts: int, kept: int, widest: float, rng: np.random.Generator
) -> tuple[CompletedScores, np.ndarray]:
    scores = rng.normal(size=parts)
    bounds = scores + rng.uniform(0, widest, parts)
    every = parts // kept
    is_kept = np.arange(parts) % every == every - 1
    own = np.where(is_kept, scores, np.nan)
    return complete(own, bounds, is_kept, np.ones(parts, bool)), scores


if __name__ == "__main__":
    main()
