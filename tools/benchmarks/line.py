"""Cost of a scoring thread for the decision: with and without it in turns, in one process.

PYTHONPATH=tools python -m benchmarks.line tools/demo/box.yaml tools/demo/parts
"""

from __future__ import annotations

import gc
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import load_config
from edgeflow.contracts.images import read_image
from edgeflow.contracts.messages import Decision, Result, to_json
from edgeflow.decision.recorded_parts import find_bundle_parts
from edgeflow.decision.session import Session
from edgeflow.scoring.scorer import Scores
from edgeflow.station.active_bundle import ActiveBundle, load_verified, open_for_box
from edgeflow.station.line import InspectionLine
from edgeflow.station.process.switch_interval import shorten_switch_interval
from edgeflow.station.scoring_thread import ScoringThread
from faults.figures import percentile

_WARM_UP = 20
_NO_DEADLINE_MS = 600_000.0


class _SameThread(ScoringThread):
    """Scores on the line's own thread, which could not leave a call that hangs."""

    def call(
        self,
        work: Callable[[], Scores],
        *,
        until_ns: int,  # noqa: ARG002 - the interface
        limit_ns: int,  # noqa: ARG002
        turn: Callable[[], None] = lambda: None,  # noqa: ARG002
    ) -> Scores:
        return work()


class Gate:
    """Takes the moment of each decision.

    Attributes:
        at_ns: of the latest one, monotonic.
    """

    def __init__(self) -> None:
        self.at_ns = 0

    def publish_decision(self, decision: Decision) -> bool:
        """Write the decision as JSON, and note when that was done."""
        to_json(decision)
        self.at_ns = monotonic_ns()
        return True


class NoOutbox:
    """Results of a benchmark are not delivered."""

    def put(self, result: Result) -> None:
        """Drop one result."""


def _busy(stop: threading.Event) -> None:
    """Work in Python beside the line, as messages and records are."""
    record = {"views": [{"id": f"C{n}", "score": n / 7} for n in range(50)]}
    while not stop.wait(0.001):
        for _ in range(5):
            json.loads(json.dumps(record))


@click.command()
@click.argument("box", type=click.Path(path_type=Path))
@click.argument("parts", type=click.Path(path_type=Path))
@click.option("--count", default=1000, show_default=True, help="Parts for each way.")
@click.option("--busy/--quiet", default=True, show_default=True, help="Others work in Python meanwhile.")
def main(box: Path, parts: Path, count: int, busy: bool) -> None:
    """Time from a complete view set to its decision, p50 and p99 in ms, and the difference."""
    shorten_switch_interval()
    config = load_config(box)
    decision = config.decision.model_copy(update={"deadline_ms": _NO_DEADLINE_MS})
    config = config.model_copy(update={"decision": decision})
    bundle, graphs = open_for_box(config, config.bundle)
    loaded = load_verified(config, bundle, graphs, session=Session(id="bench"))
    stop = threading.Event()
    if busy:
        threading.Thread(target=_busy, args=(stop,), daemon=True).start()
    gate = Gate()
    beside = InspectionLine(
        bundles=ActiveBundle(loaded), gate=gate, outbox=NoOutbox(), show=lambda _: None, clock=monotonic_ns
    )
    lines = {"same thread": replace(beside, scoring=_SameThread()), "own thread": beside}
    times: dict[str, list[float]] = {name: [] for name in lines}
    order = np.random.default_rng(1)
    gc.collect()
    for number, view_set in enumerate(itertools.islice(view_sets_of(bundle, parts), count)):
        for name in order.permutation(list(lines)):
            begun_ns = monotonic_ns()
            lines[name].run([replace(view_set, triggered_ns=begun_ns)])
            if number >= _WARM_UP:
                times[name].append((gate.at_ns - begun_ns) / 1e6)
    stop.set()
    found = {
        name: {"p50_ms": percentile(each, 0.5), "p99_ms": percentile(each, 0.99)}
        for name, each in times.items()
    }
    difference = found["own thread"]["p99_ms"] - found["same thread"]["p99_ms"]
    print_json({"parts": count, "busy": busy, **found, "p99_difference_ms": difference})


def view_sets_of(bundle: Bundle, folder: Path) -> Iterator[ViewSet]:
    """Yield the recorded parts of a folder as complete view sets, again and again."""
    views = bundle.manifest.view_ids
    read = [{v: read_image(part.images[v]) for v in views} for part in find_bundle_parts(bundle, folder)]
    for number in itertools.count():
        images = read[number % len(read)]
        frames = {
            view: Frame(view=view, image=image, captured_ns=monotonic_ns(), frame_id=number)
            for view, image in images.items()
        }
        yield ViewSet(
            trigger_id=f"t{number}",
            part_id=f"p{number}",
            triggered_ns=0,
            frames=frames,
            missing=(),
            skew_ms=0.0,
        )


if __name__ == "__main__":
    main()
