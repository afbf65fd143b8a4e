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

__all__ = ["ONNX_OPERATORS", "inspect_onnx", "refused_in"]

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

# Why what is not in this list is not.
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_RANDOM = frozenset(
    {"Bernoulli", "Dropout", "Multinomial"}
    | {f"Random{kind}{like}" for kind in ("Normal", "Uniform") for like in ("", "Like")}
)
_DATA_DEPENDENT = frozenset({"Compress", "NonMaxSuppression", "NonZero", "RoiAlign", "Unique"})

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Field numbers of onnx.proto.
_GRAPH, _TRAINING, _FUNCTIONS = 7, 20, 25  # ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 1, 5, 11, 12, 15  # GraphProto
_NODE_NAME, _OPERATOR, _ATTRIBUTE, _DOMAIN = 3, 4, 5, 7  # NodeProto
_VALUE_NAME, _TYPE, _TENSOR_TYPE, _SHAPE, _AXIS, _AXIS_SIZE, _AXIS_NAME = (
    1,
    2,
    1,
    2,
    1,
    1,
    2,
)  # ValueInfoProto
_TENSOR, _SUBGRAPH, _TENSORS, _SUBGRAPHS, _SPARSE, _SPARSES = 5, 6, 10, 11, 22, 23  # AttributeProto
_DIMS, _EXTERNAL_DATA, _DATA_LOCATION = 1, 13, 14  # TensorProto
_TENSOR_DATA = {4, 5, 6, 7, 9, 10, 11}


def inspect_onnx(model: bytes, *, what: str) -> None:
    """Refuse an ONNX model that does more than compute on the tensors that it carries.

    Raises:
        IntegrityError: with the first thing found.
    """
    reason = refused_in(model)
    if reason is not None:
        raise IntegrityError(
            f"{what}: {reason}; no graph of edgeflow is like that: do not use this bundle, or "
            "change the model and export it again"
        )


def refused_in(model: bytes) -> str | None:
    """The first thing for which an ONNX model is refused, and the reason; None where nothing is."""
    try:
        _Walk().file(model)
    except _RefusedError as found:
        return str(found)
    return None


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
                elif number in (_INPUT, _OUTPUT):
                    self.axes(value, "input" if number == _INPUT else "output")

    def node(self, data: memoryview) -> None:
        self.operators += 1
        if self.operators > MAX_OPERATORS:
            raise _RefusedError(f"has more than {MAX_OPERATORS} operators")
        operators: set[str] = set()
        named = ""
        for number, value in self.fields(data):
            if not isinstance(value, memoryview):
                continue
            if number == _NODE_NAME:
                named = f" (node '{_text(value)}')" if value else ""
            elif number == _OPERATOR:
                operators.add(_text(value))
            elif number == _DOMAIN and bytes(value) not in (b"", b"ai.onnx"):
                raise _RefusedError(f"uses operators of '{_text(value)}'{named}, not ONNX's own")
            elif number == _ATTRIBUTE and operators <= ONNX_OPERATORS:
                self.attribute(value)
        _require_allowed(operators, named)

    def attribute(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number in (_SUBGRAPH, _SUBGRAPHS):
                raise _RefusedError("has a graph inside an operator (a loop or branch)")
            if number in (_SPARSE, _SPARSES):
                raise _RefusedError("has sparse weights")
            if number in (_TENSOR, _TENSORS) and isinstance(value, memoryview):
                self.tensor(value)

    def axes(self, data: memoryview, what: str) -> None:
        """Axes of an input or output; where it states any, each is a number."""
        name = ""
        for number, value in self.fields(data):
            if number == _VALUE_NAME and isinstance(value, memoryview):
                name = _text(value)
            elif number == _TYPE and isinstance(value, memoryview):
                for place, axis in enumerate(self.nested(value, _TENSOR_TYPE, _SHAPE, _AXIS)):
                    found = dict(self.fields(axis))
                    label = found.get(_AXIS_NAME)
                    if label or _AXIS_SIZE not in found:
                        called = f" ('{_text(label)}')" if isinstance(label, memoryview) else ""
                        raise _RefusedError(
                            f"leaves axis {place}{called} of its {what} '{name}' open: a part has one size"
                        )

    def nested(self, data: memoryview, *path: int) -> Iterator[memoryview]:
        """Messages inside messages, by the field numbers that lead to them."""
        for number, value in self.fields(data):
            if number == path[0] and isinstance(value, memoryview):
                if len(path) == 1:
                    yield value
                else:
                    yield from self.nested(value, *path[1:])

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


def _require_allowed(operators: set[str], named: str) -> None:
    if not operators:
        raise _RefusedError("has a node without operator")
    for name in sorted(operators - ONNX_OPERATORS):
        raise _RefusedError(f"uses the operator '{name}'{named}, which is not allowed{_why(name)}")


def _text(value: memoryview) -> str:
    return bytes(value[:64]).decode("ascii", "replace")


def _why(operator: str) -> str:
    """The reason against an operator; empty where it is just not known to be safe."""
    if operator in _CONTROL_FLOW:
        return ": it is a loop or branch, whose time depends on the image"
    if operator in _RANDOM:
        return ": it is random, so that one part would have many scores"
    if operator in _DATA_DEPENDENT:
        return ": the size of its result depends on the image"
    return ""


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
