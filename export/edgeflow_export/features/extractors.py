"""Frozen feature extractors: normalised RGB images to feature maps."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeflow.contracts.geometry.tiles import TileGrid
from edgeflow.errors import ConfigError
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.models.efficientnet import EfficientNetB5, published_efficientnet
from edgeflow_export.models.inspection_model import IMAGE_MEAN, IMAGE_STD
from edgeflow_export.models.tiled_extractor import TiledExtractor
from edgeflow_export.recipe import (
    EfficientNetB5Extractor,
    ExtractorSpec,
    FunctionExtractor,
    ImageSpec,
    TimmExtractor,
)
from edgeflow_export.weight_files import read_published

__all__ = [
    "build_extractor",
    "extractor_identity",
    "extractor_provenance",
    "function_source",
    "normalised",
    "output_shape",
    "tiled",
]


def build_extractor(spec: ExtractorSpec, *, pretrained: bool, search_path: Sequence[Path] = ()) -> nn.Module:
    """The extractor of a recipe, frozen and in evaluation mode: (N, 3, H, W) to (N, C, h, w).

    Args:
        pretrained: load pretrained weights; a self-supervised extractor has none, its weights come
            from training, and a function decides by itself.
        search_path: folders besides the current one where a function's module may lie.

    Raises:
        ConfigError: no such model, layer, module or function, or weights that cannot be fetched.
        CheckpointError: a weight file that does not fit.
    """
    extractor: nn.Module
    if isinstance(spec, TimmExtractor):
        from edgeflow_export.features.timm_extractor import build_timm  # noqa: PLC0415 - slow, needed by this kind only

        extractor = build_timm(spec, pretrained=pretrained)
    elif isinstance(spec, EfficientNetB5Extractor):
        extractor = published_efficientnet(read_published(spec.weights)) if pretrained else EfficientNetB5()
    elif isinstance(spec, FunctionExtractor):
        extractor = _call(spec, search_path)
    else:
        extractor = CompactNet(spec.channels, spec.stride)
    return extractor.eval().requires_grad_(requires_grad=False)


def tiled(extractor: nn.Module, image: ImageSpec) -> nn.Module:
    """The extractor for a recipe's model image: as it is, or seeing the image's tiles one by one.

    Raises:
        ConfigError: not a tile size that it takes, or tiles that do not begin at pixels of its features.
    """
    if image.tiles is None:
        return extractor
    height, width = image.tiles.height, image.tiles.width
    _, rows, columns = output_shape(
        extractor, height, width, names="image.tiles.height and image.tiles.width"
    )
    if height % rows or width % columns:
        raise ConfigError(
            f"image.tiles: of a tile of {width}x{height} the extractor makes {columns}x{rows} features, "
            "which does not divide; take multiples of its stride"
        )
    grid = TileGrid.of(image.tiles, image.height, image.width)
    try:
        return TiledExtractor(extractor, grid, (height // rows, width // columns)).eval()
    except ValueError as cause:
        raise ConfigError(f"image.{cause}") from cause


def normalised(images: Tensor) -> Tensor:
    """uint8 images (N, H, W, 3), red first, to the extractor's input (N, 3, H, W)."""
    mean = torch.tensor(IMAGE_MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(IMAGE_STD, device=images.device).view(1, 3, 1, 1)
    return (images.permute(0, 3, 1, 2).float() / 255 - mean) / std


def output_shape(
    extractor: nn.Module, height: int, width: int, *, names: str = "image.height and image.width"
) -> tuple[int, int, int]:
    """Channels, height and width (C, h, w) of the features of an image.

    Raises:
        ConfigError: not an image size that it takes, no feature map (1, C, h, w), or an odd number of
            channels.
    """
    try:
        with torch.inference_mode():
            features = extractor(torch.zeros(1, 3, height, width))
    except (AssertionError, RuntimeError, ValueError) as cause:
        raise ConfigError(
            f"the extractor does not take images of {height}x{width}: {cause}; set {names} to what it takes"
        ) from cause
    if not isinstance(features, Tensor) or features.ndim != 4 or features.shape[0] != 1:
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ConfigError(f"the extractor must give one feature map (N, C, h, w) per image, got {got}")
    channels, map_height, map_width = features.shape[1:]
    if channels % 2:
        raise ConfigError(
            f"the extractor gives {channels} channels; the flow splits them in halves and needs an even "
            "number: choose another layer, or drop one channel in your function"
        )
    return channels, map_height, map_width


def extractor_identity(extractor: nn.Module, spec: ExtractorSpec) -> str:
    """A hash of all that decides what an extractor computes: its description, its code, its weights."""
    digest = hashlib.sha256(spec.model_dump_json().encode())
    digest.update(function_source(spec).encode())
    for name, tensor in sorted(extractor.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def extractor_provenance(spec: ExtractorSpec, extractor: nn.Module) -> dict[str, str]:
    """Statements of where an extractor's weights come from, for the provenance of its model."""
    if not isinstance(spec, TimmExtractor):
        return {}
    from edgeflow_export.features.timm_extractor import TimmLayer, timm_provenance  # noqa: PLC0415 - as above

    inner = extractor.network if isinstance(extractor, TiledExtractor) else extractor
    return timm_provenance(spec, inner) if isinstance(inner, TimmLayer) else {}


def function_source(spec: ExtractorSpec) -> str:
    """The file that an extractor function stands in; empty for other kinds."""
    if not isinstance(spec, FunctionExtractor):
        return ""
    source = getattr(sys.modules.get(spec.target.split(":")[0]), "__file__", None)
    return Path(source).read_text("utf-8") if source is not None else ""


def _call(spec: FunctionExtractor, search_path: Sequence[Path]) -> nn.Module:
    module_name, function_name = spec.target.split(":")
    folders = [str(folder.resolve()) for folder in (Path.cwd(), *search_path)]
    sys.path[:0] = folders
    try:
        function = getattr(importlib.import_module(module_name), function_name)
        extractor = function(**spec.arguments)
    except ModuleNotFoundError as cause:
        raise ConfigError(
            f"extractor.target: no module '{cause.name}' (looked in {', '.join(folders)} and the "
            "installed packages)"
        ) from cause
    except AttributeError as cause:
        raise ConfigError(f"extractor.target: '{spec.target}': {cause}") from cause
    except TypeError as cause:
        raise ConfigError(f"extractor.arguments do not fit '{spec.target}': {cause}") from cause
    finally:
        for folder in folders:
            sys.path.remove(folder)
    if not isinstance(extractor, nn.Module):
        raise ConfigError(f"extractor.target: '{spec.target}' must return a torch module, got {extractor!r}")
    return extractor
