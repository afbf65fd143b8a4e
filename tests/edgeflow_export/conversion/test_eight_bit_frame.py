"""The frame of the stem in 8 bits: the numbers of an INT8 graph stay, to the last bit."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
from openvino import opset14 as op

from edgeflow.backends.openvino.core import openvino_core
from edgeflow_export.conversion.eight_bit_frame import frame_in_eight_bits

COLOUR = np.array([123.675, 116.28, 103.53], np.float32)
SIDE = 16


def graph(*, high: float | None = 255.0, seen_twice: bool = False) -> ov.Model:
    """uint8 (2, 16, 16, 3), framed above and at the left, to a convolution's output.

    Args:
        high: end of the rounded range; None for a float graph.
        seen_twice: something else reads the images too.
    """
    images = op.parameter([2, SIDE, SIDE, 3], np.uint8, "images")
    whole = widened = op.convert(images, "f32")
    for axis in (1, 2):
        line = op.slice(whole, np.array([0]), np.array([1]), np.array([1]), np.array([axis]))
        frame = op.add(op.multiply(line, np.float32(0)), op.constant(COLOUR))
        whole = op.concat([frame, whole], axis)
    x = op.transpose(whole, np.array([0, 3, 1, 2]))
    if high is not None:
        x = op.fake_quantize(x, np.float32(0), np.float32(high), np.float32(0), np.float32(high), 256)
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32)
    results = [op.result(op.convolution(x, op.constant(weights), [2, 2], [0, 0], [0, 0], [1, 1]))]
    if seen_twice:
        results.append(op.result(op.reduce_mean(widened, np.array([1, 2, 3]))))
    return ov.Model(results, [images])


def run(model: ov.Model) -> np.ndarray:
    images = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled.create_infer_request().infer({0: images})[0])


def test_images_are_widened_behind_the_frame_and_nothing_changes() -> None:
    before, after = graph(), graph()
    assert frame_in_eight_bits(after)
    joined = [node for node in after.get_ordered_ops() if node.get_type_name() == "Concat"]
    assert {node.output(0).get_element_type() for node in joined} == {ov.Type.u8}
    assert run(after) == pytest.approx(run(before), abs=1e-4)


@pytest.mark.parametrize(
    "given",
    [graph(high=None), graph(high=254.0), graph(seen_twice=True)],
    ids=["float", "another range", "twice"],
)
def test_other_graphs_stay_as_they_are(given: ov.Model) -> None:
    expected = run(given.clone())
    assert not frame_in_eight_bits(given)
    assert np.array_equal(run(given), expected)
