"""Networks from elsewhere in every form that is met: the part's graph gives what the file gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from draw_parts import SIZE
from edgeflow.errors import CheckpointError
from edgeflow_export.imported.imported_model import KIND, ImportedModel, load_imported
from edgeflow_export.recipe import DataSpec, ImageSpec, ImportRecipe, NetworkSpec
from tests.support.tiny_network import MEAN, STD, network

VIEWS = ("C1", "C2", "C3")
NCHW, NHWC = (3, SIZE, SIZE), (SIZE, SIZE, 3)


def loaded(file: Path, size: int | None = None, **options: object) -> ImportedModel:
    spec = NetworkSpec.model_validate({"file": file, "value_range": (0.0, 1.0), **options}, strict=False)
    image = None if size is None else ImageSpec(height=size, width=size)
    recipe = ImportRecipe(name="disc", data=DataSpec(root=file.parent), network=spec, image=image)
    return load_imported(recipe).with_views(VIEWS)


def images(count: int = 3) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def by_graph(model: ImportedModel, parts: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(model.graph().SerializeToString())
    (maps,) = session.run(["maps"], {"images": parts})
    return np.asarray(maps)


@pytest.mark.parametrize(
    ("form", "options", "wiring"),
    [
        ({}, {"mean": MEAN, "std": STD}, "batch"),
        ({}, {"mean": MEAN, "std": STD, "colour": "bgr"}, "batch"),
        ({}, {"value_range": (0.0, 255.0)}, "batch"),
        ({"shape": ("n", *NHWC)}, {}, "batch"),
        ({"shape": (1, *NCHW)}, {}, "batch"),
        ({"shape": (3, *NCHW)}, {}, "part"),
        ({"shape": (1, 3, *NCHW)}, {}, "part"),
        ({"shape": (1, "views", *NHWC)}, {}, "part"),
        ({"output": "score"}, {}, "batch"),
        ({"shape": (3, *NCHW), "output": "score"}, {}, "part"),
        ({"shape": (3, *NCHW), "output": "part"}, {}, "part"),
        ({"opset": 11}, {}, "batch"),
    ],
    ids=str,
)
def test_the_graph_of_a_part_gives_what_the_file_gives(
    tmp_path: Path, form: dict[str, object], options: dict[str, object], wiring: str
) -> None:
    model = loaded(network(tmp_path / "model.onnx", **form), **options)  # type: ignore[arg-type]
    assert model.form == wiring
    expected = model.maps(images())
    side = 1 if form.get("output") else SIZE // 4
    assert expected.shape == (3, side, side)
    assert np.ptp(expected) > 0 or form.get("output") == "part"
    np.testing.assert_allclose(by_graph(model, images()), expected, rtol=1e-4, atol=1e-5)


def test_normalisation_is_the_one_that_was_named(tmp_path: Path) -> None:
    file = network(tmp_path / "model.onnx", shape=(1, *NCHW))
    parts = images()
    x = ((parts / 255.0 - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)
    session = ort.InferenceSession(file)
    own = np.concatenate([session.run(None, {"input": x[view : view + 1]})[0] for view in range(3)])[:, 0]
    np.testing.assert_allclose(by_graph(loaded(file, mean=MEAN, std=STD), parts), own, rtol=1e-4, atol=1e-5)
    assert not np.allclose(by_graph(loaded(file), parts), own, rtol=0.1)


def test_bytes_and_half_precision_are_read(tmp_path: Path) -> None:
    whole = network(tmp_path / "bytes.onnx", shape=("n", *NHWC), dtype=TensorProto.UINT8)
    recipe = ImportRecipe(name="disc", data=DataSpec(root=tmp_path), network=NetworkSpec(file=whole))
    model = load_imported(recipe).with_views(VIEWS)
    np.testing.assert_allclose(by_graph(model, images()), model.maps(images()), rtol=1e-4)
    half = loaded(network(tmp_path / "half.onnx", dtype=TensorProto.FLOAT16))
    np.testing.assert_allclose(by_graph(half, images()), half.maps(images()), rtol=5e-3)
    with pytest.raises(CheckpointError, match="uint8, which is the image itself"):
        loaded(whole, mean=MEAN)


def shares(batch: int, rows: int) -> tuple[onnx.NodeProto, ...]:
    """Nodes with the batch in their shapes, as traced exports have it: each value's share of its row."""
    side, make = SIZE // 4, helper.make_node
    shapes = {"rows": [rows, batch * side * side // rows], "form": [batch, 1, side, side]}
    constants = [
        make("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))
        for name, value in shapes.items()
    ]
    return (
        *constants,
        make("Reshape", ["raw", "rows"], ["flat"]),
        make("Softmax", ["flat"], ["shares"]),
        make("Reshape", ["shares", "form"], ["value"]),
    )


def require_same(model: ImportedModel) -> None:
    np.testing.assert_allclose(by_graph(model, images()), model.maps(images()), rtol=1e-4, atol=1e-5)


def test_a_batch_that_stands_in_constant_shapes_is_widened(tmp_path: Path) -> None:
    model = loaded(network(tmp_path / "model.onnx", shape=(1, *NCHW), extra=shares(1, 1)))
    assert model.form == "batch"
    require_same(model)


def test_an_anomalib_network_of_two_images_takes_views_one_by_one(tmp_path: Path) -> None:
    """So anomalib 2.7 exports PatchCore; another network of two images could as well be one of two views."""
    file = network(tmp_path / "model.onnx", shape=(2, *NCHW), extra=shares(2, 2))
    with pytest.raises(CheckpointError, match="takes 2 images at once"):
        loaded(file)
    model = loaded(file, origin="anomalib")
    assert model.form == "batch"
    require_same(model)


def halves(batch: int) -> tuple[onnx.NodeProto, ...]:
    """Nodes that take the first image and the last of a batch, as PatchCore's search in chunks does."""
    make = helper.make_node
    places = {"zero": [0], "one": [1], "before": [batch - 1], "end": [batch]}
    constants = [
        make("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))
        for name, value in places.items()
    ]
    return (
        *constants,
        make("Slice", ["raw", "zero", "one", "zero"], ["head"]),
        make("Slice", ["raw", "before", "end", "zero"], ["tail"]),
        make("Concat", ["head", "tail"] if batch == 2 else ["head"], ["value"], axis=0),
    )


@pytest.mark.parametrize(("batch", "copies"), [(1, 3), (2, 2)])
def test_a_network_for_one_batch_alone_stands_in_the_graph_several_times(
    tmp_path: Path, batch: int, copies: int
) -> None:
    file = network(tmp_path / "model.onnx", shape=(batch, *NCHW), extra=halves(batch))
    model = loaded(file, origin="anomalib")
    assert model.form == "copies"
    made = model.graph()
    assert sum(node.op_type == "Conv" for node in made.graph.node) == 2 * copies
    assert sum(weights.name.endswith("first") for weights in made.graph.initializer) == 1
    require_same(model)


def test_a_free_size_is_fixed_where_it_is_named(tmp_path: Path) -> None:
    file = network(tmp_path / "model.onnx", shape=("batch", 3, "height", "width"))
    assert loaded(file, size=SIZE).graph().graph.input[0].type.tensor_type.shape.dim[1].dim_value == SIZE
    with pytest.raises(CheckpointError, match=r"height, width\) leaves the image's size open"):
        loaded(file)
    with pytest.raises(CheckpointError, match="for another size than the one named"):
        loaded(network(tmp_path / "fixed.onnx"), size=2 * SIZE)


def test_the_origin_goes_into_the_provenance(tmp_path: Path) -> None:
    told = loaded(
        network(tmp_path / "model.onnx", anomalib=True), origin="anomalib", value_range=(0, 1)
    ).provenance
    assert told[KIND] == "anomalib"
    assert told["network_opset"] == "18"
    assert told["network_producer"] == "tests"
    assert told["network_file"].startswith("model.onnx, sha256 ")
    assert told["network_output"] == ("anomaly_map before Where, Where, Clip, Add, Div, Sub, map of 16x16")


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ({"shape": (4, *NCHW)}, {}, "takes 4 images at once, the parts have 3 views"),
        ({"shape": (1, 2, *NCHW)}, {}, "takes 2 images at once"),
        ({"shape": ("n", 1, SIZE, SIZE)}, {}, "no tensor of colour images"),
        ({"shape": ("n", "c", SIZE, SIZE)}, {}, "no tensor of colour images"),
        ({"anomalib": True}, {}, "has 4 outputs, and none is named.*anomaly_map FLOAT"),
        ({"anomalib": True}, {"output": "anomaly"}, "no output anomaly; it has: pred_score"),
        ({"anomalib": True}, {"output": "pred_mask"}, "pred_mask is BOOL, a decision"),
    ],
    ids=str,
)
def test_what_no_part_can_be_given_to_is_refused(
    tmp_path: Path, form: dict[str, object], options: dict[str, object], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        loaded(network(tmp_path / "model.onnx", **form), **options)  # type: ignore[arg-type]


def test_unnamed_preprocessing_is_refused_and_not_guessed(tmp_path: Path) -> None:
    file = network(tmp_path / "model.onnx")
    recipe = ImportRecipe(name="disc", data=DataSpec(root=tmp_path), network=NetworkSpec(file=file))
    with pytest.raises(CheckpointError, match=r"nothing says how pixels become input.*--value-range 0,1"):
        load_imported(recipe)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [helper.make_node("RandomNormalLike", ["raw"], ["value"], name="dice")],
            "'RandomNormalLike' .node 'dice'.*random",
        ),
        (
            [helper.make_node("Fused", ["raw"], ["value"], domain="com.microsoft")],
            "'com.microsoft'.*not ONNX",
        ),
        (
            [
                helper.make_node("NonZero", ["raw"], ["places"], name="where"),
                helper.make_node("Cast", ["places"], ["value"], to=TensorProto.FLOAT),
            ],
            "'NonZero'.*size of its result depends on the image",
        ),
    ],
    ids=["random", "custom", "data"],
)
def test_operators_that_no_box_runs_are_named(tmp_path: Path, nodes: list[object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        loaded(network(tmp_path / "model.onnx", extra=tuple(nodes)))  # type: ignore[arg-type]


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    twice = helper.make_node("Relu", ["raw"], ["a"])
    with pytest.raises(CheckpointError, match="not a valid ONNX graph"):
        loaded(network(tmp_path / "model.onnx", extra=(twice, helper.make_node("Relu", ["a"], ["value"]))))


def test_control_flow_is_refused(tmp_path: Path) -> None:
    """A branch that the image decides; one that a constant decides is folded away."""

    def branch(name: str) -> object:
        out = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node("Identity", ["raw"], [name])], name, [], [out])

    zero = helper.make_node("Constant", [], ["zero"], value_float=0.0)
    mean = helper.make_node("ReduceMean", ["raw"], ["mean"], keepdims=0)
    asked = helper.make_node("Greater", ["mean", "zero"], ["asked"])
    chosen = helper.make_node("If", ["asked"], ["value"], then_branch=branch("a"), else_branch=branch("b"))
    with pytest.raises(CheckpointError, match=r"operator 'If'.*loop or branch"):
        loaded(network(tmp_path / "model.onnx", extra=(zero, mean, asked, chosen)))
