"""A network from elsewhere on the whole way: file, thresholds, INT8, bundle, scores."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import helper

from edgeflow.bundles.bundle import Bundle
from edgeflow.cli.main import cli
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import REPORT_NAME
from edgeflow.contracts.preprocess import reading_of
from edgeflow.errors import DataError, EdgeflowError
from edgeflow.scoring.loading import make_scorer
from edgeflow_export.imported.imported_model import load_imported
from edgeflow_export.recipe import load_export_recipe
from tests.support.tiny import LOOSE, write_parts
from tests.support.tiny_network import MEAN, STD, as_openvino, network

FP32 = {"precisions": ["fp32"], "backends": ["openvino"]}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


def refusal(*arguments: object) -> EdgeflowError:
    with pytest.raises(EdgeflowError) as caught:
        CliRunner().invoke(cli, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False)
    return caught.value


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported") / "parts"
    write_parts(folder, train=24, normal=4, defective=4)
    return folder


def recipe(folder: Path, parts: Path, file: Path, export: dict[str, object], **spec: Any) -> Path:
    path = folder / "recipe.yaml"
    content = {
        "name": "disc",
        "data": {"root": str(parts), "validation_fraction": 0.6},
        "network": {"file": str(file), **spec},
        "thresholds": {"false_reject_rate": 0.05},
        "export": export,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_an_anomalib_network_becomes_a_bundle_like_ours(tmp_path: Path, parts: Path) -> None:
    file = network(tmp_path / "weights" / "onnx" / "model.onnx", anomalib=True)
    loose = {
        "backends": ["openvino"],
        **LOOSE,
        "max_score_bias": 2.0,
        "max_aupro_drop": 1.0,
        "max_flip_rate": 0.3,
        "tolerance_int8": 2.0,
    }
    chosen = recipe(tmp_path, parts, file, loose, origin="anomalib")
    bundle = tmp_path / "disc.bundle"
    done = run("export", "--recipe", chosen, "-o", bundle, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert {graph["precision"] for graph in told["graphs"]} == {"fp32", "int8"}
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
        assert manifest.provenance["imported_from"] == "anomalib"
        assert "file" not in manifest.recipe["network"]  # type: ignore[operator]
        page = opened.read(REPORT_NAME).decode()
        assert "the network&#39;s own file" in page
        assert "model.onnx, sha256" in page
        scorer = make_scorer(opened, manifest.graphs[0])
        model = load_imported(load_export_recipe(chosen)).with_views(manifest.view_ids)  # type: ignore[arg-type]
        tested = [part for part in find_parts(parts) if part.split == "test"]
        for part in tested:
            reading = reading_of(manifest.preprocessing)
            images = {view: read_image(path, reading) for view, path in part.images.items()}
            scores = scorer.score(images)
            own = model.maps(scores.inputs)
            np.testing.assert_allclose(scores.raw_maps, own, rtol=1e-4, atol=1e-5)
            assert scores.part == pytest.approx(float(own.max()), rel=1e-4)
            assert (scores.part > scorer.thresholds.part.threshold) == part.defective


def test_an_openvino_export_alone_becomes_a_bundle_for_openvino(tmp_path: Path, parts: Path) -> None:
    folder = tmp_path / "weights" / "openvino"
    as_openvino(network(folder / "model.onnx", anomalib=True))
    bundle = tmp_path / "disc.bundle"
    done = run("export", "--anomalib", tmp_path, "--parts", parts, "-o", bundle)
    assert done.exit_code == 0, done.output
    assert re.search(r"memory: about 1\.[34] GB at most, while exporting the model", done.output)
    for told in (done.output, run("inspect", bundle).output):
        flat = " ".join(told.split())
        assert "onnxruntime: no graph, since the network came as an OpenVINO graph" in flat
        assert "INT8 is made from ONNX, and this network came as an OpenVINO graph" in flat
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
        assert {graph.backend for graph in manifest.graphs} == {"openvino"}
        assert "int8" not in {graph.precision for graph in manifest.graphs}
        assert manifest.provenance["network_runs_on"].startswith("openvino alone")
        assert "network_runs_on" in opened.read(REPORT_NAME).decode()
        scorer = make_scorer(opened, manifest.graphs[0])
        reading = reading_of(manifest.preprocessing)
        for part in find_parts(parts):
            if part.split == "test":
                images = {view: read_image(path, reading) for view, path in part.images.items()}
                over = scorer.score(images).part > scorer.thresholds.part.threshold
                assert over == part.defective
    assert run("verify", bundle).exit_code == 0


def test_options_alone_describe_a_network(tmp_path: Path, parts: Path) -> None:
    file = network(tmp_path / "model.onnx", shape=(3, 3, 64, 64), output="score")
    mean, std = (",".join(map(str, values)) for values in (MEAN, STD))
    bundle = tmp_path / "disc.bundle"
    options = ("--onnx", file, "--parts", parts, "--mean", mean, "--std", std, "--precision", "fp32")
    done = run("export", *options, "-o", bundle, "--json")
    assert done.exit_code == 0, done.output
    with Bundle.open(bundle) as opened:
        manifest = opened.manifest
    assert manifest.name == "disc"
    assert manifest.graphs[0].output.shape == (3, 1, 1)
    assert manifest.provenance["network_views"] == "one network for all views at once"
    assert manifest.recipe["network"]["mean"] == list(MEAN)  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("operator", "message"),
    [("Sqrt", "gives values that are not finite"), ("Mul", "gives 0 for every pixel of all")],
)
def test_a_network_that_tells_nothing_is_refused(
    tmp_path: Path, parts: Path, operator: str, message: str
) -> None:
    """Roots of negative numbers; and the same value everywhere, which must not pass for a good part."""
    zero = helper.make_node("Mul", ["raw", "low"], ["value"])
    negative = helper.make_node("Neg", ["raw"], ["below"])
    root = helper.make_node("Sqrt", ["below"], ["value"])
    extra = (zero,) if operator == "Mul" else (negative, root)
    # A score of each image times nothing: it still depends on the image, as far as the graph tells.
    file = network(tmp_path / "model.onnx", extra=extra)
    chosen = recipe(tmp_path, parts, file, FP32, value_range=[0, 1])
    found = refusal("export", "--recipe", chosen, "-o", tmp_path / "disc.bundle")
    assert isinstance(found, DataError)
    assert message in found.message
    assert not (tmp_path / "disc.bundle").exists()


def test_a_network_without_convolutions_stays_in_float_and_says_so(tmp_path: Path, parts: Path) -> None:
    file = network(tmp_path / "model.onnx", convolutions=False)
    loose = {"backends": ["onnxruntime"], "min_recall": 0.0}
    chosen = recipe(tmp_path, parts, file, loose, value_range=[0, 1])
    done = run("export", "--recipe", chosen, "-o", tmp_path / "disc.bundle", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [graph["precision"] for graph in told["graphs"]] == ["fp32"]
    assert "no convolution with weights of its own" in told["notes"][0]


def test_the_recipe_of_a_network_trains_nothing(tmp_path: Path, parts: Path) -> None:
    chosen = recipe(tmp_path, parts, tmp_path / "model.onnx", FP32)
    assert "there is nothing to train" in refusal("train", chosen).message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mean", "0,0,0"), "--mean: go with --onnx FILE or --anomalib MODEL"),
        (("--onnx", "a.onnx", "--anomalib", "b"), "name two networks"),
        (("--onnx", "a.onnx"), "needs good parts.*--parts FOLDER"),
        (("--onnx", "a.onnx", "--parts", "p", "--mean", "0,0"), "--mean 0,0: expected 3 numbers"),
        (("--onnx", "a.onnx", "--parts", "p", "--std", "0,1,1"), "above 0"),
        (("--onnx", "a.onnx", "--parts", "p", "--image-size", "64"), "expected HEIGHTxWIDTH"),
        (("--onnx", "a.onnx", "--parts", "p", "--foreground", "mvanet"), "kind: mvanet|none or fixed"),
        (("--onnx", "a.onnx", "--parts", "p", "--only", "maps"), "--only: does not go with a network"),
        (("c.safetensors", "--onnx", "a.onnx", "--parts", "p"), "checkpoint: does not go with a network"),
        (
            ("--anomalib", "b.onnx", "--parts", "p", "--mean", "1,1,1"),
            "prepare images themselves; remove mean",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    found = refusal("export", *options, "-o", tmp_path / "x.bundle")
    assert found.exit_code == 2
    with pytest.raises(EdgeflowError, match=message):
        raise EdgeflowError(str(found))
