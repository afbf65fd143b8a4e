"""Coverage of a tail threshold's confidence interval, in simulated draws of scores whose tails are known."""

from __future__ import annotations

import itertools
import json
import zlib
from dataclasses import asdict, dataclass

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from scipy import optimize, stats

from edgeflow.calibration.extreme_value_tail import tail_threshold

LEVEL = 0.95
KINDS = {
    "uniform": stats.uniform(),
    "beta 2, 5": stats.beta(2, 5),
    "normal": stats.norm(),
    "Gumbel": stats.gumbel_r(),
    "exponential": stats.expon(),
    "gamma 2": stats.gamma(2),
    "log-normal 0.4": stats.lognorm(0.4),
    "log-normal 0.8": stats.lognorm(0.8),
    "Student 4": stats.t(4),
    "Pareto 3": stats.pareto(3),
}
OUTLIERS = "normal, 10 % at +2.5"
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Draws of one distribution.

    Attributes:
        covered: share of the intervals that hold the score which the rate exceeds.
        inside: share of the thresholds that lie in their own interval.
        false_rejects: mean share of new parts over the threshold.
        width: median width of the interval, over that of the distribution from the median to this score.
    """

    kind: str
    rate: float
    parts: int
    covered: float
    inside: float
    false_rejects: float
    width: float


@click.command()
@click.option("--draws", type=click.IntRange(min=20), default=200, show_default=True, help="For each case.")
@click.option("--parts", type=int, multiple=True, default=(40, 80, 160, 400), show_default=True)
@click.option("--rate", "rates", type=float, multiple=True, default=(0.01, 0.03), show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(draws: int, parts: tuple[int, ...], rates: tuple[float, ...], json_output: bool) -> None:
    """Draw scores of normal parts, set the threshold, and compare its interval with the truth."""
    kinds = (*KINDS, OUTLIERS)
    cases = [_case(kind, rate, n, draws) for rate, n, kind in itertools.product(rates, parts, kinds)]
    if json_output:
        click.echo(json.dumps([asdict(case) for case in cases]))
        return
    table = Table("rate", "parts", "scores", "covered", "threshold inside", "false rejects", "width")
    for case in cases:
        table.add_row(
            f"{case.rate:g}", str(case.parts), case.kind, f"{case.covered:.1%}", f"{case.inside:.1%}",
            f"{case.false_rejects:.4f}", f"{case.width:.2f}",
        )  # fmt: skip
    Console().print(table)


def _case(kind: str, rate: float, parts: int, draws: int) -> Case:
    rng = np.random.default_rng((zlib.crc32(kind.encode()), parts))
    truth, median = _score_over(kind, rate), _score_over(kind, 0.5)
    found = [tail_threshold(_draw(kind, parts, rng), rate, LEVEL) for _ in range(draws)]
    known = [each for each in found if each is not None]
    return Case(
        kind=kind,
        rate=rate,
        parts=parts,
        covered=float(np.mean([each.low <= truth <= each.high for each in known])),
        inside=float(np.mean([each.low <= each.threshold <= each.high for each in known])),
        false_rejects=float(np.mean([_share_over(kind, each.threshold) for each in known])),
        width=float(np.median([each.high - each.low for each in known]) / (truth - median)),
    )


def _draw(kind: str, parts: int, rng: np.random.Generator) -> Scores:
    if kind != OUTLIERS:
        return np.asarray(KINDS[kind].rvs(parts, random_state=rng))
    return np.where(rng.random(parts) < 0.1, rng.normal(2.5, 1, parts), rng.normal(0, 1, parts))


def _share_over(kind: str, score: float) -> float:
    if kind != OUTLIERS:
        return float(KINDS[kind].sf(score))
    return float(0.9 * stats.norm.sf(score) + 0.1 * stats.norm.sf(score - 2.5))


def _score_over(kind: str, share: float) -> float:
    if kind != OUTLIERS:
        return float(KINDS[kind].isf(share))
    return float(optimize.brentq(lambda score: _share_over(kind, score) - share, -5, 12))


if __name__ == "__main__":
    main()
