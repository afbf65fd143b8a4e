"""Foregrounds from recipe to bundle: fixed, distilled and chosen by itself; scores count no background."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import yaml
from PIL import Image

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.manifest import Graph
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import masked, standardise, view_scores
from edgeflow.errors import AccuracyError
from edgeflow.scoring.loading import choose_graph, make_scorer
from edgeflow.scoring.verification import verify_graph
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.bundling.single_graph import build_graph
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train
from tests.support import tiny as product
from tests.support.tiny import VIEWS, TinyProduct


@contextmanager
def silent(_name: str) -> Iterator[None]:
    yield


def write_masks(folder: Path, parts: Path) -> None:
    """The left two thirds of every view are foreground."""
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :42] = 255
    for part in find_parts(parts, class_name="disc"):
        (folder / part.part_id).mkdir(parents=True)
        for view in VIEWS:
            Image.fromarray(mask).save(folder / part.part_id / f"{view}.png")


def export(tiny: TinyProduct, folder: Path, foreground: dict[str, object], **forms: list[str]) -> Path:
    document = yaml.safe_load(tiny.recipe.read_text())
    document["foreground"] = {"max_flip_rate": 0.1, **foreground}
    document["export"] |= {"precisions": ["fp32"], "backends": ["openvino"], **forms}
    document["training"] |= {"epochs": 2}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(document))
    recipe = load_recipe(folder / "recipe.yaml")
    with product.tests_on_path():
        checkpoint = train(recipe, folder / "run", cache_dir=folder / "cache", progress=False)
        build_bundle(load_checkpoint(checkpoint), load_dataset(recipe), folder / "disc.bundle", silent)
    return folder / "disc.bundle"


def foreground_alone(folder: Path, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Logits (V, h, w) of the trained model's foreground, exported as a graph of its own."""
    with product.tests_on_path():
        model = load_checkpoint(folder / "run" / "checkpoint.safetensors")
        written = build_graph(model, load_dataset(model.recipe), "foreground", folder / "alone", silent)
    assert sorted(path.name for path in written) == [
        "foreground-openvino-fp32.bin", "foreground-openvino-fp32.xml", "foreground.json",
    ]  # fmt: skip
    graph = openvino_core().compile_model(folder / "alone" / "foreground-openvino-fp32.xml", "CPU")
    return np.asarray(graph(images)[0], np.float32)


def prepare_view(bundle: Bundle, part: RecordedPart, view: str) -> RgbImage:
    (spec,) = [spec for spec in bundle.manifest.views if spec.id == view]
    return prepare(read_image(part.images[view]), spec, bundle.manifest.preprocessing)


def outputs_of(bundle: Bundle, graph: Graph) -> int:
    """Number of results that a graph of the bundle computes, whatever its entry names."""
    content = bundle.read(graph.model)
    if graph.backend == "openvino":
        return content.count(b'type="Result"')
    return len(onnx.load_model_from_string(content).graph.output)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_distilled_head_learns_its_masks_and_the_box_scores_with_them(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    write_masks(tmp_path / "masks", tiny.parts)
    path = export(tiny, tmp_path, {"kind": "distilled", "masks": str(tmp_path / "masks"), "min_iou": 0.8})
    with Bundle.open(path) as bundle:
        assert bundle.manifest.foreground is not None
        assert bundle.manifest.foreground.kind == "distilled"
        assert outputs_of(bundle, bundle.manifest.graphs[0]) == 2
        (check, *_) = verify_graph(bundle, bundle.manifest.graphs[0])
        assert check.mask_difference == 0
        scorer = make_scorer(bundle, choose_graph(bundle, backend="openvino", precision="fp32"))
        part = find_parts(tiny.parts, class_name="disc")[0]
        scores = scorer.score({view: read_image(file) for view, file in part.images.items()})
        statistics, scoring = bundle.statistics(), bundle.manifest.scoring
    assert scores.masks is not None
    assert scores.masks[:, :, :4].mean() > 0.9
    assert scores.masks[:, :, 6:].mean() < 0.15
    shutil.rmtree(tmp_path / "masks")  # what has been learnt needs no teacher
    logits = foreground_alone(tmp_path, np.stack([prepare_view(bundle, part, v) for v in VIEWS]))
    np.testing.assert_array_equal(logits > 0, scores.masks)
    expected = view_scores(masked(standardise(scores.raw_maps, statistics), scores.masks), scoring)
    np.testing.assert_array_equal(list(scores.views.values()), expected)


def test_auto_takes_the_cheapest_kind_within_budget_writes_down_why_and_leaves_no_head_in_any_graph(
    tiny: TinyProduct, tmp_path: Path
) -> None:
    write_masks(tmp_path / "masks", tiny.parts)
    # The masks are the same for all parts, and leave out a third of each view.
    foreground = {"kind": "auto", "masks": str(tmp_path / "masks"), "min_iou": 0.95}
    path = export(
        tiny, tmp_path, foreground, backends=["openvino", "onnxruntime"], precisions=["fp32", "int8"]
    )
    with Bundle.open(path) as bundle:
        chosen = bundle.manifest.foreground
        assert chosen is not None
        assert chosen.kind == "fixed"
        assert chosen.note.startswith("auto chose fixed: IoU 1.000")
        assert "over budget: none: IoU 0.6" in chosen.note
        masks = bundle.fixed_masks()
        assert len(bundle.manifest.graphs) > 2  # fp32 of both back ends, and INT8
        assert [outputs_of(bundle, graph) for graph in bundle.manifest.graphs] == [1] * len(
            bundle.manifest.graphs
        )
    assert masks.shape == (3, 8, 8)
    assert masks[:, :, :5].all()
    assert not masks[:, :, 6:].any()


def test_kind_that_is_over_budget_is_refused_with_its_figures(tiny: TinyProduct, tmp_path: Path) -> None:
    write_masks(tmp_path / "masks", tiny.parts)
    for index, folder in enumerate(sorted((tmp_path / "masks").rglob("S*"))):
        if index % 2:  # every second part lies on the other side
            for file in folder.glob("*.png"):
                Image.fromarray(np.asarray(Image.open(file))[:, ::-1]).save(file)
    with pytest.raises(AccuracyError, match=r"foreground fixed: IoU 0\.\d+.*min_iou"):
        export(tiny, tmp_path, {"kind": "fixed", "masks": str(tmp_path / "masks")})
    assert not (tmp_path / "disc.bundle").exists()
