"""The flow's epochs: noise-conditioned maximum likelihood on cached features (Multi-Flow)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeflow.errors import DataError
from edgeflow_export.feature_cache import FeatureStore
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.progress import progress_bar
from edgeflow_export.recipe import NoiseSpec, TrainingSpec
from edgeflow_export.resume import read_state, write_state

__all__ = ["STATE_NAME", "Standardisation", "draw_noise", "epoch_batches", "train_flow"]

STATE_NAME = "flow.state"


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """Mean and deviation of features, each (1, C, 1, 1), or (V, C, h, w) for every view and pixel."""

    mean: Tensor
    std: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features (..., V, C, h, w) in deviations from their mean."""
        return (features - self.mean) / self.std

    def to(self, device: str) -> Standardisation:
        return Standardisation(mean=self.mean.to(device), std=self.std.to(device))


def train_flow(
    shape: FlowShape,
    store: FeatureStore,
    standardise: Standardisation,
    *,
    spec: TrainingSpec,
    noise: NoiseSpec,
    state_path: Path,
    fingerprint: str,
    progress: bool = True,
    device: str = "cpu",
) -> tuple[MultiFlow, list[float]]:
    """Train a flow, or take up an interrupted training; the same result either way.

    Every epoch draws order and noise from the seed and its own number, so no generator has to be saved.

    Returns:
        The flow in evaluation mode on the CPU, and the mean loss of every epoch.

    Raises:
        DataError: the loss is not finite.
        CheckpointError: the state file belongs to other work.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        flow = MultiFlow(shape)
    flow = flow.to(device).train()
    optimizer = torch.optim.AdamW(
        flow.parameters(),
        lr=spec.learning_rate,
        betas=spec.betas,
        eps=spec.eps,
        weight_decay=spec.weight_decay,
    )
    losses = _take_up(read_state(state_path, fingerprint), flow, optimizer)
    standardise = standardise.to(device)
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("flow", total=spec.epochs, completed=len(losses), note="")
        for epoch in range(len(losses), spec.epochs):
            total, count = 0.0, 0
            for features, n in epoch_batches(store, noise, batch=spec.batch, seed=spec.seed, epoch=epoch):
                loss = _step(flow, optimizer, standardise(features.to(device)), n, noise)
                _require_finite(loss, epoch, spec)
                total, count = total + loss, count + 1
            losses.append(total / count)
            state = {"flow": flow.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}
            write_state(state_path, fingerprint, state)
            bar.update(task, advance=1, note=f"loss {losses[-1]:.4f}")
    return flow.to("cpu").eval(), losses


def epoch_batches(
    store: FeatureStore, noise: NoiseSpec, *, batch: int, seed: int, epoch: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Shuffled batches of raw features (B, V, C, h, w) with their noise; the incomplete last is dropped."""
    digest = hashlib.sha256(f"{seed}:{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    order = torch.randperm(len(store), generator=generator).tolist()
    for start in range(0, len(order) - batch + 1, batch):
        features = store.batch(order[start : start + batch])
        yield features, draw_noise(noise, (batch, *store.shape[2:]), generator)


def draw_noise(
    spec: NoiseSpec, size: tuple[int, int, int] | tuple[int, ...], generator: torch.Generator
) -> Tensor | None:
    """Noise (B, 1, 1, h, w): one map per part, shared by its views and channels; None in mode 0.

    Args:
        size: (B, h, w).
    """
    shape = (size[0], 1, 1, *size[1:])
    if spec.mode == 0:
        return None
    if spec.mode == 3:
        return torch.rand(shape, generator=generator)
    deviation = torch.full((size[0], 1, 1, 1, 1), spec.deviation)
    if spec.mode == 2:
        deviation = torch.rand(deviation.shape, generator=generator).square()
    return torch.randn(shape, generator=generator) * deviation


def _step(
    flow: MultiFlow,
    optimizer: torch.optim.Optimizer,
    features: Tensor,
    noise: Tensor | None,
    spec: NoiseSpec,
) -> float:
    condition = None
    if noise is not None:
        noise = noise.to(features.device)
        features = features + noise
        condition = (noise * spec.factor).expand(-1, features.shape[1], -1, -1, -1)
    loss = nll_map(flow(features, condition)).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss.detach())


def _take_up(state: dict[str, Any] | None, flow: MultiFlow, optimizer: torch.optim.Optimizer) -> list[float]:
    if state is None:
        return []
    flow.load_state_dict(state["flow"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["losses"])


def _require_finite(loss: float, epoch: int, spec: TrainingSpec) -> None:
    if not torch.isfinite(torch.tensor(loss)):
        raise DataError(
            f"flow, epoch {epoch + 1}: the loss is {loss}; lower training.learning_rate (now "
            f"{spec.learning_rate:g}), or set training.standardise: channel"
        )
