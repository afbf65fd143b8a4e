"""The flow's epochs: resumed to the same bits, noise, early stopping, precision, and full disks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow.errors import DataError
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.features.statistics import feature_statistics
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.view_graph import view_graph
from edgeflow_export.recipe import NoiseSpec, TrainingSpec
from edgeflow_export.training.flow import draw_noise, train_flow

SHAPE = FlowShape(
    channels=4, hidden=4, kernels=(3, 1), clamp=1.9, conditioned=True, graph=view_graph("cs_neigh", 2)
)


class Interrupting(FeatureStore):
    """Features whose reader is interrupted after some batches."""

    batches = 0
    limit = 10**9

    def batch(self, indices: Sequence[int]) -> torch.Tensor:
        type(self).batches += 1
        if self.batches > self.limit:
            raise KeyboardInterrupt
        return super().batch(indices)


def store_of(folder: Path, *, parts: int, seed: int, kind: type[FeatureStore] = FeatureStore) -> FeatureStore:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{seed}_{number}.npy" for number in range(parts)]
    for number, path in enumerate(paths):
        values = np.random.default_rng([seed, number]).normal(1, 3, (2, 4, 5, 5))
        np.save(path, values.astype(np.float32))
    return kind(paths=tuple(paths), shape=(2, 4, 5, 5))


def flow_of(tmp_path: Path, name: str, limit: int = 10**9, **spec: object) -> tuple[MultiFlow, list[float]]:
    store = store_of(tmp_path / "features", parts=9, seed=1, kind=Interrupting)
    Interrupting.limit = 10**9
    standardise = feature_statistics(store, "channel")
    Interrupting.batches, Interrupting.limit = 0, limit
    return train_flow(
        SHAPE,
        store,
        standardise,
        spec=TrainingSpec.model_validate({"epochs": 30, "batch": 4, "learning_rate": 0.05, **spec}),
        noise=NoiseSpec(),
        state_path=tmp_path / name,
        fingerprints=("w",),
        held_out=store_of(tmp_path / "features", parts=3, seed=2),
        progress=False,
    )


def held_out_loss(flow: MultiFlow, tmp_path: Path) -> float:
    train, other = (store_of(tmp_path / "features", parts=n, seed=s) for n, s in ((9, 1), (3, 2)))
    standardise = feature_statistics(train, "channel")
    with torch.inference_mode():
        return float(np.mean([nll_map(flow(standardise(part).unsqueeze(0))).mean() for part in other]))


def test_interrupted_flow_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, losses = flow_of(tmp_path, "whole", epochs=5)
    assert Interrupting.batches == 5 * 2  # the incomplete third batch of every epoch is dropped
    with pytest.raises(KeyboardInterrupt):
        flow_of(tmp_path, "parted", limit=5, epochs=5)
    resumed, again = flow_of(tmp_path, "parted", epochs=5)
    assert Interrupting.batches == 3 * 2
    assert again == losses
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


@pytest.mark.parametrize(("recorded", "kept"), [((3,), (3,)), ((), ()), (None, (1, 3))])
def test_a_training_goes_on_in_the_form_in_which_it_began(
    tmp_path: Path, recorded: tuple[int, ...] | None, kept: tuple[int, ...]
) -> None:
    """As on another processor, which would choose another; an earlier version recorded none."""
    flow_of(tmp_path, "state", epochs=1)
    content = torch.load(tmp_path / "state", weights_only=True)
    assert "winograd" in content["state"]
    content["state"]["winograd"] = recorded
    if recorded is None:
        del content["state"]["winograd"]
    torch.save(content, tmp_path / "state")
    flow, losses = flow_of(tmp_path, "state", epochs=2)
    assert len(losses) == 2
    assert flow.winograd == kept
    assert torch.load(tmp_path / "state", weights_only=True)["state"]["winograd"] == kept


def test_early_stopping_keeps_the_epoch_that_is_best_on_held_out_parts(tmp_path: Path) -> None:
    stopped, losses = flow_of(tmp_path, "stopped", early_stopping=3)
    assert 4 <= len(losses) < 30  # random parts are soon learnt by heart
    best = len(losses) - 3
    shorter, _ = flow_of(tmp_path, "shorter", epochs=best)
    longer, _ = flow_of(tmp_path, "longer", epochs=len(losses))
    for name, tensor in stopped.state_dict().items():
        assert torch.equal(tensor, shorter.state_dict()[name]), name
    assert held_out_loss(stopped, tmp_path) < held_out_loss(longer, tmp_path)


def test_interrupted_training_that_stops_early_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, losses = flow_of(tmp_path, "whole", early_stopping=3)
    with pytest.raises(KeyboardInterrupt):
        flow_of(tmp_path, "parted", limit=2 * len(losses) - 1, early_stopping=3)
    resumed, again = flow_of(tmp_path, "parted", early_stopping=3)
    assert again == losses
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_mixed_precision_trains_full_precision_weights_to_a_like_loss(tmp_path: Path) -> None:
    full, expected = flow_of(tmp_path, "full", epochs=4, learning_rate=0.005)
    mixed, losses = flow_of(tmp_path, "mixed", epochs=4, learning_rate=0.005, precision="bf16")
    assert losses != expected
    assert losses == pytest.approx(expected, rel=0.02)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    assert not torch.equal(mixed.blocks[0].net1.gamma, full.blocks[0].net1.gamma)  # type: ignore[union-attr, arg-type]


def test_features_that_are_not_finite_are_named(tmp_path: Path) -> None:
    store = store_of(tmp_path / "features", parts=3, seed=1)
    broken = np.load(store.paths[1])
    broken[1, 2, 0, 0] = np.nan
    np.save(store.paths[1], broken)
    with pytest.raises(DataError, match=rf"{store.paths[1].name}: .* not finite"):
        feature_statistics(store, "channel")


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_noise_is_one_map_per_part(mode: int) -> None:
    spec = NoiseSpec(mode=mode)  # type: ignore[arg-type]
    noise = draw_noise(spec, (64, 16, 16), torch.Generator().manual_seed(1))
    assert noise is not None
    assert noise.shape == (64, 1, 1, 16, 16)
    deviations = noise.flatten(1).std(1)
    if mode == 1:
        assert noise.std() == pytest.approx(0.15, rel=0.02)
        assert deviations.max() < 0.2
    elif mode == 2:  # c squared with c uniform: 1/3 in the mean, and far from equal
        assert deviations.mean() == pytest.approx(1 / 3, rel=0.3)
        assert deviations.max() > 0.7
    else:
        assert noise.min() >= 0
        assert 0.99 < noise.max() < 1


def test_mode_0_has_no_noise() -> None:
    assert draw_noise(NoiseSpec(mode=0), (2, 4, 4), torch.Generator()) is None


FULL_DISK = """
import resource, signal, sys, torch
from pathlib import Path
from edgeflow.errors import StorageError
from edgeflow_export.state_file import read_state, write_state

path = Path(sys.argv[1])
write_state(path, "w", {"losses": [1.0]})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # the system refuses more, as a full disk does
try:
    write_state(path, "w", {"flow": torch.zeros(1_000_000), "losses": [1.0, 0.5]})
except StorageError as error:
    print(error)
    sys.exit(0 if read_state(path, "w") == {"losses": [1.0]} and len(list(path.parent.iterdir())) == 1 else 1)
sys.exit(2)
"""


def test_full_disk_leaves_the_last_whole_state(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "flow.state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "flow.state: state cannot be written" in done.stdout
    assert "check space and rights" in done.stdout
