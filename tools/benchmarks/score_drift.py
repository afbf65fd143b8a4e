"""Alarms on drifting scores: none where nothing drifts, one before falling light doubles false rejects.

PYTHONPATH=tools python -m benchmarks.score_drift [--parts FOLDER]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.config.alarms import AlarmsConfig
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.scoring import scaled
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.view import ViewScore
from edgeflow.scoring.loading import choose_graph, make_scorer

__all__ = ["Light", "alarms_of", "first_alarm", "parts_under_light", "scores_under_light", "stable_scores"]

DEMO = Path(__file__).resolve().parent.parent / "demo"
Scores = npt.NDArray[np.float64]
BOUNDS = AlarmsConfig()


@dataclass(frozen=True, kw_only=True)
class Light:
    """Scaled scores of good parts under several lights.

    Attributes:
        gains: (n,) factors on the images, 1 first.
        views: (n, parts, V).
        parts: (n, parts).
        calibration: parts that the bundle was calibrated with.
    """

    gains: Scores
    views: Scores
    parts: Scores
    calibration: int

    def of_parts(self, gain: float) -> Scores:
        """Return the part scores (parts,) under one light, between those of the two nearest ones."""
        return np.array([np.interp(-gain, -self.gains, scores) for scores in self.parts.T])

    def reject_share(self, gain: float) -> float:
        """Return the share of the good parts that a light rejects."""
        return float((self.of_parts(gain) > 1.0).mean())

    @property
    def doubled_at(self) -> float:
        """The gain from which on twice as many good parts are rejected as at 1, and one more at least."""
        normal = self.reject_share(1.0)
        least = max(2 * normal, normal + 1 / self.parts.shape[1])
        for gain in np.arange(1.0, self.gains[-1], -0.0025).tolist():
            if self.reject_share(gain) >= least:
                return float(gain)
        return 0.0


def stable_scores(count: int, correlation: float, rng: np.random.Generator) -> Scores:
    """Scaled scores of parts that do not drift, (count,): a heavy upper tail, neighbours correlated."""
    noise = rng.standard_normal(count)
    walk = np.empty(count)
    walk[0] = noise[0]
    rest = math.sqrt(1 - correlation**2)
    for n in range(1, count):
        walk[n] = correlation * walk[n - 1] + rest * noise[n]
    return 0.25 * np.exp(0.5 * walk) - 0.25


def alarms_of(views: Scores, *, calibration: int) -> list[int]:
    """Return the numbers of the parts at which an alarm is raised, by the default bounds.

    Args:
        views: (parts, V), of accepted parts.
        calibration: parts that the bundle was calibrated with.
    """
    state = DriftState(bundle="", graph="", bound=BOUNDS.score_drift or 0.0)
    found, before = [], False
    for number, row in enumerate(views.tolist()):
        scores = {str(view): ViewScore(score, True, score) for view, score in enumerate(row)}
        part = AcceptedPart(loaded=None, bundle="", graph="", calibration=calibration, views=scores, at="")
        state = state.added(part, BOUNDS.score_drift_parts)
        stands = any(view.direction for view in state.views.values())
        found += [number] if stands and not before else []
        before = stands
    return found


def scores_under_light(bundle: Path, folder: Path, gains: Sequence[float], *, each: int = 1) -> Light:
    """Score the good parts of a folder, the images multiplied by each gain, by the bundle's first choice."""
    with Bundle.open(bundle) as opened:
        graph = choose_graph(opened, backend=None, precision=None)
        scorer = make_scorer(opened, graph, placement=Placement(threads=1))
        good = [part for part in find_parts(folder) if not part.defective][::each]
        views, parts = [], []
        for part in good:
            images = {view: read_image(part.images[view]) for view in opened.manifest.view_ids}
            for gain in gains:
                shown = {v: np.rint(np.clip(i * gain, 0, 255)).astype(np.uint8) for v, i in images.items()}
                scores = scorer.score(shown)
                of_views = scorer.thresholds.views
                views.append([scaled(raw, of_views[view]) for view, raw in scores.views.items()])
                parts.append(scaled(scores.part, scorer.thresholds.part))
        scorer.close()
    shape = (len(good), len(gains))
    return Light(
        gains=np.array(gains, np.float64),
        views=np.array(views).reshape(*shape, -1).swapaxes(0, 1),
        parts=np.array(parts).reshape(shape).T,
        calibration=scorer.thresholds.normal_parts,
    )


def parts_under_light(light: Light, gain: Scores, rng: np.random.Generator) -> tuple[Scores, Scores]:
    """Draw one part for each gain, its scores between those of the two nearest lights.

    Returns:
        View scores (parts, V) and part scores (parts,).
    """
    place = np.interp(-gain, -light.gains, np.arange(len(light.gains)))
    low = np.minimum(place.astype(int), len(light.gains) - 2)
    share = place - low
    part = rng.integers(light.parts.shape[1], size=len(gain))
    views = (1 - share)[:, None] * light.views[low, part] + share[:, None] * light.views[low + 1, part]
    return views, (1 - share) * light.parts[low, part] + share * light.parts[low + 1, part]


def first_alarm(light: Light, gain: Scores, rng: np.random.Generator) -> int | None:
    """Return the number of the part at which the first alarm is raised; None where none is.

    Args:
        gain: of every part, beside which it flickers by half a percent.
    """
    views, parts = parts_under_light(light, gain + rng.normal(0, 0.005, len(gain)), rng)
    accepted = np.flatnonzero(parts <= 1.0)
    found = alarms_of(views[accepted], calibration=light.calibration)
    return int(accepted[found[0]]) if found else None


def _stable(console: Console, runs: int, count: int) -> None:
    table = make_table(
        "correlation", "parts", "views", "alarms", right=("correlation", "parts", "views", "alarms")
    )
    for correlation in (0.0, 0.3, 0.5, 0.7):
        rng = np.random.default_rng(7)
        found = sum(
            len(alarms_of(stable_scores(count, correlation, rng)[:, None], calibration=2000))
            for _ in range(runs)
        )
        table.add_row(f"{correlation:g}", f"{count:,}", str(runs), str(found))
    console.print("parts that do not drift")
    print_table(console, table)


def _falling(console: Console, light: Light, over: int) -> bool:
    """Let the light fall evenly after the reference; True if the alarm comes before rejects double."""
    gain = np.concatenate([np.ones(BOUNDS.score_drift_parts), np.linspace(1.0, light.gains[-1], over)])
    found = first_alarm(light, gain, np.random.default_rng(11))
    alarm_at = 0.0 if found is None else float(gain[found])
    console.print(
        f"light falls to {light.gains[-1]:.0%} over {over:,} parts: alarm at {alarm_at:.1%}, false rejects "
        f"double at {light.doubled_at:.1%} (from {light.reject_share(1.0):.1%})",
        soft_wrap=True,
    )
    return alarm_at > light.doubled_at


@click.command()
@click.option("--bundle", type=Path, default=DEMO / "housing.bundle", show_default="the demo's")
@click.option("--parts", type=Path, default=DEMO / "parts", show_default="the demo's")
@click.option("--each", type=int, default=1, show_default=True, help="Every so many good parts.")
@click.option("--runs", type=int, default=20, show_default=True, help="Views that do not drift.")
@click.option("--count", type=int, default=100_000, show_default=True, help="Parts of each.")
def main(bundle: Path, parts: Path, each: int, runs: int, count: int) -> None:
    """Count false alarms, then let the light fall in the images of real parts."""
    console = Console(highlight=False)
    _stable(console, runs, count)
    light = scores_under_light(bundle, parts, np.arange(1.0, 0.84, -0.03).tolist(), each=each)
    for gain in light.gains.tolist():
        console.print(f"gain {gain:.2f}: {light.reject_share(gain):.1%} of the good parts are rejected")
    early = [_falling(console, light, over) for over in (10_000, 40_000)]
    raise SystemExit(not all(early))


if __name__ == "__main__":
    main()
