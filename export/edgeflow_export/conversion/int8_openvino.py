"""An anomaly graph to INT8 on OpenVINO: calibrated once, then as much of it taken back to float as needed.

The extractor sees one view at a time, so that calibration holds the activations of one image and not of a
whole part; the flow is calibrated on the features that the quantized extractor gives it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterable, Sequence

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.advanced_parameters import OverflowFix
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from openvino import opset13 as op

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import IrParts, cut
from edgeflow_export.conversion.int8 import CONVOLUTIONS, NNCF_LOGGERS, quiet
from edgeflow_export.data.dataset import Images

__all__ = ["float_again", "join", "quantize_ir"]


def quantize_ir(model: ov.Model, parts: Iterable[Images]) -> ov.Model:
    """INT8 form of an IR by NNCF; everything but convolutions stays in float.

    Element-wise arithmetic of the flow in INT8 costs a factor of 10 in accuracy and saves no time.

    Args:
        model: of no use afterwards.
    """
    samples = list(parts)
    for place, convolution in enumerate(_convolutions(model)):
        convolution.set_friendly_name(_place_name(place))
    halves = cut(model.clone())
    if halves is None or not _takes_single_views(halves.extractor):
        return _quantized(model, samples)
    views = [images[view : view + 1] for images in samples for view in range(len(images))]
    extractor = _quantized(halves.extractor, views)
    request = openvino_core().compile_model(extractor, "CPU", _EXACT).create_infer_request()
    given = [request.infer({0: view})[0].copy() for view in views]
    count = len(samples[0])
    features = [np.concatenate(given[at : at + count]) for at in range(0, len(given), count)]
    del request
    return join(IrParts(extractor=extractor, flow=_quantized(halves.flow, features)))


def float_again(quantized: ov.Model, original: ov.Model, places: Collection[int]) -> None:
    """Take convolutions of a quantized graph back to float, with the weights and bias that they had.

    Args:
        quantized: by :func:`quantize_ir`.
        original: the graph before, whose convolutions the places count.

    Raises:
        ValueError: the quantized graph lacks one of them: it would stay in INT8 unnoticed.
    """
    before = {_place_name(place): node for place, node in enumerate(_convolutions(original))}
    wanted = {_place_name(place) for place in places}
    convolutions = {node.get_friendly_name(): node for node in _convolutions(quantized)}
    if not wanted <= convolutions.keys():
        raise ValueError(f"not in the quantized graph: {', '.join(sorted(wanted - convolutions.keys()))}")
    for name, convolution in convolutions.items():
        if name in wanted:
            source = convolution.input_value(0).get_node()
            if source.get_type_name() == "FakeQuantize":
                convolution.input(0).replace_source_output(source.input_value(0))
            weights = op.constant(_value(before[name].input_value(1)))
            convolution.input(1).replace_source_output(weights.output(0))
            _restore_bias(convolution, before[name])
    quantized.validate_nodes_and_infer_types()


def join(parts: IrParts) -> ov.Model:
    """The whole graph, its extractor for all views at once; the parts are of no use afterwards."""
    extractor, flow = parts.extractor, parts.flow
    (parameter,) = flow.get_parameters()
    shape = extractor.input(0).shape
    extractor.reshape([parameter.shape[0], *shape[1:]])
    source = extractor.get_results()[0].input_value(0)
    for consumer in list(parameter.output(0).get_target_inputs()):
        consumer.replace_source_output(source)
    joined = ov.Model(flow.get_results(), extractor.get_parameters())
    joined.validate_nodes_and_infer_types()
    return joined


_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def _takes_single_views(extractor: ov.Model) -> bool:
    """Make an extractor one for single views.

    False where its shapes are fixed for all views, or every view has constants of its own, such as the
    statistics of its positions.
    """
    try:
        extractor.reshape([1, *extractor.input(0).shape[1:]])
        openvino_core().compile_model(extractor, "CPU", _EXACT)
    except RuntimeError:
        return False
    return bool(extractor.output(0).shape[0] == 1)


def _quantized(model: ov.Model, samples: Sequence[object]) -> ov.Model:
    others = sorted({node.get_type_name() for node in model.get_ordered_ops()} - CONVOLUTIONS)
    # NNCF draws its progress bars on standard output, which belongs to the command's own result.
    with quiet(*NNCF_LOGGERS), contextlib.redirect_stdout(sys.stderr):
        return nncf.quantize(
            model,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=others, validate=False),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE,
                # The whole range of the calibration, not the mean of the images' ranges: what is far out is
                # what matters here.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            ),
        )


def _convolutions(model: ov.Model) -> list[ov.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() in CONVOLUTIONS]


def _place_name(place: int) -> str:
    """A name that lasts: where conversion folds a normalisation, it names the convolution by a counter."""
    return f"convolution {place}"


def _restore_bias(convolution: ov.Node, before: ov.Node) -> None:
    """NNCF corrects biases for what quantization shifts, and adds some for it."""
    corrected, original = _bias(convolution), _bias(before)
    if corrected is None:
        return
    shape = list(corrected.get_source_output().shape)
    value = np.zeros(shape, np.float32)
    if original is not None:
        value = _value(original.get_source_output()).reshape(shape)
    corrected.replace_source_output(op.constant(value).output(0))


def _bias(convolution: ov.Node) -> ov.Input | None:
    """The input of the addition behind a convolution that holds one constant per channel."""
    targets = list(convolution.output(0).get_target_inputs())
    adds = [target.get_node() for target in targets if target.get_node().get_type_name() == "Add"]
    channels = convolution.output(0).shape[1]
    for add in adds if len(targets) == 1 else []:
        for port in add.inputs():
            source = port.get_source_output()
            constant = source.get_node().get_type_name() == "Constant"
            if constant and list(source.shape) == [1, channels, 1, 1]:
                return port
    return None


def _value(output: ov.Output) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The array that an output of constants holds."""
    node = output.get_node()
    if node.get_type_name() == "Constant":
        return np.array(node.data, np.float32)
    request = (
        openvino_core().compile_model(ov.Model([op.result(output)], []), "CPU", _EXACT).create_infer_request()
    )
    return np.array(request.infer()[0], np.float32)
