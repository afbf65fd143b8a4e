"""Networks that came as an OpenVINO graph: the part's graph gives what the file gives, in every form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import openvino as ov
import pytest
from onnx import helper
from openvino import opset13 as op

from draw_parts import SIZE
from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.imported.imported_model import ImportedModel, load_imported
from edgeflow_export.recipe import DataSpec, ExportSpec, ImportRecipe, NetworkSpec
from tests.edgeflow_export.imported.test_imported_model import shares
from tests.support.tiny_network import as_openvino, network

VIEWS = ("C1", "C2", "C3")
SIDE_2 = SIZE * SIZE
NCHW, NHWC = (3, SIZE, SIZE), (SIZE, SIZE, 3)
IMAGES = np.random.default_rng(3).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)


def loaded(file: Path, output: str | None = None, backends: tuple[str, ...] = ("openvino",)) -> ImportedModel:
    spec = NetworkSpec(file=file, origin="anomalib", output=output)
    export = ExportSpec.model_validate({"backends": backends})
    recipe = ImportRecipe(name="disc", data=DataSpec(root=file.parent), network=spec, export=export)
    return load_imported(recipe).with_views(VIEWS)


def by_graph(model: ImportedModel) -> npt.NDArray[np.float32]:
    graph = model.graph()
    assert isinstance(graph, ov.Model)
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled({"images": IMAGES})["maps"])


def by_onnx(file: Path, output: str) -> npt.NDArray[np.float32]:
    x = (IMAGES / 255).astype(np.float32).transpose(0, 3, 1, 2)
    return np.asarray(ort.InferenceSession(file).run([output], {"input": x})[0])


@pytest.mark.parametrize(
    ("form", "wiring"),
    [
        ({}, "batch"),
        ({"shape": (1, *NCHW)}, "batch"),
        ({"shape": ("n", *NHWC)}, "batch"),
        ({"shape": (1, 3, *NCHW)}, "part"),
        ({"output": "score"}, "batch"),
        ({"shape": (1, 3, *NCHW), "output": "part"}, "part"),
        ({"shape": (1, *NCHW), "extra": shares(1, 1)}, "copies"),
        ({"shape": (2, *NCHW), "extra": shares(2, 2)}, "copies"),
    ],
    ids=str,
)
def test_the_graph_of_a_part_gives_what_the_file_gives(
    tmp_path: Path, form: dict[str, object], wiring: str
) -> None:
    model = loaded(as_openvino(network(tmp_path / "model.onnx", **form)))  # type: ignore[arg-type]
    assert model.form == wiring
    expected = model.maps(IMAGES)
    assert np.ptp(expected) > 0 or form.get("output") == "part"
    np.testing.assert_allclose(by_graph(model), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("output", "raw"), [(None, "map"), ("pred_score", "score")])
def test_the_raw_value_is_taken_and_not_the_clamped_one(
    tmp_path: Path, output: str | None, raw: str, *, half: bool
) -> None:
    file = network(tmp_path / "model.onnx", anomalib=True)
    assert by_onnx(file, output or "anomaly_map").max() == 1.0
    expected = by_onnx(network(tmp_path / "raw.onnx", output=raw), raw)
    model = loaded(as_openvino(file, half=half), output)
    assert model.output.removed[-3:] == ("Clip", "Add", "Mul")
    np.testing.assert_allclose(by_graph(model).ravel(), expected.ravel(), rtol=2e-3 if half else 1e-5)


@pytest.mark.parametrize("half", [False, True])
def test_a_factor_that_was_folded_into_the_smoothing_filter_is_taken_out_again(
    tmp_path: Path, *, half: bool
) -> None:
    """As OpenVINO writes PatchCore of anomalib 2.7: multiplied weights, then Add and Clamp alone."""
    file = network(tmp_path / "model.onnx", anomalib=True, smoothed=True)
    expected = by_onnx(network(tmp_path / "raw.onnx", smoothed=True), "map")
    written = as_openvino(file, half=half)
    clamp = ov.Core().read_model(written).output("anomaly_map").get_node().input_value(0).get_node()
    before = clamp.input_value(0).get_node().input_value(0).get_node()
    assert (clamp.get_type_name(), before.get_type_name()) == ("Clamp", "Convolution")
    model = loaded(written)
    assert model.output.removed == ("Clip", "Add", "Mul")
    np.testing.assert_allclose(by_graph(model).ravel(), expected.ravel(), rtol=2e-3 if half else 1e-5)


def test_the_memory_of_an_export_is_estimated_alike_in_both_formats(tmp_path: Path) -> None:
    file = network(tmp_path / "model.onnx", anomalib=True)
    by_onnx = loaded(file).volume
    by_ir = loaded(as_openvino(file)).volume
    assert by_onnx is not None
    assert by_ir is not None
    # Three images as float, their planes, three layers of eight, eight and one channel, and the maps.
    image, half, quarter = 3 * SIDE_2 * 3 * 4, 3 * SIDE_2 // 4 * 8 * 4, 3 * SIDE_2 // 16 * 4
    assert by_ir.activations == pytest.approx(3 * image + 2 * half + quarter, rel=0.02)
    assert by_onnx.activations == pytest.approx(by_ir.activations, rel=0.1)
    assert by_ir.weights == pytest.approx((8 * 3 * 9 + 8 * 9) * 4, rel=0.2)
    twice = loaded(as_openvino(network(tmp_path / "wide.onnx", shape=(1, 3, 2 * SIZE, SIZE), anomalib=True)))
    assert twice.volume is not None
    assert twice.volume.activations == pytest.approx(2 * by_ir.activations, rel=0.02)


def test_the_origin_says_on_what_it_can_run(tmp_path: Path) -> None:
    told = loaded(as_openvino(network(tmp_path / "model.onnx", anomalib=True))).provenance
    assert told["network_file"].startswith("model.xml with model.bin, sha256 ")
    assert told["network_format"] == "OpenVINO IR 11"
    assert told["network_producer"].startswith("OpenVINO 20")
    assert told["network_runs_on"].startswith("openvino alone, in float")


def test_an_openvino_graph_for_onnx_runtime_alone_is_refused(tmp_path: Path) -> None:
    file = as_openvino(network(tmp_path / "model.onnx", anomalib=True))
    with pytest.raises(ConfigError, match="which OpenVINO alone runs; add openvino"):
        loaded(file, backends=("onnxruntime",))


def unknown_end(path: Path) -> Path:
    """A clamp behind a root, which is no normalisation of anomalib's."""
    root = helper.make_node("Sqrt", ["raw"], ["root"])
    clip = helper.make_node("Clip", ["root", "low", "high"], ["value"])
    return as_openvino(network(path, extra=(root, clip)))


def quantized(path: Path) -> Path:
    image = op.parameter([1, 3, SIZE, SIZE], np.float32, "input")
    rounded = op.fake_quantize(image, *map(np.float32, (0, 1, 0, 1)), 256)
    model = ov.Model([op.result(op.reduce_max(rounded, np.array([1]), keep_dims=True))], [image], "quantized")
    ov.save_model(model, path.with_suffix(".xml"), compress_to_fp16=False)
    return path.with_suffix(".xml")


def without_weights(path: Path) -> Path:
    file = as_openvino(network(path, anomalib=True))
    file.with_suffix(".bin").unlink()
    return file


def cut_off(path: Path) -> Path:
    file = as_openvino(network(path, anomalib=True))
    weights = file.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:100])
    return file


def random(path: Path) -> Path:
    file = as_openvino(network(path, anomalib=True))
    file.write_text(file.read_text().replace('type="Abs"', 'type="RandomUniform"'))
    return file


def damaged(path: Path) -> Path:
    file = as_openvino(network(path, anomalib=True))
    file.write_text(file.read_text()[:-200])
    return file


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (unknown_end, "not in anomalib's normalisation as it is known here"),
        (quantized, "is quantized already.*export it without compression"),
        (without_weights, r"model\.bin: cannot be read.*two files, \.xml and \.bin"),
        (cut_off, r"model\.bin ends before what model\.xml names: copy both"),
        (random, "'RandomUniform', which is not allowed: it is random.*boxes refuse such graphs"),
        (damaged, "is not complete XML: copy both"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, make: object, message: str) -> None:
    file = make(tmp_path / "model.onnx")  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=message):
        loaded(file)


def test_an_output_is_chosen_by_name(tmp_path: Path) -> None:
    file = as_openvino(network(tmp_path / "model.onnx", anomalib=True))
    with pytest.raises(CheckpointError, match="pred_mask is boolean, a decision and no score"):
        loaded(file, "pred_mask")
    with pytest.raises(CheckpointError, match=r"no output heat; it has: .*anomaly_map f32"):
        loaded(file, "heat")
