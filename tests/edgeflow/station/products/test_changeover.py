"""A product with cameras of its own: no part is of it before its cameras have its settings."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from edgeflow.alarms import Alarms
from edgeflow.capture.capture import Capture
from edgeflow.capture.part_product import ProductTimeline
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.config.camera_views import as_bundle_reads
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.session import Session
from edgeflow.errors import EdgeflowError
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.products.changeover import Changeover
from edgeflow.station.products.chosen import first_product
from edgeflow.station.products.opening import load_bundles, open_bundles
from edgeflow.station.products.resident import ProductBundles
from simulators.small_box import write_box
from simulators.small_bundle import SIDE, VIEWS

SOON = 500  # parts: a limit, never a wait


class Silent:
    """Takes alarms that nobody sees."""

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        """Do nothing."""


def box(folder: Path, parts: str) -> BoxConfig:
    """Products A and B; B's camera at the top plays other parts."""
    path = write_box(folder, 1)
    (folder / "white" / "part0").mkdir(parents=True)
    for view in VIEWS:
        white = np.full((SIDE, SIDE, 3), 255, np.uint8)
        Image.fromarray(white).save(folder / "white" / "part0" / f"{view}.png")
    document = yaml.safe_load(path.read_text())
    for key in ("bundle", "trust"):
        del document[key]
    own = {"bundle": "bundles/two.bundle", "cameras": {"top": {"parts": parts}}}
    document |= {"products": {"A": "bundles/one.bundle", "B": own}, "product": "A"}
    document["trigger"] = {"source": "interval", "period_ms": 20, "timeout_ms": 200}
    path.write_text(yaml.safe_dump(document))
    return load_config(path)


def changed(config: BoxConfig) -> tuple[list[ViewSet], list[str]]:
    """Parts while the product changes to B and some after it, and what the command answered."""
    timeline = ProductTimeline(first_product(config))
    opening = open_bundles(config, "A")
    bundles = load_bundles(
        opening,
        timeline,
        session=Session(id="s"),
        alarms=Alarms("s", Silent()),
        release=LoadedBundle.close,
        patience=lambda _name: nullcontext(),
    )
    assert isinstance(bundles, ProductBundles)
    told: list[str] = []
    reading = opening.first.bundle.manifest.preprocessing
    with Capture(as_bundle_reads(config, reading), opening.views, "s", products=timeline) as capture:
        changeover = Changeover(
            config=config,
            bundles=bundles,
            manager=ServiceManager(""),
            cameras=capture,
            chosen=lambda _loaded: None,
        )

        def command() -> None:
            try:
                told.append(changeover.command({"name": "B"}))
            except EdgeflowError as error:
                told.append(str(error))

        sets = capture.view_sets()
        parts = [next(sets)]
        thread = threading.Thread(target=command)
        thread.start()
        while thread.is_alive() and len(parts) < SOON:
            parts.append(next(sets))
        parts += [next(sets) for _ in range(5)]
        thread.join()
    bundles.close()
    opening.close()
    return parts, told


def test_parts_between_the_products_are_of_neither(tmp_path: Path) -> None:
    parts, told = changed(box(tmp_path, "white"))
    assert told[0].startswith("parts triggered from now on are of product B")
    names = [part.product.name if part.product else "?" for part in parts]
    assert list(dict.fromkeys(names)) == ["A", None, "B"]
    for part, name in zip(parts, names, strict=True):
        frames = part.frames
        if name is not None and "top" in frames:
            assert bool((frames["top"].image == 255).all()) == (name == "B")
    between = next(part.product for part in parts if part.product and part.product.name is None)
    assert "the cameras (top) are not set up for product 'B' yet" in between.problem
    assert any(part.frames for part, name in zip(parts, names, strict=True) if name == "B")


def test_where_a_camera_does_not_take_its_settings_no_product_is_chosen(tmp_path: Path) -> None:
    config = box(tmp_path, "nowhere")
    parts, told = changed(config)
    assert "1 of 1 cameras cannot be opened" in told[0]
    assert "check cameras.top.parts" in told[0]
    assert parts[-1].product is not None
    assert parts[-1].product.name is None
    assert first_product(config).name is None, "the next start does not guess either"
    assert "did not come to its end" in first_product(config).problem
