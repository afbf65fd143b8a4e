"""Memory of the bundles of a box with several products, in a process that has loaded nothing before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

VIEWS = ("C1", "C2", "C3", "C4", "C5")
LOADED = """
import json, sys
from contextlib import nullcontext
from pathlib import Path
from edgeflow.alarms import Alarms
from edgeflow.capture.part_product import ProductTimeline
from edgeflow.config.box import load_config
from edgeflow.decision.session import Session
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.products.chosen import first_product
from edgeflow.station.products.opening import load_bundles, open_bundles

class Silent:
    def publish_alarm(self, name, alarm):
        pass

config = load_config(Path(sys.argv[1]))
timeline = ProductTimeline(first_product(config))
opening = open_bundles(config, timeline.now.name)
bundles = load_bundles(
    opening, timeline, session=Session(id="s"), alarms=Alarms("s", Silent()), release=LoadedBundle.close,
    patience=lambda _name: nullcontext(),
)
print(json.dumps({one["name"]: one["memory_mb"] for one in bundles.status()}))
bundles.close()
opening.close()
"""


def test_the_bundle_that_is_loaded_first_is_not_charged_with_its_library(
    tmp_path: Path, repository: Path
) -> None:
    """Three products with one bundle: each takes as much as the others."""
    bundle = str(repository / "tools" / "demo" / "housing.bundle")
    document = {
        "station": {"site": "a", "line": "b", "station": "c"},
        "products": dict.fromkeys("ABC", bundle),
        "product": "C",
        "trigger": {"source": "interval", "period_ms": 500, "timeout_ms": 100},
        "cameras": {view: {"kind": "replay", "parts": "parts"} for view in VIEWS},
        "sync": {"max_skew_ms": 20},
        "decision": {"deadline_ms": 200},
        "runtime": {"backend": "openvino"},
        "mqtt": {"host": "127.0.0.1"},
        "outbox": {"path": "state/outbox.db"},
    }
    box = tmp_path / "box.yaml"
    box.write_text(yaml.safe_dump(document))
    done = subprocess.run(
        [sys.executable, "-c", LOADED, str(box)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert set(taken) == set("ABC")
    assert max(taken.values()) < 2 * min(taken.values())
