"""Skew and age of the frames of one part: edgeflow beside a naive reader."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from edgeflow.cameras.camera import Frame
from edgeflow.capture.capture import Capture
from edgeflow.capture.synchronizer import SyncMode
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig
from simulators.buffered_camera import PacedSource
from simulators.recorded_jitter import load_profile, simulate

VIEWS = ("C1", "C2", "C3", "C4", "C5")
PHASES_MS = (0.0, 66.0, 23.0, 41.0, 8.0)  # free-running cameras begin whenever they were switched on
RATE_HZ = 10.0
SCORING_S = 0.060
STALL_S = 0.600
RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "sync"
MODES: tuple[SyncMode, ...] = ("triggered", "hardware", "free")

Sets = Iterator[Sequence[Frame]]


@click.command()
@click.option("--seconds", type=click.FloatRange(min=3), default=20, show_default=True)
@click.option("--hours", type=click.FloatRange(min=0), default=1, show_default=True, help="Simulated jitter.")
@click.option(
    "--recordings", type=click.Path(path_type=Path), default=RECORDINGS, help="Tables of time stamps."
)
@click.option("--json", "json_output", is_flag=True)
def main(seconds: float, hours: float, recordings: Path, json_output: bool) -> None:
    """Five paced sources with 60 ms scoring and one stall, then simulated hours of recorded jitter."""
    console = Console(stderr=json_output, highlight=False)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    readers: dict[str, Callable[[], Sets]] = {
        "edgeflow, triggered": lambda: _captured(triggered=True),
        "naive: trigger and read one by one": lambda: _naive(triggered=True),
        "edgeflow, free-running": lambda: _captured(triggered=False),
        "naive: read one by one, free-running": lambda: _naive(triggered=False),
    }
    live = {name: _measured(make(), seconds) for name, make in readers.items()}
    console.print(_live_table(live))
    tables = sorted(recordings.glob("*.csv"))
    jitter = [
        {"recording": table.stem, "mode": mode, **asdict(simulate(load_profile(table), mode, 3600 * hours))}
        for table in tables
        for mode in MODES
    ]
    if jitter:
        console.print(_jitter_table(jitter, hours))
    else:
        console.print(f"no tables of time stamps in {recordings}: jitter is not simulated")
    if json_output:
        click.echo(json.dumps({"live": live, "jitter": jitter}))


def _measured(sets: Sets, seconds: float) -> dict[str, float]:
    """Skew of every set, and age of its oldest frame when it is scored; one stall on the way."""
    skews, ages = list[float](), list[float]()
    begun_ns, stalled = monotonic_ns(), False
    for frames in sets:
        stall = not stalled and monotonic_ns() - begun_ns > seconds * 0.4e9
        stalled = stalled or stall
        time.sleep(STALL_S if stall else SCORING_S)
        stamps = [frame.captured_ns for frame in frames]
        if not stall:
            skews.append((max(stamps) - min(stamps)) / 1e6)
            ages.append((monotonic_ns() - min(stamps)) / 1e6)
        if monotonic_ns() - begun_ns > seconds * 1e9:
            break
    return {
        "skew_p50_ms": float(np.median(skews)),
        "skew_max_ms": max(skews),
        "age_p50_ms": float(np.median(ages)),
        "age_max_ms": max(ages),
        "sets_per_s": len(skews) / seconds,
    }


def sources(*, triggered: bool) -> Capture:
    """The runtime's own capture of paced sources, not yet open."""
    config = _box(triggered=triggered)
    rate_hz = None if triggered else RATE_HZ

    def make(view: str, _config: object) -> PacedSource:
        return PacedSource(view, rate_hz=rate_hz, phase_ms=PHASES_MS[VIEWS.index(view)])

    return Capture(config, VIEWS, "bench", make=make)


def _captured(*, triggered: bool) -> Sets:
    """Complete sets of the runtime's own capture."""
    with sources(triggered=triggered) as capture:
        for view_set in capture.view_sets():
            if not view_set.missing and not view_set.fault:
                yield list(view_set.frames.values())


def _naive(*, triggered: bool) -> Sets:
    """A naive reader: one loop, camera after camera."""
    with _open_sources(None if triggered else RATE_HZ) as sources:
        due_ns = monotonic_ns()
        while True:
            if triggered:  # at the rate of the parts; late where reading takes longer
                due_ns = max(due_ns + round(1e9 / RATE_HZ), monotonic_ns())
                time.sleep(max(0, due_ns - monotonic_ns()) / 1e9)
            frames = []
            for source in sources:
                if triggered:
                    source.trigger("part")
                frames.append(source.read(2.0))
            yield [frame for frame in frames if frame is not None]


@contextmanager
def _open_sources(rate_hz: float | None) -> Iterator[list[PacedSource]]:
    sources = [
        PacedSource(view, rate_hz=rate_hz, phase_ms=phase)
        for view, phase in zip(VIEWS, PHASES_MS, strict=True)
    ]
    epoch_ns = monotonic_ns()
    for source in sources:
        source.open(epoch_ns)
    try:
        yield sources
    finally:
        for source in sources:
            source.close()


def _box(*, triggered: bool) -> BoxConfig:
    period_ms = 1000 / RATE_HZ
    camera = {"kind": "replay", **({} if triggered else {"rate_hz": RATE_HZ})}
    return BoxConfig.model_validate(
        {
            "station": {"site": "bench", "line": "l1", "station": "s1"},
            "bundle": Path("unused"),
            "trigger": {
                "source": "interval" if triggered else "free",
                "period_ms": period_ms if triggered else None,
                "timeout_ms": period_ms * 2,
            },
            "cameras": {view: {**camera, "parts": Path("unused")} for view in VIEWS},
            "sync": {"max_skew_ms": period_ms},
            "decision": {"deadline_ms": 1000.0},
            "runtime": {"backend": "openvino"},
            "mqtt": {"host": "localhost"},
            "outbox": {"path": Path("unused")},
        }
    )


def _live_table(live: dict[str, dict[str, float]]) -> Table:
    table = Table(
        "reader",
        "skew p50/max ms",
        "frame age p50/max ms",
        "sets/s",
        title=f"{len(VIEWS)} sources, {RATE_HZ:g} Hz, scoring {1e3 * SCORING_S:g} ms, once {1e3 * STALL_S:g}",
    )
    for name, f in live.items():
        table.add_row(
            name,
            f"{f['skew_p50_ms']:.1f} / {f['skew_max_ms']:.1f}",
            f"{f['age_p50_ms']:.0f} / {f['age_max_ms']:.0f}",
            f"{f['sets_per_s']:.1f}",
        )
    return table


def _jitter_table(jitter: list[dict[str, object]], hours: float) -> Table:
    columns = {
        "tolerance_ms": "tolerance ms",
        "parts": "parts",
        "complete": "whole",
        "missing": "view lost",
        "faulty": "refused",
        "false_matches": "false",
        "used_twice": "twice",
        "mismatches": "re-armed",
    }
    title = f"{hours:g} h of recorded jitter, in accelerated time"
    table = Table("recording", "mode", *columns.values(), title=title)
    for row in jitter:
        table.add_row(str(row["recording"])[:15], str(row["mode"]), *(str(row[name]) for name in columns))
    return table


if __name__ == "__main__":
    main()
