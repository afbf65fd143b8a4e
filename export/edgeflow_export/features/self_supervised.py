"""Trains the self-supervised extractor: find cut-and-paste defects on the recipe's own normal parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import DataError
from edgeflow_export.data.dataset import READERS, Dataset, load_images
from edgeflow_export.features.extractors import normalised
from edgeflow_export.features.synthetic_defects import KINDS, add_defect, vary
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.progress import progress_bar
from edgeflow_export.recipe import SelfSupervisedExtractor
from edgeflow_export.state_file import read_state, write_state

__all__ = ["STATE_FILE", "Example", "make_example", "train_extractor"]

STATE_FILE = "extractor.state"
SAVE_EVERY_STEPS = 50
CLEAN_SHARE = 0.2
MEMORY_BYTES = 1 << 30  # prepared images kept in memory; the rest is decoded again
_COVERED = 0.06  # share of a feature cell that makes it defective; less, but not none, is left out
_IGNORE = -1
_CLIPPED = 5 / 8  # share of height and width that an example shows
COLOUR_CELLS = 2  # a feature cell's colours are told for 2 by 2 fields
_GRID = 16  # the network's coarsest stride


Window = tuple[float, float, float, float]
"""Top, left, height, width as shares of the whole image."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """A clipping (H, W, 3) uint8, per pixel the kind of defect + 1 or 0 (H, W), and where it was cut."""

    image: RgbImage
    kinds: npt.NDArray[np.uint8]
    window: Window


class _Images:
    """Prepared images of the training parts, decoded once while memory lasts."""

    def __init__(self, parts: Sequence[RecordedPart], dataset: Dataset) -> None:
        self._parts, self._dataset = parts, dataset
        size = dataset.preprocessing.height * dataset.preprocessing.width * 3 * len(dataset.views)
        self._room = MEMORY_BYTES // size
        self._kept: dict[int, npt.NDArray[np.uint8]] = {}
        self.count = len(parts) * len(dataset.views)

    def __getitem__(self, index: int) -> RgbImage:
        part, view = divmod(index, len(self._dataset.views))
        images = self._kept.get(part)
        if images is None:
            images = load_images(self._parts[part], self._dataset)
            if len(self._kept) < self._room:
                self._kept[part] = images
        chosen: RgbImage = images[view]
        return chosen


def make_example(image: RgbImage, donor: RgbImage, rng: np.random.Generator) -> Example:
    """A varied clipping of an image, with up to three synthetic defects."""
    window = _window(image.shape[:2], rng)
    image, donor = vary(_clip(image, window), rng), _clip(donor, _window(donor.shape[:2], rng))
    kinds = np.zeros(image.shape[:2], np.uint8)
    if rng.random() >= CLEAN_SHARE:
        for _ in range(int(rng.integers(1, 4))):
            image, mask, kind = add_defect(image, donor, rng)
            kinds[mask] = kind + 1
    return Example(image=image, kinds=kinds, window=window)


def train_extractor(
    spec: SelfSupervisedExtractor,
    dataset: Dataset,
    out: Path,
    *,
    fingerprint: str,
    seed: int,
    progress: bool = True,
    device: str = "cpu",
    on_step: Callable[[float], None] | None = None,
) -> CompactNet:
    """Train the extractor, or take up an interrupted training; the same result either way.

    Every step draws its images and defects from the seed and its own number, so no generator has to
    be saved.

    Args:
        out: folder of the state file.
        fingerprint: of the recipe and its data.
        on_step: called with the loss after every step.

    Returns:
        The extractor, frozen, in evaluation mode.

    Raises:
        DataError: the loss is not finite.
        CheckpointError: the state file belongs to other work.
    """
    images = _Images(dataset.training, dataset)
    work = _Work(spec, seed, device)
    path = out / STATE_FILE
    start = work.resume(read_state(path, fingerprint))
    with ThreadPoolExecutor(READERS) as pool, progress_bar(enabled=progress) as bar:
        task = bar.add_task("extractor", total=spec.steps, completed=start, note="")
        upcoming = _draw_batch(pool, images, spec.batch, seed, start) if start < spec.steps else None
        for step in range(start, spec.steps):
            batch = _to_tensors([future.result() for future in upcoming or ()], device)
            upcoming = _draw_batch(pool, images, spec.batch, seed, step + 1)
            loss = _step(work.model, work.optimizer, *batch)
            work.schedule.step()
            if not np.isfinite(loss):
                raise DataError(
                    f"extractor, step {step}: the loss is {loss}; lower extractor.learning_rate "
                    f"(now {spec.learning_rate:g})"
                )
            if (step + 1) % SAVE_EVERY_STEPS == 0 or step + 1 == spec.steps:
                write_state(path, fingerprint, work.state(step + 1))
            bar.update(task, advance=1, note=f"loss {loss:.4f}")
            if on_step is not None:
                on_step(loss)
        for future in upcoming or ():
            future.cancel()
    extractor = work.model.extractor.to("cpu").to(memory_format=torch.contiguous_format)
    return extractor.eval().requires_grad_(requires_grad=False)


def _window(size: tuple[int, ...], rng: np.random.Generator) -> Window:
    """A random part of an image: the network sees no further, and a step costs less than half."""
    sides = [max(min(side, _GRID), round(side * _CLIPPED / _GRID) * _GRID) for side in size]
    top, left = (int(rng.integers(0, whole - side + 1)) for whole, side in zip(size, sides, strict=True))
    return top / size[0], left / size[1], sides[0] / size[0], sides[1] / size[1]


def _clip(image: RgbImage, window: Window) -> RgbImage:
    height, width = image.shape[:2]
    top, left, rows, columns = (round(v * n) for v, n in zip(window, (height, width) * 2, strict=True))
    return image[top : top + rows, left : left + columns]


class Heads(NamedTuple):
    """Logits of being defective (N, h, w) and of the kinds (N, K, h, w); colours (N, 3 * cells, h, w)."""

    defective: Tensor
    kind: Tensor
    colours: Tensor


class _Segmenter(nn.Module):
    """The extractor with heads that tell what each cell shows, and whether and how it is defective."""

    def __init__(self, channels: int, stride: Literal[4, 8]) -> None:
        super().__init__()
        self.extractor = CompactNet(channels, stride)
        self.plain = max(1, channels // 6)  # channels that describe the surface, normal or not
        self.scale = nn.Parameter(torch.tensor([2.0, -3.0]))
        self.kind = nn.Conv2d(channels - self.plain, len(KINDS), 1)
        self.colours = nn.Conv2d(self.plain, 3 * COLOUR_CELLS**2, 1)

    def forward(self, x: Tensor, window: Tensor | None = None) -> Heads:
        """Compute the heads of the proxy tasks.

        The length of most features tells whether a cell is defective, as the score of a flow over
        standardised features does: normal cells are drawn together, defective ones pushed away.
        """
        features = self.extractor(x, window)
        plain, telling = features[:, : self.plain], features[:, self.plain :]
        length = telling.square().mean(1)
        defective = self.scale[0] * (length + 1e-2).log() + self.scale[1]
        return Heads(defective, self.kind(telling), self.colours(plain))


class _Work:
    """The state that a training changes: weights, optimizer, schedule."""

    def __init__(self, spec: SelfSupervisedExtractor, seed: int, device: str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _Segmenter(spec.channels, spec.stride)
        self.model = model.to(device).to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=spec.learning_rate, weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=spec.learning_rate, total_steps=spec.steps + 1, pct_start=0.1
        )

    def state(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def resume(self, state: dict[str, Any] | None) -> int:
        """Continue from a state, if there is one; the next step's number."""
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        return int(state["step"])


def _draw_batch(
    pool: ThreadPoolExecutor, images: _Images, batch: int, seed: int, step: int
) -> list[Future[Example]]:
    """Start making the examples of one step; they depend on the seed and the step alone."""
    picks = np.random.default_rng((seed, step)).integers(0, images.count, (batch, 2))

    def make(number: int) -> Example:
        rng = np.random.default_rng((seed, step, number))
        image, donor = (images[int(index)] for index in picks[number])
        return make_example(image, donor, rng)

    return [pool.submit(make, number) for number in range(batch)]


def _to_tensors(examples: Sequence[Example], device: str) -> tuple[Tensor, Tensor, Tensor]:
    images = torch.from_numpy(np.stack([example.image for example in examples])).to(device)
    kinds = torch.from_numpy(np.stack([example.kinds for example in examples])).to(device)
    windows = torch.tensor([example.window for example in examples], device=device)
    return images, kinds, windows


def _step(
    model: _Segmenter, optimizer: torch.optim.AdamW, images: Tensor, kinds: Tensor, windows: Tensor
) -> float:
    pixels = normalised(images).contiguous(memory_format=torch.channels_last)
    heads: Heads = model(pixels, windows)
    size = heads.defective.shape[1], heads.defective.shape[2]
    loss = segmentation_loss(heads.defective, heads.kind, cell_targets(kinds, size))
    fields = F.adaptive_avg_pool2d(pixels, (size[0] * COLOUR_CELLS, size[1] * COLOUR_CELLS))
    loss = loss + 0.1 * F.smooth_l1_loss(heads.colours, F.pixel_unshuffle(fields, COLOUR_CELLS))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def cell_targets(kinds: Tensor, size: tuple[int, int]) -> Tensor:
    """Per-pixel kinds (N, H, W) to per-cell targets (N, h, w): 0 normal, kind + 1, or -1 to leave out."""
    one_hot = F.one_hot(kinds.long(), 1 + len(KINDS)).permute(0, 3, 1, 2).float()
    share = F.adaptive_avg_pool2d(one_hot, size)
    covered = 1 - share[:, 0]
    targets = torch.where(covered > _COVERED, share[:, 1:].argmax(dim=1) + 1, 0)
    return torch.where((covered > 0) & (covered <= _COVERED), _IGNORE, targets)


def segmentation_loss(defective: Tensor, kind: Tensor, targets: Tensor) -> Tensor:
    """Focal loss on defective or not, plus the kind where defective."""
    known, truth = targets != _IGNORE, targets > 0
    binary = F.binary_cross_entropy_with_logits(defective, truth.float(), reduction="none")
    loss = ((1 - (-binary).exp()).square() * binary)[known].mean() * 4
    if truth.any():
        loss = loss + 0.05 * F.cross_entropy(kind.permute(0, 2, 3, 1)[truth], targets[truth] - 1)
    return loss
