"""Cost of a changeover: a part after one of another product, and a bundle that comes back into memory.

PYTHONPATH=tools python -m benchmarks.changeover

Both products run the demo's bundle, each loaded by itself, so that nothing differs but the changeover. The
same part is decided after a part of its own product and after one of the other, in turns, in one process.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import yaml
from rich.console import Console

from benchmarks.line import Gate, NoOutbox, view_sets_of
from edgeflow.alarms import Alarms
from edgeflow.capture.part_product import PartProduct, ProductTimeline
from edgeflow.capture.view_set import ViewSet
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.session import Session
from edgeflow.station.line import InspectionLine
from edgeflow.station.process.switch_interval import shorten_switch_interval
from edgeflow.station.products.opening import load_bundles, open_bundles
from edgeflow.station.products.resident import ProductBundles
from edgeflow.station.scoring_thread import ScoringThread

DEMO = Path(__file__).resolve().parents[1] / "demo"
WANTED_MS = 1.0
_WARM_UP = 10
_NAMES = ("A", "B")


class _Unpublished:
    """Takes alarms that nobody sees."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Do nothing."""


@click.command()
@click.option("--parts", default=200, show_default=True, help="Parts measured each way.")
@click.option("--returns", default=5, show_default=True, help="Times that a bundle comes back, each way.")
@click.option("--json", "json_output", is_flag=True)
def main(parts: int, returns: int, json_output: bool) -> None:
    """Measure, print the figures, and end with 1 where a changeover adds more than 1 ms."""
    shorten_switch_interval()
    console = Console(highlight=False, soft_wrap=True, stderr=json_output)
    with tempfile.TemporaryDirectory() as folder:
        found = _changes(_config(Path(folder), cache=False), parts)
        seconds = {
            name: _returns(_config(Path(folder), cache=cache), returns)
            for name, cache in (("compiled anew", False), ("from the cache", True))
        }
    for name, values in found.items():
        p50, p99 = np.percentile(values, (50, 99))
        console.print(f"a part {name}: p50 {p50:.3f} ms, p99 {p99:.3f} ms from the images to the decision")
    added_ms = float(np.median(np.subtract(found["after the other product"], found["after its own product"])))
    console.print(f"a changeover adds {added_ms:.3f} ms (median of pairs); wanted: at most {WANTED_MS:g}")
    for name, values in seconds.items():
        console.print(
            f"a bundle that comes back, {name}: {np.median(values):.2f} s (median of {len(values)})"
        )
    if json_output:
        print_json({"added_ms": added_ms, "returns_s": seconds})
    raise SystemExit(added_ms > WANTED_MS)


def _config(folder: Path, *, cache: bool) -> BoxConfig:
    document = yaml.safe_load((DEMO / "box.yaml").read_text("utf-8"))
    bundle = str(DEMO / document.pop("bundle"))
    document["products"] = dict.fromkeys(_NAMES, bundle)
    document["decision"]["deadline_ms"] = 600_000
    document["outbox"] = {"path": str(folder / "outbox.db")}
    document["runtime"]["cache_dir"] = str(folder / "cache") if cache else None
    document.pop("trust", None)
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_config(path)


def _bundles(config: BoxConfig) -> ProductBundles:
    timeline = ProductTimeline(PartProduct(name=None))
    opening = open_bundles(config, None)
    bundles = load_bundles(
        opening,
        timeline,
        session=Session(id="bench"),
        alarms=Alarms("bench", _Unpublished()),
        release=lambda loaded: loaded.close(),
        patience=lambda _name: nullcontext(),
    )
    if not isinstance(bundles, ProductBundles):
        raise TypeError("a box with products has bundles of products")
    return bundles


def _changes(config: BoxConfig, parts: int) -> dict[str, list[float]]:
    """Time of one part's decision in ms, after a part of its own product and after one of the other."""
    bundles, gate, scoring = _bundles(config), Gate(), ScoringThread()
    line = InspectionLine(
        bundles=bundles,
        gate=gate,
        outbox=NoOutbox(),
        show=lambda _: None,
        clock=monotonic_ns,
        scoring=scoring,
    )

    def decide(view_set: ViewSet, product: str) -> float:
        begun_ns = monotonic_ns()
        line.run([replace(view_set, triggered_ns=begun_ns, product=PartProduct(name=product))])
        return (gate.at_ns - begun_ns) / 1e6

    times: dict[str, list[float]] = {"after its own product": [], "after the other product": []}
    order = np.random.default_rng(1)
    gc.collect()
    recorded = view_sets_of(bundles.newest.bundle, DEMO / "parts")
    for number, view_set in enumerate(itertools.islice(recorded, parts + _WARM_UP)):
        product = _NAMES[number % 2]
        for name in order.permutation(list(times)):
            before = product if name == "after its own product" else _NAMES[1 - number % 2]
            decide(view_set, before)
            taken_ms = decide(view_set, product)
            if number >= _WARM_UP:
                times[name].append(taken_ms)
    scoring.close(10)
    bundles.close()
    return times


def _returns(config: BoxConfig, count: int) -> list[float]:
    """Seconds until a bundle that gave up its memory inspects again, its golden parts reproduced."""
    bundles = _bundles(config)
    product = bundles.product("B")
    seconds = []
    for _ in range(count):
        if product.slot is not None:
            product.slot.close()
            product.slot = None
        seconds.append(bundles.require("B"))
    bundles.close()
    return seconds


if __name__ == "__main__":
    main()
