"""Inspection of an ONNX graph, as encoded, before ONNX Runtime reads it.

An ONNX file can name other files and memory addresses as its data, loop for ever, and declare what it
does not carry. So: no external data, no subgraphs or functions, listed operators only, bounded counts.
This walks the protobuf encoding itself rather than parse it with ``onnx``: nothing is built, so a file
of a million empty nodes costs no memory, and the box needs no further library. It is stricter than a
parser where parsers may differ, and a test compares it with ``onnx`` on altered models.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgeflow.errors import IntegrityError

__all__ = ["ONNX_OPERATORS", "inspect_onnx"]

MAX_OPERATORS = 10_000
MAX_FIELDS = 500_000
"""MVANet has 36,000; what is walked is bounded in time by this."""

# No control flow, randomness, text, sequences or data-dependent shape.
ONNX_OPERATORS = frozenset(
    """
    Abs Add And ArgMax ArgMin Atan Attention AveragePool BatchNormalization Cast CastLike Ceil Clip Concat
    Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div
    DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu
    Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
    HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
    LpNormalization MatMul MatMulInteger Max MaxPool Mean Min Mish Mod Mul Neg Not Or PRelu Pad Pow
    QLinearConv QLinearMatMul QuantizeLinear RMSNormalization Range Reciprocal ReduceL1 ReduceL2
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize
    Round ScatterElements ScatterND Selu Shape Sigmoid Sign Sin Size Slice Softmax Softplus Softsign
    SpaceToDepth Split Sqrt Squeeze Sub Sum Swish Tan Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor
    """.split()  # noqa: SIM905 - a list literal would be one name a line
)

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of onnx.proto.
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25  # ModelProto
_NODE, _INITIALIZER, _SPARSE_INITIALIZER = 1, 5, 15  # GraphProto
_OPERATOR, _ATTRIBUTE, _DOMAIN = 4, 5, 7  # NodeProto
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE, _SPARSES = 5, 6, 10, 11, 22, 23  # AttributeProto
_DIMS, _EXTERNAL_DATA, _DATA_LOCATION = 1, 13, 14  # TensorProto
_TENSOR_DATA = {4, 5, 6, 7, 9, 10, 11}


def inspect_onnx(model: bytes, *, what: str) -> None:
    """Refuse an ONNX model that does more than compute on the tensors that it carries.

    Raises:
        IntegrityError: with the first thing found.
    """
    try:
        _Walk().file(model)
    except _RefusedError as found:
        raise IntegrityError(
            f"{what}: {found}; no graph of edgeflow is like that: do not use this bundle, or "
            "change the model and export it again"
        ) from found


class _RefusedError(Exception):
    """The reason for which a model is refused."""


class _Walk:
    """One pass over a model; counts what it meets."""

    def __init__(self) -> None:
        self.operators = 0
        self.fields_met = 0

    def file(self, model: bytes) -> None:
        if model[4:8] == b"ORTM":  # ONNX Runtime would take it for its own format, which is not checked here
            raise _RefusedError("is in ONNX Runtime's own format")
        self.model(memoryview(model))

    def model(self, data: memoryview) -> None:
        graphs = 0
        for number, value in self.fields(data):
            if number in (_FUNCTIONS, _TRAINING):
                raise _RefusedError("carries functions or training steps")
            if number == _GRAPH and isinstance(value, memoryview):
                graphs += 1
                self.graph(value)
        if not graphs:
            raise _RefusedError("is not an ONNX model")

    def graph(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number == _SPARSE_INITIALIZER:
                raise _RefusedError("has sparse weights")
            if isinstance(value, memoryview):
                if number == _NODE:
                    self.node(value)
                elif number == _INITIALIZER:
                    self.tensor(value)

    def node(self, data: memoryview) -> None:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            raise _RefusedError(f"has more than {MAX_OPERATORS} operators")
        known = False
        for number, value in self.fields(data):
            if not isinstance(value, memoryview):
                continue
            if number == _OPERATOR:
                name = bytes(value[:64]).decode("ascii", "replace")
                if name not in ONNX_OPERATORS:
                    raise _RefusedError(f"uses the operator '{name}', which is not allowed")
                known = True
            elif number == _DOMAIN and bytes(value) not in (b"", b"ai.onnx"):
                raise _RefusedError(
                    f"uses operators of '{bytes(value[:64]).decode('ascii', 'replace')}', not ONNX's own"
                )
            elif number == _ATTRIBUTE:
                self.attribute(value)
        if not known:
            raise _RefusedError("has a node without operator")

    def attribute(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number in (_SUBGRAPH, _SUBGRAPHS):
                raise _RefusedError("has a graph inside an operator (a loop or branch)")
            if number in (_SPARSE, _SPARSES):
                raise _RefusedError("has sparse weights")
            if number in (_TENSOR, _TENSORS) and isinstance(value, memoryview):
                self.tensor(value)

    def tensor(self, data: memoryview) -> None:
        elements, carried = 1, 0
        for number, value in self.fields(data):
            # An enumeration's value is cut to 32 bits by parsers, so only 0 is certain to be 0.
            if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
                raise _RefusedError("names data outside the bundle")
            if number == _DIMS:
                for size in self.packed(value) if isinstance(value, memoryview) else (value,):
                    elements = min(elements * size, 2**62)  # a file can hold millions of dimensions
            elif number in _TENSOR_DATA:
                carried += len(value) if isinstance(value, memoryview) else 8
        if elements > 2 * carried:  # the smallest elements are half a byte
            raise _RefusedError(f"declares a constant of {elements:.3g} elements and carries {carried} bytes")

    def fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Field numbers and values of one message: numbers as int, everything with a length as bytes."""
        position, end = 0, len(data)
        while position < end:
            self.fields_met += 1
            if self.fields_met > MAX_FIELDS:
                raise _RefusedError(f"has more than {MAX_FIELDS} fields")
            key, position = _varint(data, position)
            number, wire = key >> 3, key & 7
            if not 0 < number < 2**29:  # beyond it, parsers would see another number
                raise _RefusedError("is not an ONNX model")
            if wire == _VARINT:
                value, position = _varint(data, position)
                yield number, value
                continue
            if wire == _BYTES:
                length, position = _varint(data, position)
            elif wire in (_FIXED64, _FIXED32):
                length = 8 if wire == _FIXED64 else 4
            else:
                raise _RefusedError("is not an ONNX model")
            if length > end - position:
                raise _RefusedError("is not an ONNX model, or cut off")
            yield number, data[position : position + length]
            position += length

    def packed(self, data: memoryview) -> Iterator[int]:
        """Numbers one after the other."""
        position = 0
        while position < len(data):
            self.fields_met += 1
            if self.fields_met > MAX_FIELDS:
                raise _RefusedError(f"has more than {MAX_FIELDS} fields")
            value, position = _varint(data, position)
            yield value


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of up to 64 bits and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise _RefusedError("is not an ONNX model, or cut off")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
