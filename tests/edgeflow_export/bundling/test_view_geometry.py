"""A bundle with crop, turns, mirroring, letterbox, rectification and tiles: the same pixels everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgeflow.backends.runner import Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.images import read_image
from edgeflow.contracts.messages import Result
from edgeflow.contracts.preprocess import prepare
from edgeflow.decision.recorded_parts import score_parts
from edgeflow.errors import DataError
from edgeflow.scoring.loading import choose_graph, make_scorer, open_scorer
from edgeflow.station.replay import replay_box
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import TrainedModel, load_checkpoint
from edgeflow_export.data.dataset import Dataset, load_dataset, load_images
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train
from tests.support.tiny import SIZE, write_parts, write_recipe
from tests.support.tiny import tests_on_path as extractor_on_path

GEOMETRY = {
    "C1": {"crop": [4, 8, 56, 48], "turns": 1, "mirror": True},
    "C2": {"crop": [0, 8, 64, 48], "fit": "letterbox"},
    "C3": {
        "rectify": {
            "homography": [[1.0, 0.05, -1.0], [0.02, 0.98, 0.5], [0.0004, 0.0, 1.0]],
            "width": 60,
            "height": 60,
        }
    },
}
TILES = {"height": 48, "width": 48, "overlap": 16}


@dataclass(frozen=True, kw_only=True)
class Product:
    model: TrainedModel
    data: Dataset
    bundle: Bundle


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("geometry")
    write_parts(folder / "parts", train=14, normal=2, defective=2)
    write_recipe(folder / "recipe.yaml", folder / "parts", precisions=["fp32"])
    text = yaml.safe_load((folder / "recipe.yaml").read_text())
    text["image"] = {"height": 80, "width": 80, "tiles": TILES, "geometry": GEOMETRY}
    text["training"]["epochs"] = 1
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text))
    recipe = load_recipe(folder / "recipe.yaml")

    @contextmanager
    def silent(_name: str) -> Iterator[None]:
        yield

    with extractor_on_path():
        checkpoint = train(recipe, folder / "run", cache_dir=folder / "cache", progress=False)
        model, data = load_checkpoint(checkpoint), load_dataset(recipe)
        build_bundle(model, data, folder / "disc.bundle", silent)
        with Bundle.open(folder / "disc.bundle") as bundle:
            yield Product(model=model, data=data, bundle=bundle)


def test_the_bundle_holds_the_geometry_of_the_recipe(product: Product) -> None:
    manifest = product.bundle.manifest
    first, second, third = manifest.views
    assert (first.crop, first.turns, first.mirror, first.camera_size) == ((4, 8, 56, 48), 1, True, (64, 64))
    assert (second.letterbox, third.rectify is not None) == ((80, 80), True)
    assert manifest.preprocessing.tiles is not None
    assert manifest.views == product.data.views
    assert manifest.graphs[0].input.shape == (3, 80, 80, 3)
    assert manifest.graphs[0].output.shape == (3, 10, 10)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_training_box_and_recorded_parts_see_the_same_pixels_and_give_the_same_scores(
    product: Product, backend: str
) -> None:
    parts = product.data.test[:2]
    scorer = open_scorer(product.bundle, backend=backend)
    try:
        for part in parts:
            images = {view: read_image(part.images[view]) for view in product.data.view_ids}
            scores = scorer.score(images)
            # What training and evaluation saw, what the box's scorer sees, and what its evidence keeps.
            np.testing.assert_array_equal(scores.inputs, load_images(part, product.data))
            manifest = product.bundle.manifest
            for index, view in enumerate(manifest.views):
                alone = prepare(images[view.id], view, manifest.preprocessing)
                np.testing.assert_array_equal(alone, scores.inputs[index])
            again = scorer.score(images)
            np.testing.assert_array_equal(again.maps, scores.maps)
            assert again.part == scores.part
    finally:
        scorer.close()


def test_an_image_of_another_size_than_the_crop_was_made_for_is_refused_by_name(product: Product) -> None:
    part = product.data.test[0]
    images = {view: read_image(part.images[view]) for view in product.data.view_ids}
    images["C1"] = np.zeros((128, 128, 3), np.uint8)
    scorer = open_scorer(product.bundle)
    try:
        with pytest.raises(DataError, match=r"view 'C1': .* made for images of 64x64, this one is 128x128"):
            scorer.score(images)
    finally:
        scorer.close()


class Shown:
    """Results of a replay."""

    def __init__(self) -> None:
        self.results: dict[str | None, Result] = {}

    def ready(self, text: str) -> None:
        """Nothing to show."""

    def show(self, result: Result) -> None:
        """Keep one result."""
        self.results[result.part_id] = result

    def finished(self, *_counts: object) -> None:
        """Nothing to show."""


def test_the_boxes_line_gives_the_scores_of_recorded_parts_bit_by_bit(
    product: Product, tmp_path: Path
) -> None:
    parts = product.data.test
    box = {
        "station": {"site": "p", "line": "l", "station": "s"},
        "bundle": str(product.bundle.path),
        "trigger": {"source": "interval", "period_ms": 500},
        "cameras": {
            view: {"kind": "replay", "parts": str(product.data.root)} for view in product.data.view_ids
        },
        "sync": {"max_skew_ms": 50},
        "decision": {"deadline_ms": 500},
        "runtime": {"backend": "openvino", "precision": "fp32", "threads": 1},
        "mqtt": {"host": "127.0.0.1"},
        "outbox": {"path": str(tmp_path / "outbox.db")},
        "views": {"at_start": "off", "watch": False, "unusable": "off"},
    }
    (tmp_path / "box.yaml").write_text(yaml.safe_dump(box))
    shown = Shown()
    replay_box(tmp_path / "box.yaml", product.data.root, expect=None, exact=True, overrides=(), view=shown)
    graph = choose_graph(product.bundle, backend="openvino", precision="fp32")
    scorer = make_scorer(product.bundle, graph, placement=Placement(threads=1))
    try:
        offline = {part.part_id: part for part, _ in score_parts(product.bundle, scorer, parts)}
    finally:
        scorer.close()
    for part_id, part in offline.items():
        result = shown.results[part_id]
        assert (result.score_raw, result.verdict) == (part.score_raw, part.verdict)
        for view in result.views:
            for region in view.regions:
                assert region.camera is not None
                x, y, width, height = region.camera
                assert 0 <= x < x + width <= SIZE
                assert 0 <= y < y + height <= SIZE
