"""Inspection of an OpenVINO IR graph before OpenVINO reads it.

The file is XML beside a block of weights. So: plain ASCII XML without document type (and so without
entities), listed operations of OpenVINO's own sets only, no graph inside an operation, constants inside
the weights that the bundle carries, bounded counts.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from edgeflow.errors import IntegrityError

__all__ = ["IR_OPERATIONS", "inspect_ir"]

MAX_OPERATIONS = 10_000
"""Without constants."""
MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 64

# No control flow, state, randomness, text or data-dependent shape.
IR_OPERATIONS = frozenset(
    """
    Abs AdaptiveAvgPool AdaptiveMaxPool Add Atan AvgPool BatchNormInference Broadcast Ceiling Clamp Concat
    Const Convert ConvertLike Convolution ConvolutionBackpropData Cos CumSum DepthToSpace Divide Einsum Elu
    Equal Erf Exp FakeConvert FakeQuantize Floor FloorMod Gather GatherElements GatherND Gelu Greater
    GreaterEqual GridSample GroupConvolution GroupConvolutionBackpropData GroupNormalization HSigmoid HSwish
    HardSigmoid Interpolate Less LessEqual Log LogSoftmax LogicalAnd LogicalNot LogicalOr LogicalXor MVN
    MatMul MaxPool Maximum Minimum Mish Mod Multiply Negative NormalizeL2 NotEqual PReLU Pad Parameter Power
    RMS Range ReLU ReduceL1 ReduceL2 ReduceLogicalAnd ReduceLogicalOr ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum Reshape Result Roll Round ScaledDotProductAttention ScatterElementsUpdate
    ScatterNDUpdate ScatterUpdate Select Selu ShapeOf Sigmoid Sign Sin Slice SoftMax SoftPlus SoftSign
    Softmax SpaceToDepth Split Sqrt SquaredDifference Squeeze StridedSlice Subtract Swish Tan Tanh Tile TopK
    Transpose Unsqueeze VariadicSplit
    """.split()  # noqa: SIM905 - a list literal would be one name a line
)

_OWN_SETS = re.compile(r"opset[0-9]{1,2}")
_INNER_GRAPHS = {"body", "then_body", "else_body"}


def inspect_ir(model: bytes, weights: bytes, *, what: str) -> None:
    """Refuse an IR graph that does more than compute on the weights that come with it.

    Raises:
        IntegrityError: with the first thing found.
    """
    try:
        _Walk(len(weights)).parse(model)
    except (_RefusedError, expat.ExpatError) as found:
        raise IntegrityError(
            f"{what}: {found}; no graph of edgeflow is like that: do not use this bundle, or "
            "change the model and export it again"
        ) from found


_CONTROL_FLOW = frozenset({"If", "Loop", "TensorIterator"})
_RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomPoisson", "RandomUniform"})


def _why(operation: str) -> str:
    """The reason against an operation; empty where it is just not known to be safe."""
    if operation in _CONTROL_FLOW:
        return ": it is a loop or branch, whose time depends on the image"
    if operation in _RANDOM:
        return ": it is random, so that one part would have many scores"
    return ""


class _RefusedError(Exception):
    """The reason for which a model is refused."""


class _Walk:
    """One pass over the XML; counts what it meets."""

    def __init__(self, weights_bytes: int) -> None:
        self._weights_bytes = weights_bytes
        self._depth = self._elements = self._operations = 0

    def parse(self, model: bytes) -> None:
        if not model.isascii() or not model.startswith((b"<?xml", b"<net")):
            raise _RefusedError("is not plain XML as OpenVINO writes it")
        parser = expat.ParserCreate("utf-8")  # whatever encoding the file claims
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.Parse(model, True)

    def _doctype(self, *_: object) -> None:
        raise _RefusedError("has a document type, by which XML can name files and grow without end")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._elements == 1 and name != "net":
            raise _RefusedError("is not an OpenVINO graph")
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise _RefusedError(f"has more than {MAX_ELEMENTS} elements, or {MAX_DEPTH} in one another")
        if name in _INNER_GRAPHS:
            raise _RefusedError("has a graph inside an operation (a loop or branch)")
        if name == "layer":
            self._layer(attributes.get("type", ""), attributes.get("version", ""))
        elif name == "data":
            self._constant(attributes)

    def _end(self, _name: str) -> None:
        self._depth -= 1

    def _layer(self, kind: str, version: str) -> None:
        if kind not in IR_OPERATIONS:
            raise _RefusedError(f"uses the operation '{kind[:64]}', which is not allowed{_why(kind)}")
        if not _OWN_SETS.fullmatch(version):
            raise _RefusedError(f"uses operations of '{version[:64]}', not OpenVINO's own")
        self._operations += kind != "Const"
        if self._operations > MAX_OPERATIONS:
            raise _RefusedError(f"has more than {MAX_OPERATIONS} operations")

    def _constant(self, attributes: dict[str, str]) -> None:
        """``offset`` and ``size`` of a constant, in bytes of the weights."""
        if "offset" not in attributes:
            return
        try:
            offset, size = int(attributes["offset"]), int(attributes.get("size", ""))
        except ValueError:
            offset = size = -1
        if offset < 0 or size < 0 or offset + size > self._weights_bytes:
            raise _RefusedError("names weights that the bundle does not carry")
