"""Small networks as other programs export them: a map of brightness edges, in every form that is met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

from draw_parts import SIZE

__all__ = ["MEAN", "STD", "as_openvino", "network"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
THRESHOLD, LOWEST, HIGHEST = 1.5, 0.25, 2.75

Axis = int | str


def network(
    path: Path,
    *,
    shape: tuple[Axis, ...] = ("batch", 3, SIZE, SIZE),
    dtype: int = TensorProto.FLOAT,
    output: str = "map",
    anomalib: bool = False,
    opset: int = 18,
    extra: tuple[onnx.NodeProto, ...] = (),
    convolutions: bool = True,
    smoothed: bool = False,
) -> Path:
    """Write a network: bright squares on grey give a high map.

    Args:
        shape: of the input; a name is a free axis. With the views' number in front it takes whole parts.
        dtype: of the input and of all that is computed.
        output: map, score (each image's highest pixel) or part (the part's).
        anomalib: end as anomalib's graphs do: normalised, clamped, chosen by constants; four outputs.
        convolutions: without them, the map is the brightness of the image itself.
        smoothed: the map goes through a Gaussian filter, and the score is from before it, as PatchCore's;
            at the end of anomalib's graphs, nothing is chosen by constants then.
        extra: nodes in front of the output ``value``, which they make of ``raw``.
    """
    rng = np.random.default_rng(5)
    real = TensorProto.FLOAT if dtype == TensorProto.UINT8 else dtype
    number = np.float16 if real == TensorProto.FLOAT16 else np.float32
    first = rng.normal(0, 0.3, (8, 3, 3, 3)).astype(number)
    second = np.abs(rng.normal(0, 0.2, (1, 8, 3, 3))).astype(number)
    weights = {"first": first, "second": second, "low": number(0), "high": number(1)}
    nodes, image = [], "input"
    if len(shape) == 5:
        sides = (SIZE, SIZE, 3) if shape[-1] == 3 else (3, SIZE, SIZE)
        weights["flat"] = np.array([-1, *sides])
        nodes.append(helper.make_node("Reshape", [image, "flat"], ["images"]))
        image = "images"
    if dtype == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", [image], ["real"], to=TensorProto.FLOAT))
        weights["scale"] = np.float32(1 / 64)
        nodes.append(helper.make_node("Mul", ["real", "scale"], ["scaled"]))
        image = "scaled"
    if shape[-1] == 3:
        nodes.append(helper.make_node("Transpose", [image], ["planes"], perm=[0, 3, 1, 2]))
        image = "planes"
    if not convolutions:
        weights["colours"] = np.array([1])
        nodes.append(helper.make_node("ReduceMean", [image, "colours"], ["raw"], keepdims=1))
        image = ""
    layers = [
        helper.make_node("Conv", [image, "first"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["raw"], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    nodes += [*(layers if convolutions else ()), *extra]
    value = "value" if extra else "raw"
    if smoothed:
        bell = np.exp(-(np.linspace(-2, 2, 5) ** 2))
        kernel = np.outer(bell, bell) / bell.sum() ** 2
        weights["bell"] = kernel[np.newaxis, np.newaxis].astype(number)
        nodes.append(helper.make_node("Conv", [value, "bell"], ["smooth"], pads=[2, 2, 2, 2]))
        value = "smooth"
    if anomalib:
        score = "raw" if smoothed else value
        outputs = _anomalib(nodes, weights, value, number, score=score, choices=not smoothed)
    else:
        outputs = {output: real}
        axes = {"map": None, "score": [1, 2, 3], "part": [0, 1, 2, 3]}[output]
        if axes is None:
            nodes.append(helper.make_node("Identity", [value], [output]))
        else:
            weights["axes"] = np.array(axes)
            nodes.append(
                helper.make_node("ReduceMax", [value, "axes"], [output], keepdims=int(output == "part"))
            )
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("input", dtype, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
        producer_name="tests",
        ir_version=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def as_openvino(file: Path, *, half: bool = False) -> Path:
    """Write a network as anomalib's OpenVINO export does, and remove the ONNX file.

    Args:
        half: weights in half precision.
    """
    target = file.with_suffix(".xml")
    ov.save_model(ov.convert_model(file), target, compress_to_fp16=half)
    file.unlink()
    return target


def _anomalib(
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    raw: str,
    number: type,
    *,
    score: str,
    choices: bool,
) -> dict[str, int]:
    """The end of a graph of anomalib 2.7, node for node as its exporter writes it."""
    weights |= {
        "threshold": number(THRESHOLD),
        "range": number(HIGHEST - LOWEST),
        "half": number(0.5),
        "no_range": np.bool_(False),
        "has_range": np.bool_(True),
        "space": np.array([1, 2, 3]),
    }
    make = helper.make_node
    nodes.append(make("ReduceMax", [score, "space"], ["amax"], keepdims=0))
    for name, source in (("pred_score", "amax"), ("anomaly_map", raw)):
        # Where torch's exporter has removed the choices that constants make, nothing is behind the clamp.
        clamped = f"{name}.clamp" if choices else name
        nodes += [
            make("Sub", [source, "threshold"], [f"{name}.sub"]),
            make("Div", [f"{name}.sub", "range"], [f"{name}.div"]),
            make("Add", [f"{name}.div", "half"], [f"{name}.add"]),
            make("Clip", [f"{name}.add", "low", "high"], [clamped]),
        ]
        if choices:
            nodes += [
                make("Greater", [source, "threshold"], [f"{name}.gt"]),
                make("Less", [source, "threshold"], [f"{name}.lt"]),
                make("Where", [f"{name}.lt", "low", "half"], [f"{name}.below"]),
                make("Where", [f"{name}.gt", "high", f"{name}.below"], [f"{name}.degenerate"]),
                make("Where", ["no_range", f"{name}.degenerate", f"{name}.clamp"], [f"{name}.known"]),
                make("Where", ["has_range", f"{name}.known", source], [name]),
            ]
    nodes += [
        make("Greater", ["pred_score", "half"], ["pred_label"]),
        make("Greater", ["anomaly_map", "half"], ["pred_mask"]),
    ]
    real, decision = TensorProto.FLOAT, TensorProto.BOOL
    return {"pred_score": real, "pred_label": decision, "anomaly_map": real, "pred_mask": decision}
