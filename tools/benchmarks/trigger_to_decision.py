"""Times from trigger to decision of two boxes that take turns, compared phase by phase and all together."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edgeflow.cli.terminal.tables import make_table, print_table

__all__ = ["MS", "SHARE", "Turns", "report_turns", "stolen_s"]

SHARE, MS = 1.05, 0.3
_DRAWS = 2000
_STAGES = ("acquire", "wait", "score", "decide")


@dataclass(kw_only=True)
class Turns:
    """Phases in pairs: the n-th of each kind belong together.

    Attributes:
        without: times in ms, one array a phase.
        served: the same with what is measured.
        decided: part's number → second of its decision, of the box with what is measured.
        stages: durations of each part by stage, without and with.
        stolen_s: processor time that the host took away in the phases, without and with.
    """

    without: list[NDArray[np.float64]] = field(default_factory=list)
    served: list[NDArray[np.float64]] = field(default_factory=list)
    decided: dict[int, float] = field(default_factory=dict)
    stages: tuple[list[dict[str, float]], list[dict[str, float]]] = field(default_factory=lambda: ([], []))
    stolen_s: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def add(self, results: Sequence[dict[str, Any]], stolen_s: float, *, served: bool) -> None:
        """Take the results of one phase."""
        self.stolen_s[served] += stolen_s
        self.stages[served].extend(result["durations_ms"] for result in results)
        times_ms = np.array([float(result["deadline"]["decided_after_ms"]) for result in results])
        (self.served if served else self.without).append(times_ms)
        if served:
            for result in results:
                self.decided[result["seq"]] = dt.datetime.fromisoformat(result["decided_at"]).timestamp()

    @property
    def pairs(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Without and with, of pairs in which both have parts."""
        both = zip(self.without, self.served, strict=False)
        return [(off, on) for off, on in both if len(off) and len(on)]

    def all_p99_ms(self, chosen: Sequence[int]) -> tuple[float, float]:
        """p99 of all parts of some pairs, without and with."""
        off = np.concatenate([self.pairs[number][0] for number in chosen])
        on = np.concatenate([self.pairs[number][1] for number in chosen])
        return float(np.quantile(off, 0.99)), float(np.quantile(on, 0.99))


def report_turns(console: Console, name: str, turns: Turns) -> dict[str, Any]:
    """Print both p99 and how they compare; return the figures."""
    pairs = turns.pairs
    table = make_table(
        name, "parts", "p50 ms", "p90 ms", "p99 ms", right=("parts", "p50 ms", "p90 ms", "p99 ms")
    )
    for title, side in (("without", 0), ("with", 1)):
        times_ms = np.concatenate([pair[side] for pair in pairs])
        quantiles = (f"{value:.2f}" for value in np.quantile(times_ms, [0.5, 0.9, 0.99]))
        table.add_row(title, str(len(times_ms)), *quantiles)
    print_table(console, table)
    rows: dict[str, Any] = {"pairs": len(pairs)}
    for share in (0.5, 0.99):
        ratios = [np.quantile(on, share) / np.quantile(off, share) for off, on in pairs]
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        rows[f"p{100 * share:.0f}_ratio_of_phases"] = float(middle)
        console.print(
            f"p{100 * share:.0f} of a phase against its neighbour: {middle:.3f} (median of {len(pairs)}), "
            f"half of them from {low:.3f} to {high:.3f}"
        )
    off_ms, on_ms = turns.all_p99_ms(range(len(pairs)))
    low, high = _interval(turns)
    rows |= {
        "p99_ms": {"without": off_ms, "with": on_ms},
        "p99_ratio": on_ms / off_ms,
        "p99_ratio_interval": [low, high],
        "good": on_ms <= max(off_ms * SHARE, off_ms + MS),
    }
    console.print(
        f"p99 of all parts: {on_ms / off_ms:.3f}, {on_ms - off_ms:+.2f} ms; 95 % interval of the ratio "
        f"{low:.3f} to {high:.3f}, drawn by pairs; wanted: {SHARE} or {MS} ms more"
    )
    _report_stages(console, turns)
    return rows


def stolen_s() -> float:
    """Return the processor time that the host has taken away from this machine so far."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / os.sysconf("SC_CLK_TCK")


def _report_stages(console: Console, turns: Turns) -> None:
    """Print what late parts, beyond the p99 of all without, waited for: medians by stage."""
    limit_ms = turns.all_p99_ms(range(len(turns.pairs)))[0]
    table = make_table("beyond that p99", "parts", *_STAGES, right=("parts", *_STAGES))
    for title, stages in zip(("without", "with"), turns.stages, strict=True):
        late = [one for one in stages if one["total"] > limit_ms]
        if late:
            table.add_row(
                title, str(len(late)), *(f"{np.median([one[name] for one in late]):.1f}" for name in _STAGES)
            )
    print_table(console, table)
    off_s, on_s = turns.stolen_s
    console.print(f"the host took away {off_s:.2f} s of processor time without, {on_s:.2f} s with")


def _interval(turns: Turns) -> tuple[float, float]:
    """95 % interval of the ratio of all parts' p99, by drawing pairs of phases."""
    rng, count = np.random.default_rng(1), len(turns.pairs)
    ratios = []
    for _ in range(_DRAWS):
        off_ms, on_ms = turns.all_p99_ms(rng.integers(0, count, count).tolist())
        ratios.append(on_ms / off_ms)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
