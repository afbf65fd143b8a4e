"""Extractors from timm: one layer of any model that offers ``features_only``."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.recipe import TimmExtractor

__all__ = ["TimmLayer", "build_timm"]


class TimmLayer(nn.Module):
    """Normalised RGB (N, 3, H, W) to the feature map (N, C, h, w) of one layer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.model(x)[0]
        return features


def build_timm(spec: TimmExtractor, *, pretrained: bool) -> TimmLayer:
    """The extractor of a recipe; layers behind the chosen one are left out.

    Args:
        pretrained: load weights: the recipe's file, or timm's own download.

    Raises:
        ConfigError: no such model or layer, or the download failed.
        CheckpointError: the weight file does not fit the model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's own import notes
        import timm  # noqa: PLC0415 - slow to import, needed by this kind only
    if not timm.is_model(spec.model):
        near = ", ".join(timm.list_models(f"*{spec.model.split('.')[0]}*")[:5]) or "see timm.list_models()"
        raise ConfigError(f"extractor.model: timm has no '{spec.model}'; near: {near}")
    count = len(_create(timm, spec, indices=None, download=False).feature_info)  # type: ignore[arg-type]
    index = spec.layer + count if spec.layer < 0 else spec.layer
    if not 0 <= index < count:
        raise ConfigError(
            f"extractor.layer: {spec.model} has layers 0..{count - 1} (or -{count}..-1), got {spec.layer}"
        )
    model = _create(timm, spec, indices=(index,), download=pretrained and spec.weights is None)
    if pretrained and spec.weights is not None:
        _load(model, spec.weights, spec.model)
    return TimmLayer(model)


def _create(timm: Any, spec: TimmExtractor, *, indices: tuple[int, ...] | None, download: bool) -> nn.Module:
    options: dict[str, object] = {} if indices is None else {"out_indices": indices}
    try:
        model: nn.Module = timm.create_model(spec.model, pretrained=download, features_only=True, **options)
    except Exception as cause:
        if download:
            raise ConfigError(
                f"extractor.model: the weights of '{spec.model}' could not be fetched: {cause}; "
                "download them elsewhere and name the file as extractor.weights"
            ) from cause
        raise ConfigError(f"extractor.model: '{spec.model}' offers no feature maps: {cause}") from cause
    return model


def _load(model: nn.Module, path: Path, name: str) -> None:
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as cause:
        raise CheckpointError(f"extractor.weights: {path} cannot be read: {cause}") from cause
    except Exception as cause:  # unpickling errors have no common base
        raise CheckpointError(f"extractor.weights: {path} holds more than tensors: {cause}") from cause
    known = model.state_dict()
    missing = [key for key in known if key not in state]
    wrong = [key for key in known if key in state and state[key].shape != known[key].shape]
    if missing or wrong:
        problems = [f"missing: {key}" for key in missing] + [f"{key}: another shape" for key in wrong]
        raise CheckpointError(f"extractor.weights: {path} does not fit {name}", problems=problems)
    # Tensors left over belong to layers behind the chosen one.
    model.load_state_dict({key: state[key] for key in known})
