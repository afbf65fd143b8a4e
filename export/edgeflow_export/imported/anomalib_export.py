"""The file that stands for a model of anomalib, or what to do where there is none."""

from __future__ import annotations

from pathlib import Path

import torch

from edgeflow.errors import CheckpointError

__all__ = ["anomalib_file"]

_PLACES = (
    *("model.onnx", "onnx/model.onnx", "weights/onnx/model.onnx", "../onnx/model.onnx"),
    *("model.xml", "openvino/model.xml", "weights/openvino/model.xml"),
)
"""Below the folder that was named, the first that is there; ``..`` where that is the OpenVINO one."""
_CHECKPOINTS = {".ckpt", ".pt", ".pth"}
_EXPORT = (
    "export it where it was trained: 'anomalib export --model {model} --ckpt_path {path} --export_type onnx "
    '--input_size "[256, 256]"\', or model.to_onnx(folder, input_size=(256, 256)), and give that folder'
)


def anomalib_file(path: Path) -> Path:
    """The file of an anomalib export: the ONNX one, and the OpenVINO one where that is alone.

    An OpenVINO graph is made from the ONNX one, which gives INT8 and ONNX Runtime too.

    Args:
        path: the file, or the folder of the export.

    Raises:
        CheckpointError: a checkpoint, or a folder without a model.
    """
    if path.suffix.lower() in _CHECKPOINTS and path.is_file():
        raise CheckpointError(f"{path}: {_checkpoint(path)}; {_EXPORT.format(model=_model(path), path=path)}")
    openvino = path.suffix.lower() in {".xml", ".bin"}
    if not path.is_dir() and not openvino:
        return path
    folder = path.parent if openvino else path
    for place in _PLACES:
        if (folder / place).is_file():
            return (folder / place).resolve()
    if openvino:
        return path.with_suffix(".xml").resolve()
    checkpoints = sorted(path.rglob("*.ckpt"))
    held = f"holds {checkpoints[0].name} alone" if checkpoints else "holds neither model.onnx nor model.xml"
    raise CheckpointError(f"{path}: {held}; {_EXPORT.format(model='NAME', path='FILE')}")


def _checkpoint(path: Path) -> str:
    """The kind of a checkpoint; of its content only tensors and plain values are read, never code."""
    found = _read(path)
    if found is None:
        return "a checkpoint that holds Python objects besides weights, which are code and are not read"
    version = found.get("pytorch-lightning_version")
    told = f" (Lightning {version})" if isinstance(version, str) else ""
    return f"a checkpoint{told}: weights without the network"


def _model(path: Path) -> str:
    """The name of the model's class, where the checkpoint tells it."""
    found = _read(path) or {}
    config = found.get("hyper_parameters")
    name = config.get("model_name") if isinstance(config, dict) else None
    return name if isinstance(name, str) and name.isidentifier() else "NAME"


def _read(path: Path) -> dict[str, object] | None:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001 - whatever is not plain tensors and values
        return None
    return found if isinstance(found, dict) else None
