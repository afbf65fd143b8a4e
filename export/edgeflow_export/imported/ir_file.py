"""An OpenVINO graph from elsewhere, read without trusting it: inspected first, weights beside it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

import numpy as np
import openvino as ov

from edgeflow.backends.inspect_ir import inspect_ir
from edgeflow.backends.openvino.core import openvino_core
from edgeflow.errors import CheckpointError, IntegrityError

__all__ = ["IrFile", "read_ir"]

_ONNX = "export it to ONNX ('--export_type onnx'), from which INT8 is made here"
_SMALL_INTEGERS = {ov.Type.i8, ov.Type.u8, ov.Type.i4, ov.Type.u4}


@dataclass(frozen=True, kw_only=True)
class IrFile:
    """A network's graph as its two files hold it.

    Attributes:
        path: of the XML file.
        sha256: of the XML and the weights beside it.
        version: of the format.
        producer: program and version that wrote it, as it says.
    """

    path: Path
    model: ov.Model
    sha256: str
    version: str
    producer: str


def read_ir(path: Path) -> IrFile:
    """Read a network.

    Args:
        path: the XML file, or the file of its weights.

    Raises:
        CheckpointError: one of the two files is not there or damaged, an operation that no box runs, or a
            graph that is quantized already.
    """
    path = path.with_suffix(".xml")
    xml, weights = _content(path), _content(path.with_suffix(".bin"))
    _require_allowed(path, xml, weights)
    try:
        model = openvino_core().read_model(model=xml, weights=weights)
    except RuntimeError as cause:
        reason = [line.strip() for line in str(cause).splitlines() if line.strip()][-1]
        raise CheckpointError(f"{path}: OpenVINO cannot read it: {reason}; export it again") from cause
    _require_float(model, path)
    return IrFile(
        path=path,
        model=model,
        sha256=hashlib.sha256(xml + weights).hexdigest(),
        version=_attribute(rb"<net\b[^>]*\bversion=\"([0-9]{1,3})\"", xml),
        producer=f"OpenVINO {_attribute(rb'Runtime_version value=.([0-9A-Za-z._-]{1,48})', xml)}",
    )


def _require_allowed(path: Path, xml: bytes, weights: bytes) -> None:
    try:
        inspect_ir(xml, weights, what=str(path))
    except IntegrityError as refused:
        reason = refused.message.removeprefix(f"{path}: ").partition("; no graph of edgeflow")[0]
        if "names weights" in reason:
            told = f"{path.stem}.bin ends before what {path.name} names: copy both files again"
        elif isinstance(refused.__cause__, ExpatError):
            told = "is not complete XML: copy both files again"
        else:
            told = f"{reason}; boxes refuse such graphs: change the network, or export it without this"
        raise CheckpointError(f"{path}: {told}") from refused


def _content(path: Path) -> bytes:
    if path.is_symlink():
        raise CheckpointError(f"{path}: a link; put the file itself there")
    try:
        return path.read_bytes()
    except OSError as cause:
        raise CheckpointError(
            f"{path}: cannot be read: {cause.strerror}; an OpenVINO export is two files, .xml and .bin: keep "
            "both together"
        ) from cause


def _require_float(model: ov.Model, path: Path) -> None:
    """Refuse a graph in INT8: nobody could say what that did to verdicts."""
    for node in model.get_ops():
        constant = node.get_type_name() == "Constant" and node.get_element_type() in _SMALL_INTEGERS
        if node.get_type_name() == "FakeQuantize" or (constant and np.prod(node.get_output_shape(0)) > 1):
            raise CheckpointError(
                f"{path}: is quantized already, so that nothing is left to compare it with; export it "
                f"without compression, or {_ONNX}"
            )


def _attribute(pattern: bytes, xml: bytes) -> str:
    found = re.search(pattern, xml)
    return "of an unknown version" if found is None else found[1].decode()
