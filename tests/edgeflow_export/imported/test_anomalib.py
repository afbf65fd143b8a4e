"""Graphs that end as anomalib's do: the map before its normalisation; and what is no such graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper, numpy_helper

from draw_parts import SIZE
from edgeflow.errors import CheckpointError
from edgeflow_export.imported.anomalib_export import anomalib_file
from edgeflow_export.imported.imported_model import ImportedModel, load_imported
from edgeflow_export.recipe import DataSpec, ImportRecipe, NetworkSpec
from tests.support.tiny_network import network


def loaded(file: Path, output: str | None = None) -> ImportedModel:
    spec = NetworkSpec(file=file, origin="anomalib", output=output)
    return load_imported(ImportRecipe(name="disc", data=DataSpec(root=file.parent), network=spec)).with_views(
        ("C1",)
    )


IMAGE = np.random.default_rng(2).integers(0, 256, (1, SIZE, SIZE, 3), np.uint8)


def run(file: Path, name: str) -> np.ndarray:
    x = (IMAGE / 255).astype(np.float32).transpose(0, 3, 1, 2)
    return np.asarray(ort.InferenceSession(file).run([name], {"input": x})[0])


@pytest.mark.parametrize("output", [None, "pred_score"])
def test_the_raw_value_is_taken_and_not_the_clamped_one(tmp_path: Path, output: str | None) -> None:
    file = network(tmp_path / "anomalib.onnx", anomalib=True)
    raw = run(
        network(tmp_path / "raw.onnx", output="map" if output is None else "score"),
        "map" if output is None else "score",
    )
    shown = run(file, output or "anomaly_map")
    assert shown.max() == 1.0  # what anomalib shows has lost the order of all that is far from normal
    assert raw.max() > 2
    np.testing.assert_allclose(loaded(file, output).maps(IMAGE).ravel(), raw.ravel(), rtol=1e-5)


def test_a_graph_without_normalisation_is_taken_as_it_is(tmp_path: Path) -> None:
    assert loaded(network(tmp_path / "model.onnx")).output.removed == ()


def altered(path: Path, change: dict[str, object]) -> Path:
    """An anomalib graph with other constants, or with one that the image decides."""
    model = onnx.load(network(path, anomalib=True))
    for name, value in change.items():
        kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
        if value is None:
            model.graph.node.insert(4, helper.make_node("Greater", ["amax", "low"], [name]))
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    path.write_bytes(model.SerializeToString())
    return path


def test_a_model_that_was_never_validated_has_no_normalisation(tmp_path: Path) -> None:
    """anomalib then chooses the raw map by itself."""
    file = altered(tmp_path / "model.onnx", {"has_range": np.bool_(False)})
    model = loaded(file)
    assert model.output.removed == ("Where",)
    np.testing.assert_allclose(model.maps(IMAGE).ravel(), run(file, "anomaly_map").ravel(), rtol=1e-5)


@pytest.mark.parametrize(
    "change", [{"has_range": None}, {"range": np.float32(-1)}], ids=["decided", "negative"]
)
def test_an_end_that_is_not_known_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="not in anomalib's normalisation as it is known"):
        loaded(altered(tmp_path / "model.onnx", change))


def test_the_folder_of_an_export_is_searched(tmp_path: Path) -> None:
    file = network(tmp_path / "weights" / "onnx" / "model.onnx", anomalib=True)
    assert anomalib_file(tmp_path) == anomalib_file(tmp_path / "weights") == anomalib_file(file) == file


def test_of_an_openvino_export_the_onnx_beside_it_is_taken_where_there_is_one(tmp_path: Path) -> None:
    xml = tmp_path / "weights" / "openvino" / "model.xml"
    xml.parent.mkdir(parents=True)
    xml.write_text("<net/>")
    for named in (xml, xml.parent, tmp_path):
        assert anomalib_file(named) == xml
    file = network(tmp_path / "weights" / "onnx" / "model.onnx", anomalib=True)
    assert anomalib_file(xml) == anomalib_file(xml.parent) == anomalib_file(tmp_path) == file


class Code:
    """An object that only Python code can make again."""


def test_a_checkpoint_is_refused_with_what_to_do_and_never_run(tmp_path: Path) -> None:
    plain, pickled = tmp_path / "plain.ckpt", tmp_path / "pickled.pt"
    content = {
        "pytorch-lightning_version": "2.6.6",
        "state_dict": {},
        "hyper_parameters": {"model_name": "Padim"},
    }
    torch.save(content, plain)
    with pytest.raises(CheckpointError, match=r"Lightning 2.6.6.*anomalib export --model Padim --ckpt_path"):
        anomalib_file(plain)
    torch.save({"model": Code()}, pickled)
    with pytest.raises(CheckpointError, match="code and are not read; export it where it was trained"):
        anomalib_file(pickled)
    with pytest.raises(CheckpointError, match=r"holds plain\.ckpt alone"):
        anomalib_file(tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(CheckpointError, match=r"holds neither model\.onnx nor model\.xml"):
        anomalib_file(tmp_path / "none")
