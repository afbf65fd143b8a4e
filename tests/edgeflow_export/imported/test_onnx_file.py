"""ONNX files from elsewhere: weights beside them, old and new operators, and what is no network at all."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import external_data_helper

from edgeflow.errors import CheckpointError
from edgeflow_export.imported.onnx_file import read_onnx
from tests.support.tiny_network import network


def split(path: Path, location: str = "model.onnx.data") -> onnx.ModelProto:
    """Weights beside the file, as torch writes larger networks."""
    model = onnx.load(network(path))
    external_data_helper.convert_model_to_external_data(model, location=location, size_threshold=0)
    onnx.save(model, path)
    return onnx.load(path, load_external_data=False)


def relocated(path: Path, model: onnx.ModelProto, key: str, value: str) -> None:
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == key:
                entry.value = value
    path.write_bytes(model.SerializeToString())


def test_weights_beside_the_file_are_taken_in_and_hashed(tmp_path: Path) -> None:
    path = tmp_path / "split" / "model.onnx"
    split(network(path))
    whole, apart = read_onnx(network(tmp_path / "model.onnx")), read_onnx(path)
    assert [t.SerializeToString() for t in apart.model.graph.initializer if t.raw_data][:1]
    assert not any(external_data_helper.uses_external_data(t) for t in apart.model.graph.initializer)
    before, data = apart.sha256, path.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[:-1] + b"\x01")
    assert read_onnx(path).sha256 != before
    assert whole.opset == apart.opset == 18


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/etc/passwd", "/etc/passwd: outside the folder"),
        ("../model.onnx.data", r"\.\./model.onnx.data: outside the folder"),
        ("", "outside the folder"),
        ("weights.bin", "weights.bin: no such file beside the model"),
        ("link.data", "link.data: a link"),
    ],
)
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str, message: str) -> None:
    path = tmp_path / "model" / "model.onnx"
    model = split(path)
    path.with_name("link.data").symlink_to(path.with_name("model.onnx.data"))
    relocated(path, model, "location", location)
    with pytest.raises(CheckpointError, match="weights outside the file") as caught:
        read_onnx(path)
    assert len(caught.value.problems) == 1
    with pytest.raises(CheckpointError, match=message):
        raise CheckpointError(caught.value.problems[0])


@pytest.mark.parametrize(("key", "value"), [("length", "99999999"), ("offset", "-8"), ("offset", "far")])
def test_weights_that_are_cut_off_are_refused(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "model.onnx"
    relocated(path, split(path), key, value)
    with pytest.raises(CheckpointError, match=r"shorter than the model says|no number"):
        read_onnx(path)


def test_an_opset_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = network(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.opset_import[0].version = onnx.defs.onnx_opset_version() + 1
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"newer than this program knows.*opset_version=18"):
        read_onnx(path)
    del model.opset_import[:]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="names no version"):
        read_onnx(path)


def test_what_is_no_network_is_refused_with_what_to_do(tmp_path: Path) -> None:
    for name, content, message in (
        ("model.onnx", b"PK\x03\x04 not a graph", "not an ONNX file"),
        ("empty.onnx", b"", "without a graph"),
        ("last.ckpt", b"\x80\x02c", "weights without the network; export it to ONNX"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            read_onnx(tmp_path / name)
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_onnx(tmp_path / "none.onnx")
