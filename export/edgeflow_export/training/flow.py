"""The flow's epochs: noise-conditioned maximum likelihood on cached features (Multi-Flow)."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from edgeflow.contracts.scoring import Masks
from edgeflow.errors import CheckpointError, ConfigError, DataError
from edgeflow_export.distributed import ALONE, Processes
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.features.statistics import Standardisation
from edgeflow_export.models.convolution import winograd_pays
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.progress import announce, progress_bar
from edgeflow_export.recipe import NoiseSpec, TrainingSpec
from edgeflow_export.state_file import read_state, write_state
from edgeflow_export.training.history import HISTORY_NAME, Epoch, TensorBoard, write_history
from edgeflow_export.weight_files import load_strictly

__all__ = [
    "STATE_FILE",
    "Batch",
    "draw_noise",
    "epoch_batches",
    "make_optimizer",
    "require_even_split",
    "train_flow",
]

STATE_FILE = "flow.state"


class Batch(NamedTuple):
    """Parts of one step: raw features (B, V, C, h, w), noise (B, 1, 1, h, w) and foreground (B, V, h, w)."""

    features: Tensor
    noise: Tensor | None
    masks: Tensor | None


def train_flow(
    shape: FlowShape,
    store: FeatureStore,
    standardise: Standardisation,
    *,
    spec: TrainingSpec,
    noise: NoiseSpec,
    state_path: Path,
    fingerprints: Sequence[str],
    held_out: FeatureStore | None = None,
    tensorboard: TensorBoard | None = None,
    masks: Masks | None = None,
    initial: Mapping[str, Tensor] | None = None,
    progress: bool = True,
    processes: Processes = ALONE,
) -> tuple[MultiFlow, list[float]]:
    """Train a flow, or take up an interrupted training; the same result either way.

    Every epoch draws order and noise from the seed and its own number, so no generator has to be saved.
    Several processes split every batch, and end with the same flow as one, up to rounding.

    Every epoch is noted in ``history.csv`` beside the state.

    Args:
        fingerprints: of the work; the first is written, the others are those of earlier versions.
        held_out: normal parts that the flow is judged on, and that tell when to stop early.
        tensorboard: gets the epochs too.
        masks: foreground uint8 (n, V, h, w) of the store's parts; background does not count in the loss.
        initial: tensors to begin with; default: drawn from the seed.

    Returns:
        The flow in evaluation mode on the CPU, and the mean loss of every epoch.

    Raises:
        DataError: the loss is not finite.
        ConfigError: the batch cannot be split evenly over the processes.
        CheckpointError: the state file belongs to other work, or not every process sees it.
    """
    require_even_split(spec.batch, processes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        flow = MultiFlow(shape)
    if initial is not None:
        load_strictly(flow, initial, what="training.initial")
    work = FlowTrainer(
        flow.to(processes.device).train(), spec, noise, standardise.to(processes.device), processes
    )
    work.resume(read_state(state_path, *fingerprints))
    if work.losses:
        announce(f"flow: resumed at epoch {len(work.losses) + 1} of {spec.epochs}", enabled=progress)
    if tensorboard is not None:
        tensorboard.write(work.history())
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("flow", total=spec.epochs, completed=len(work.losses), note="")
        while len(work.losses) < spec.epochs and not work.stagnant:
            begun_s = time.monotonic()
            work.epoch(store, masks)
            work.judge(held_out)
            work.seconds.append(time.monotonic() - begun_s)
            if processes.first:
                write_state(state_path, fingerprints[0], work.state())
                write_history(state_path.with_name(HISTORY_NAME), work.history())
            if tensorboard is not None:
                tensorboard.write(work.history()[-1:])
            bar.update(task, advance=1, note=work.note())
        bar.update(task, total=len(work.losses))
    return work.result(), work.losses


def require_even_split(batch: int, processes: Processes) -> None:
    """Check that processes get equal shares of a batch.

    Raises:
        ConfigError: they do not.
    """
    if batch % processes.count:
        raise ConfigError(
            f"training.batch: {batch} parts cannot be split evenly over {processes.count} processes; choose "
            "a multiple, or start another number of processes"
        )


class FlowTrainer:
    """A flow in training with all that its next epoch depends on."""

    def __init__(
        self,
        flow: MultiFlow,
        spec: TrainingSpec,
        noise: NoiseSpec,
        standardise: Standardisation,
        processes: Processes,
    ) -> None:
        self.flow, self.spec, self.noise = flow, spec, noise
        self.standardise, self.processes = standardise, processes
        instructions = torch.backends.cpu.get_cpu_capability()
        flow.winograd = [kernel for kernel in flow.shape.kernels if winograd_pays(kernel, instructions)]
        self.model = processes.parallel(flow)
        self.optimizer = make_optimizer(flow.parameters(), spec)
        self.losses: list[float] = []
        self.held_out: list[float] = []
        self.seconds: list[float] = []
        self.best: dict[str, Tensor] | None = None

    @property
    def stagnant(self) -> bool:
        """True if the held-out loss has not fallen for as many epochs as the recipe allows."""
        patience = self.spec.early_stopping
        if patience is None or not self.held_out:
            return False
        return len(self.held_out) - 1 - self.held_out.index(min(self.held_out)) >= patience

    def epoch(self, store: FeatureStore, masks: Masks | None) -> None:
        """One pass over the parts."""
        number, losses = len(self.losses), []
        share = self.processes.share(range(self.spec.batch))
        for batch in epoch_batches(
            store,
            self.noise,
            batch=self.spec.batch,
            seed=self.spec.seed,
            epoch=number,
            share=share,
            masks=masks,
        ):
            losses.append(self.processes.mean(self._step(batch)))
            _require_finite(losses[-1], number, self.spec)
        self.losses.append(sum(losses) / len(losses))

    def _step(self, batch: Batch) -> float:
        device = self.processes.device
        features, condition = self.standardise(batch.features.to(device)), None
        if batch.noise is not None:
            noise = batch.noise.to(device)
            features = features + noise
            condition = (noise * self.noise.factor).expand(-1, features.shape[1], -1, -1, -1)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.spec.precision == "bf16"):
            output = self.model(features, condition)
        loss = nll_map(output, None if batch.masks is None else batch.masks.to(device)).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return float(loss.detach())

    def judge(self, held_out: FeatureStore | None) -> None:
        """Measure the loss of held-out parts; keep the best flow where the recipe stops early."""
        if held_out is None:
            return
        self.flow.eval()
        with torch.inference_mode():
            losses = [
                float(
                    nll_map(self.flow(self.standardise(part.to(self.processes.device)).unsqueeze(0))).mean()
                )
                for part in held_out
            ]
        self.flow.train()
        self.held_out.append(self.processes.mean(sum(losses) / len(losses)))
        _require_finite(self.held_out[-1], len(self.losses) - 1, self.spec)
        if self.spec.early_stopping is not None and self.held_out[-1] == min(self.held_out):
            self.best = {name: tensor.detach().clone() for name, tensor in self.flow.state_dict().items()}

    def state(self) -> dict[str, Any]:
        return {
            "flow": self.flow.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "held_out": self.held_out,
            "seconds": self.seconds,
            "best": self.best,
            "winograd": self.flow.winograd,
        }

    def resume(self, state: dict[str, Any] | None) -> None:
        if not self.processes.agree(len(state["losses"]) if state else 0):
            raise CheckpointError(
                "not every process sees the same interrupted training; the output folder must be one that "
                "all nodes share, or start anew with --restart"
            )
        if state is None:
            return
        self.flow.load_state_dict(state["flow"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses, self.held_out, self.best = list(state["losses"]), list(state["held_out"]), state["best"]
        # Whatever this processor would choose, since the two forms round differently. Earlier ones had one.
        self.flow.winograd = state.get("winograd", self.flow.shape.kernels)
        # An earlier version noted no times, and held-out losses only where it stopped early.
        self.seconds = list(state.get("seconds", [math.nan] * len(self.losses)))
        self.held_out = [math.nan] * (len(self.losses) - len(self.held_out)) + self.held_out

    def history(self) -> list[Epoch]:
        """All epochs so far."""
        judged = self.held_out or [math.nan] * len(self.losses)
        rows = zip(self.losses, judged, self.seconds, strict=True)
        return [
            Epoch(number=number, loss=loss, held_out_loss=held_out, seconds=seconds)
            for number, (loss, held_out, seconds) in enumerate(rows, 1)
        ]

    def note(self) -> str:
        held_out = f", held out {self.held_out[-1]:.4f}" if self.held_out else ""
        return f"loss {self.losses[-1]:.4f}{held_out}"

    def result(self) -> MultiFlow:
        if self.best is not None:
            self.flow.load_state_dict(self.best)
        return self.flow.to("cpu").eval()


def make_optimizer(parameters: Iterable[nn.Parameter], spec: TrainingSpec) -> torch.optim.AdamW:
    """AdamW as the recipe sets it; one pass over the memory of each parameter."""
    return torch.optim.AdamW(
        parameters,
        lr=spec.learning_rate,
        betas=spec.betas,
        eps=spec.eps,
        weight_decay=spec.weight_decay,
        fused=True,
    )


def epoch_batches(
    store: FeatureStore,
    noise: NoiseSpec,
    *,
    batch: int,
    seed: int,
    epoch: int,
    share: Sequence[int] | None = None,
    masks: Masks | None = None,
) -> Iterator[Batch]:
    """Shuffled batches; the incomplete last is dropped.

    Args:
        share: which parts of every batch; default: all. Order and noise do not depend on it.
    """
    digest = hashlib.sha256(f"{seed}:{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    order = torch.randperm(len(store), generator=generator).tolist()
    chosen = list(range(batch) if share is None else share)
    for start in range(0, len(order) - batch + 1, batch):
        drawn = draw_noise(noise, (batch, *store.shape[2:]), generator)
        parts = [order[start + index] for index in chosen]
        yield Batch(
            features=store.batch(parts),
            noise=None if drawn is None else drawn[chosen],
            masks=None if masks is None else torch.from_numpy(masks[parts]),
        )


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


def _require_finite(loss: float, epoch: int, spec: TrainingSpec) -> None:
    if not torch.isfinite(torch.tensor(loss)):
        raise DataError(
            f"flow, epoch {epoch + 1}: the loss is {loss}; lower training.learning_rate (now "
            f"{spec.learning_rate:g}), or set training.standardise: channel"
        )
