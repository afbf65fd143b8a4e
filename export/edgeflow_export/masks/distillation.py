"""The distilled foreground: a small head that learns a teacher's masks from features at hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from edgeflow.contracts.scoring import Masks
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.features.statistics import Standardisation, feature_statistics
from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.progress import progress_bar

__all__ = ["distil", "intersection_over_union"]

STEPS = 800
BATCH = 4
LEARNING_RATE = 1e-2
PRIOR_LIMIT = 0.05
"""Limit of the prior: a part may lie a little beside the place of all training parts."""


def distil(
    store: FeatureStore,
    masks: Masks,
    *,
    seed: int,
    progress: bool = True,
) -> MaskHead:
    """Train a head on the normal parts' features.

    Args:
        masks: the teacher's, uint8 (n, V, h, w), in the store's order.

    Returns:
        The head in evaluation mode.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = MaskHead(store.shape[1], (masks.shape[1], masks.shape[2], masks.shape[3]))
    truth = torch.from_numpy(masks)
    head.prior.copy_(torch.logit(truth.double().mean(0), PRIOR_LIMIT))
    normalise = feature_statistics(store, "channel")
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=STEPS)
    generator = torch.Generator().manual_seed(seed)
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("foreground head", total=STEPS, note="")
        for _ in range(STEPS):
            chosen = torch.randint(len(store), (min(BATCH, len(store)),), generator=generator).tolist()
            logits = head(normalise(store.batch(chosen)).flatten(0, 1))
            loss = F.binary_cross_entropy_with_logits(logits, truth[chosen].flatten(0, 1).float())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            bar.update(task, advance=1, note=f"loss {float(loss.detach()):.4f}")
    head.eval().requires_grad_(requires_grad=False)
    _fold(head, normalise)
    return head


def _fold(head: MaskHead, normalise: Standardisation) -> None:
    """Let the head read features as they are: the same logits, up to rounding."""
    assert head.reduce.bias is not None  # noqa: S101 - it is made with one
    weight = head.reduce.weight / normalise.std.view(1, -1, 1, 1)
    head.reduce.bias -= (weight * normalise.mean.view(1, -1, 1, 1)).sum((1, 2, 3))
    head.reduce.weight.copy_(weight)


def intersection_over_union(masks: Masks, truth: Masks) -> npt.NDArray[np.float64]:
    """Agreement of masks (n, V, h, w) per part and view (n, V); two empty masks agree."""
    both = np.logical_and(masks, truth).sum((2, 3), dtype=np.float64)
    either = np.logical_or(masks, truth).sum((2, 3), dtype=np.float64)
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)
