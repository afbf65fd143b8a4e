"""Features of all parts, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.preprocess import prepare
from edgeflow_export.data.array_cache import Array, CachedKind, cache_arrays, read_array
from edgeflow_export.data.dataset import Dataset, Images
from edgeflow_export.features.extractors import normalised, output_shape

__all__ = ["FeatureStore", "cache_features"]


@dataclass(frozen=True, kw_only=True)
class FeatureStore:
    """Raw features of parts, memory-mapped.

    Attributes:
        paths: one file per part, float32 (V, C, h, w) each.
        shape: (V, C, h, w).
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Features of several parts (B, V, C, h, w), float32."""
        return torch.from_numpy(np.stack([read_array(self.paths[index], "features") for index in indices]))

    def __iter__(self) -> Iterator[Tensor]:
        """Features (V, C, h, w) of each part."""
        return (self.batch([index])[0] for index in range(len(self)))


def cache_features(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    extractor: nn.Module,
    *,
    identity: str,
    folder: Path,
    progress: bool = True,
    device: str = "cpu",
) -> FeatureStore:
    """Features of all parts: those on disk are taken as they are, the others computed.

    Args:
        identity: hash of the extractor; see ``extractor_identity``.
        folder: the cache; see ``cache_arrays``.

    Raises:
        DataError: an image cannot be decoded, or its features are not finite.
        StorageError: the disk has too little room, or cannot be written.
    """
    spec = dataset.preprocessing
    shape = (len(dataset.views), *output_shape(extractor, spec.height, spec.width))

    def load(images: Sequence[RgbImage]) -> Images:
        return np.stack(
            [prepare(image, view, spec) for image, view in zip(images, dataset.views, strict=True)]
        )

    def compute(_: RecordedPart, images: Images) -> Array:
        with torch.inference_mode():
            features: Tensor = extractor(normalised(torch.from_numpy(images).to(device)))
            return np.asarray(features.float().cpu().numpy())

    kind = CachedKind(
        name="features",
        identity=hashlib.sha256(f"{identity} {spec.model_dump_json()}".encode()).hexdigest(),
        shape=shape,
        dtype=np.float32,
        load=load,
        compute=compute,
    )
    extractor.to(device)
    try:
        paths = cache_arrays(parts, dataset, kind, folder=folder, progress=progress)
    finally:
        extractor.to("cpu")
    return FeatureStore(paths=paths, shape=shape)
