"""Extractors from timm: one or two layers of any model that offers ``features_only``."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.features.package_weights import package_weights
from edgeflow_export.features.timm_download import cached_weights, require_reachable
from edgeflow_export.models.efficientnet import timm_name
from edgeflow_export.models.inspection_model import IMAGE_MEAN, IMAGE_STD
from edgeflow_export.recipe import TimmExtractor
from edgeflow_export.weight_files import identify, read_published, without_prefix

__all__ = ["NORMALISATION", "TimmLayer", "build_timm", "timm_provenance"]

NORMALISATION = ("input_scale", "input_shift")
"""Buffers of an extractor whose network was trained with another mean and deviation than ImageNet's."""
UNKNOWN_LICENCE = "unknown: the package's metadata names none"
_COUNTER = "num_batches_tracked"  # older files lack it, and no inference reads it


class TimmLayer(nn.Module):
    """RGB (N, 3, H, W), normalised as for ImageNet, to the feature map (N, C, h, w) of one layer or two.

    Args:
        strides: of the layers that the model gives; all maps get the size of the finest, and their channels
            lie one after the other.
        mean, std: with which the network was trained; its input is normalised anew where they are others.
    """

    def __init__(
        self, model: nn.Module, strides: tuple[int, ...], mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        super().__init__()
        self.model, self.mean, self.std = model, mean, std
        self.factors = tuple(stride / min(strides) for stride in strides)
        self.normalises = (mean, std) != (IMAGE_MEAN, IMAGE_STD)
        if self.normalises:
            scale = [ours / theirs for ours, theirs in zip(IMAGE_STD, std, strict=True)]
            shift = [(a - b) / c for a, b, c in zip(IMAGE_MEAN, mean, std, strict=True)]
            for name, values in zip(NORMALISATION, (scale, shift), strict=True):
                self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def own_normalisation(self) -> tuple[Tensor, Tensor]:
        """Scale and shift (1, 3, 1, 1) from ImageNet's mean and deviation to the network's own."""
        return self.get_buffer(NORMALISATION[0]), self.get_buffer(NORMALISATION[1])

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, 3, H, W) to features (N, C, h, w)."""
        if self.normalises:
            scale, shift = self.own_normalisation()
            x = x * scale + shift
        maps = [_enlarged(each, by) for each, by in zip(self.model(x), self.factors, strict=True)]
        height, width = (min(each.shape[axis] for each in maps) for axis in (2, 3))
        return torch.cat([each[..., :height, :width] for each in maps], dim=1) if len(maps) > 1 else maps[0]


def _enlarged(maps: Tensor, factor: float) -> Tensor:
    """By a factor and not to a size: a size in the graph would hold how many images there are."""
    return maps if factor == 1 else F.interpolate(maps, scale_factor=factor, mode="bilinear")


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
    # It warns of every tensor behind the chosen layer; what does not belong to the model was refused before.
    logging.getLogger("timm.models._builder").setLevel(logging.ERROR)
    if not timm.is_model(spec.model):
        near = ", ".join(timm.list_models(f"*{spec.model.split('.')[0]}*")[:5]) or "see timm.list_models()"
        raise ConfigError(f"extractor.model: timm has no '{spec.model}'; near: {near}")
    count = len(_create(timm, spec, indices=None).feature_info)  # type: ignore[arg-type]
    indices = _indices(spec, count)
    model = _create(timm, spec, indices=indices)
    if pretrained:
        weights = _weights(timm, spec, layers=set(model.state_dict()))
        model = _create(timm, spec, indices=indices, **weights)
    config = timm.get_pretrained_cfg(spec.model)
    strides = tuple(model.feature_info.reduction())  # type: ignore[union-attr, operator]
    return TimmLayer(model, strides, tuple(config.mean), tuple(config.std))


def _indices(spec: TimmExtractor, count: int) -> tuple[int, ...]:
    """The recipe's layers among the model's, the finest first."""
    layers = (spec.layer,) if isinstance(spec.layer, int) else spec.layer
    found = sorted({layer + count if layer < 0 else layer for layer in layers})
    if len(found) < len(layers) or not 0 <= found[0] <= found[-1] < count:
        raise ConfigError(
            f"extractor.layer: {spec.model} has layers 0..{count - 1} (or -{count}..-1), got {spec.layer}; "
            "name one, or two different ones"
        )
    return tuple(found)


def timm_provenance(spec: TimmExtractor, layer: TimmLayer) -> dict[str, str]:
    """Mean and deviation that a network's images have, and the origin of its weights where a package has it.

    Raises:
        ConfigError: the package is not there.
    """
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (layer.mean, layer.std))
    told = {"extractor_normalisation": f"mean {mean}; deviation {std}"}
    if isinstance(spec.weights, str):
        source = package_weights(spec.weights)
        told["extractor_weights"] = source.origin
        told["extractor_licence"] = source.licence or UNKNOWN_LICENCE
    return told


def _weights(timm: Any, spec: TimmExtractor, *, layers: set[str]) -> dict[str, object]:
    """Source of timm's weights: the recipe's file, an earlier download, or a download now."""
    config = timm.get_pretrained_cfg(spec.model)
    file = _named_file(spec)
    if file is None:
        file = cached_weights(config)
        if file is None:
            require_reachable(spec.model, config)
            return {"pretrained": True}
    return {
        "pretrained": True,
        "pretrained_cfg_overlay": {"state_dict": _fitting(timm, file, spec.model, layers)},
    }


def _named_file(spec: TimmExtractor) -> Path | None:
    return package_weights(spec.weights).file if isinstance(spec.weights, str) else spec.weights


def _create(
    timm: Any, spec: TimmExtractor, *, indices: tuple[int, ...] | None, **weights: object
) -> nn.Module:
    options: dict[str, object] = {} if indices is None else {"out_indices": indices}
    try:
        model: nn.Module = timm.create_model(spec.model, features_only=True, **options, **weights)
    except Exception as cause:
        if weights.get("pretrained") and "pretrained_cfg_overlay" not in weights:
            raise ConfigError(
                f"extractor.model: the weights of '{spec.model}' could not be fetched: {cause}; "
                "download them elsewhere and name the file as extractor.weights"
            ) from cause
        raise ConfigError(f"extractor.model: '{spec.model}' offers no feature maps: {cause}") from cause
    return model


def _fitting(timm: Any, path: Path, name: str, layers: set[str]) -> dict[str, Tensor]:
    """A file's tensors under timm's names, every one of the whole model accounted for.

    The wrapped model has other names, and lacks what lies behind the chosen layer. A file with exactly the
    tensors of the wrapped model, ``layers``, was saved from one and fits as well.

    Raises:
        CheckpointError: tensors are missing, left over or of another shape; all are named.
    """
    try:
        state = read_published(path)
    except CheckpointError as cause:
        raise CheckpointError(f"extractor.weights: {cause.message}", problems=cause.problems) from cause
    whole = timm.create_model(name, pretrained=False)
    expected = whole.state_dict()
    state = _converted(timm, without_prefix(state, set(expected)), whole, name, path)
    heads = _heads(timm.get_pretrained_cfg(name).classifier)
    compared = {key for key in expected if not key.startswith(heads)} if heads else set(expected)
    found = {key for key in state if not key.startswith(heads)} if heads else set(state)
    if found == layers:
        compared &= layers
    problems = [
        f"missing: {key}" for key in expected if key in compared - found and not key.endswith(_COUNTER)
    ]
    problems += [f"not used: {key}" for key in state if key in found - compared]
    problems += [
        f"{key}: shape {tuple(state[key].shape)}, needed {tuple(expected[key].shape)}"
        for key in expected
        if key in compared & found and state[key].shape != expected[key].shape
    ]
    if problems:
        raise CheckpointError(f"extractor.weights: {path} does not fit {name}", problems=problems)
    return state


def _converted(
    timm: Any, state: dict[str, Tensor], whole: nn.Module, name: str, path: Path
) -> dict[str, Tensor]:
    """Tensors of another publisher under timm's names, by timm's own rules for its model."""
    if identify(set(state)) == "efficientnet_pytorch":
        blocks = getattr(whole, "blocks", None)
        if blocks is None or not name.startswith("tf_efficientnet"):
            raise CheckpointError(
                f"extractor.weights: {path} has the names of efficientnet_pytorch, which fit the models "
                f"tf_efficientnet_… of timm, not {name}"
            )
        counts = tuple(len(stage) for stage in blocks)
        return {timm_name(key, counts): tensor for key, tensor in state.items()}
    module = sys.modules[timm.models.model_entrypoint(name.split(".", maxsplit=1)[0]).__module__]
    convert = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        converted: Mapping[str, Tensor] = convert(dict(state), whole)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError):
        return state  # not a file that it knows; the comparison says what is wrong
    return dict(converted)


def _heads(classifier: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Beginnings of the names of layers that tell classes apart: an own number of classes is no mistake."""
    names = (classifier,) if isinstance(classifier, str) else classifier or ()
    return tuple(f"{name}." for name in names)
