"""An ONNX file from elsewhere, read without trusting it: weights inside, operators known, origin named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import external_data_helper, inliner, version_converter

from edgeflow.errors import CheckpointError

__all__ = ["OnnxFile", "read_onnx"]

OLDEST_OPSET = 13
"""From here on axes are inputs; older graphs are brought to ``USUAL_OPSET``."""
USUAL_OPSET = 18
_OWN_DOMAINS = ("", "ai.onnx")
_AGAIN = "export it again with opset_version=18"


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A network's graph as its file holds it.

    Attributes:
        model: with all weights inside, without local functions, in opset 13 or later.
        sha256: of the file, and of files with its weights, in the order of their names.
        opset: of the file, before it was brought to a later one.
        producer: program and version that wrote it, as it says.
    """

    path: Path
    model: onnx.ModelProto
    sha256: str
    opset: int
    producer: str


def read_onnx(path: Path) -> OnnxFile:
    """Read a network.

    Raises:
        CheckpointError: not there, not ONNX, weights outside its folder, or an opset that is not known.
    """
    content = _content(path)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as cause:  # protobuf's own error, whose package has no types
        raise CheckpointError(f"{path}: not an ONNX file; export the network to ONNX: {_AGAIN}") from cause
    if not model.HasField("graph") or not model.graph.node:
        raise CheckpointError(f"{path}: an ONNX file without a graph; export the network again")
    digest = hashlib.sha256(content)
    for name in _embed(model, path):
        digest.update((path.parent / name).read_bytes())
    opset = _opset(model, path)
    if model.functions:
        model = inliner.inline_local_functions(model)
    return OnnxFile(
        path=path,
        model=_upgraded(model, opset, path),
        sha256=digest.hexdigest(),
        opset=opset,
        producer=_producer(model),
    )


def _content(path: Path) -> bytes:
    if path.suffix.lower() in {".ckpt", ".pt", ".pth", ".pkl", ".safetensors"}:
        raise CheckpointError(
            f"{path}: weights without the network; export it to ONNX where it was trained, and give that file"
        )
    try:
        return path.read_bytes()
    except OSError as cause:
        raise CheckpointError(f"{path}: cannot be read: {cause.strerror}; check the path") from cause


def _embed(model: onnx.ModelProto, path: Path) -> list[str]:
    """Take weights that lie beside the file into the model; returns the names of their files.

    Raises:
        CheckpointError: every file that is missing, cut off, a link, or outside the folder.
    """
    named = [tensor for tensor in _tensors(model.graph) if external_data_helper.uses_external_data(tensor)]
    if not named:
        return []
    problems: dict[str, None] = {}
    files: set[str] = set()
    for tensor in named:
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        problem = _unsuitable(path.parent, location, told)
        if problem is None:
            files.add(location)
        else:
            problems[problem] = None
    if problems:
        raise CheckpointError(
            f"{path}: weights outside the file that cannot be taken; put all files of the export into one "
            "folder, or export with the weights inside (torch: external_data=False)",
            problems=list(problems),
        )
    external_data_helper.load_external_data_for_model(model, str(path.parent))
    return sorted(files)


def _unsuitable(folder: Path, location: str, told: dict[str, str]) -> str | None:
    """The reason why weights cannot be read from a file; None where they can."""
    place = Path(location)
    if not location or place.is_absolute() or len(place.parts) != 1 or location in {".", ".."}:
        return f"{location or '(no name)'}: outside the folder of the model"
    file = folder / location
    if file.is_symlink():
        return f"{location}: a link; put the file itself beside the model"
    if not file.is_file():
        return f"{location}: no such file beside the model"
    try:
        offset, length = int(told.get("offset", "0")), int(told.get("length", "0"))
    except ValueError:
        return f"{location}: a place in it that is no number"
    if offset < 0 or length < 0 or offset + length > file.stat().st_size:
        return f"{location}: shorter than the model says; copy it again"
    return None


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)


def _opset(model: onnx.ModelProto, path: Path) -> int:
    """The version of ONNX's own operators.

    Raises:
        CheckpointError: none, or a later one than this program knows.
    """
    own = [entry.version for entry in model.opset_import if entry.domain in _OWN_DOMAINS]
    if not own:
        raise CheckpointError(f"{path}: names no version of ONNX's operators; {_AGAIN}")
    newest = onnx.defs.onnx_opset_version()
    if max(own) > newest or model.ir_version > onnx.IR_VERSION:
        raise CheckpointError(
            f"{path}: opset {max(own)} (IR version {model.ir_version}) is newer than this program knows "
            f"({newest}, IR version {onnx.IR_VERSION}); {_AGAIN}"
        )
    return int(max(own))


def _upgraded(model: onnx.ModelProto, opset: int, path: Path) -> onnx.ModelProto:
    """The model in an opset in which this program adds its own operators."""
    if opset >= OLDEST_OPSET:
        return model
    try:
        return version_converter.convert_version(model, USUAL_OPSET)
    except Exception as cause:  # the converter has errors of its own for every operator
        reason = str(cause).strip().splitlines()[-1]
        raise CheckpointError(
            f"{path}: opset {opset} cannot be brought to {USUAL_OPSET}: {reason}; {_AGAIN}"
        ) from cause


def _producer(model: onnx.ModelProto) -> str:
    told = f"{model.producer_name} {model.producer_version}".strip()
    return told[:64] if told and told.isprintable() else "unknown"
