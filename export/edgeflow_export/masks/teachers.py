"""A recipe's foreground: where the masks of a part come from while training, measuring and exporting."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from edgeflow.contracts.geometry.view_geometry import ViewGeometry
from edgeflow.contracts.image_files.masks import read_mask
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.mask_postprocessing import foreground_masks, map_mask, stored_mask
from edgeflow.contracts.preprocess import prepare, prepare_mask
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import DataError
from edgeflow_export.models.foreground_net import ForegroundNet
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.published_mvanet import published_mvanet
from edgeflow_export.recipe import ForegroundSpec
from edgeflow_export.weight_files import read_published

__all__ = ["FixedTeacher", "HeadTeacher", "MaskTeacher", "NetworkTeacher", "RecordedTeacher", "load_teacher"]

Size = tuple[int, int]


class MaskTeacher(Protocol):
    """Source of the masks that count as true.

    Attributes:
        identity: hash of all that decides the masks, for the cache.
    """

    identity: str

    def masks(self, part_id: str, images: Sequence[RgbImage], views: Sequence[ViewSpec], size: Size) -> Masks:
        """Masks uint8 (V, h, w) at map size.

        Args:
            images: one per view as recorded, uint8 (H, W, 3).

        Raises:
            DataError: a mask is missing or does not fit.
        """


class NetworkTeacher:
    """MVANet on every view: logits, then the published mask steps (Multi-Flow, section 3)."""

    def __init__(self, network: ForegroundNet, size: int, *, identity: str, device: str = "cpu") -> None:
        self.network = network.eval()
        self.spec = Preprocessing(height=size, width=size)
        self.identity = identity
        self._device = device

    def at(self, size: int) -> NetworkTeacher:
        """The same network on images of another size; a smaller one is looked at once."""
        if size == self.spec.height:
            return self
        return NetworkTeacher(
            self.network.plain(),
            size,
            identity=_text_hash(f"{size} once {self.identity}"),
            device=self._device,
        )

    def masks(self, part_id: str, images: Sequence[RgbImage], views: Sequence[ViewSpec], size: Size) -> Masks:  # noqa: ARG002
        """Return the masks (V, h, w) of one part, uint8."""
        network = self.network.to(self._device)
        masks = []
        with torch.inference_mode():
            for image, view in zip(images, views, strict=True):
                pixels = torch.from_numpy(prepare(image, view, self.spec)[np.newaxis].copy())
                logits = network(pixels.to(self._device)).float().cpu().numpy()
                masks.append(foreground_masks(logits, *size)[0])
        return np.stack(masks)


class FixedTeacher:
    """One mask per view from ``<view>.png``, for parts that always lie the same way."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.identity = _hash_of(folder, "*.png")

    def masks(self, part_id: str, images: Sequence[RgbImage], views: Sequence[ViewSpec], size: Size) -> Masks:  # noqa: ARG002
        """Return the masks (V, h, w) of one part, uint8."""
        return np.stack([_read_mask(self._folder / f"{view.id}.png", view, size) for view in views])


class RecordedTeacher:
    """Masks recorded or drawn for every part: ``<part>/<view>.png``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.identity = _hash_of(folder, "*.png")

    def masks(self, part_id: str, images: Sequence[RgbImage], views: Sequence[ViewSpec], size: Size) -> Masks:  # noqa: ARG002
        """Return the masks (V, h, w) of one part, uint8."""
        folder = self._folder / part_id
        return np.stack([_read_mask(folder / f"{view.id}.png", view, size) for view in views])


class HeadTeacher:
    """The masks that a trained model's own head gives: not the truth, but what its bundle would use."""

    def __init__(self, module: InspectionModel, spec: Preprocessing, *, device: str = "cpu") -> None:
        self._module = module
        self._spec = spec
        self._device = device
        digest = hashlib.sha256(spec.model_dump_json().encode())
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
        self.identity = digest.hexdigest()

    def masks(self, part_id: str, images: Sequence[RgbImage], views: Sequence[ViewSpec], size: Size) -> Masks:  # noqa: ARG002
        """Return the masks (V, h, w) of one part, uint8."""
        inputs = np.stack([prepare(image, v, self._spec) for image, v in zip(images, views, strict=True)])
        with torch.inference_mode():
            outputs = self._module.to(self._device).outputs(torch.from_numpy(inputs).to(self._device))
        return np.asarray(outputs[1].cpu().numpy() > 0, np.uint8)


def load_teacher(spec: ForegroundSpec, *, device: str = "cpu") -> MaskTeacher | None:
    """The source of true masks of a recipe; None where every pixel counts.

    Raises:
        CheckpointError: the weights are not MVANet's, or do not fit.
        DataError: the folder of masks is empty.
    """
    if spec.kind == "none":
        return None
    if spec.masks is not None and spec.kind != "mvanet":
        found = [file for file in spec.masks.rglob("*.png") if not file.name.startswith(".")]
        if any(file.parent == spec.masks for file in found):
            return FixedTeacher(spec.masks)
        if found:
            return RecordedTeacher(spec.masks)
        raise DataError(
            f"{spec.masks}: holds no masks; expected <view>.png for all parts, or <part>/<view>.png"
        )
    weights = spec.weights
    if weights is None:
        raise DataError("foreground: neither weights nor masks are given")
    network = ForegroundNet(published_mvanet(read_published(weights)), augmentation=spec.augmented)
    content = hashlib.sha256(weights.read_bytes()).hexdigest()
    identity = _text_hash(f"{spec.size} {spec.augmented} {content}")
    return NetworkTeacher(network, spec.size, identity=identity, device=device)


def _read_mask(path: Path, view: ViewSpec, size: Size) -> Masks:
    """A mask file through the view's geometry to map size, by the published two resizes."""
    drawn = read_mask(path)
    own_size = ViewGeometry(view, (drawn.shape[0], drawn.shape[1])).size
    mask = prepare_mask(drawn, view, own_size)
    return map_mask(stored_mask(mask.astype(np.uint8)), *size)


def _text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash_of(folder: Path, pattern: str) -> str:
    """A hash of the names and contents of all files of a folder that match."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob(pattern)):
        if file.name.startswith("."):
            continue  # notes of macOS
        try:
            content = hashlib.sha256(file.read_bytes()).digest()
        except OSError as cause:
            raise DataError(f"{file}: cannot be read: {cause.strerror}; check its rights") from cause
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode() + content)
    return digest.hexdigest()
