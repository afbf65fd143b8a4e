"""Several processes train as one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from edgeflow.errors import ConfigError
from edgeflow_export.distributed import ALONE, Processes, joined
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train as run_training
from tests.support.tiny import write_parts, write_recipe

LAUNCHER = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    write_parts(tmp_path / "parts", train=16, normal=1, defective=1)
    path = tmp_path / "recipe.yaml"
    write_recipe(path, tmp_path / "parts")
    content = yaml.safe_load(path.read_text())
    content["extractor"] = {"kind": "self_supervised", "channels": 8, "steps": 2, "batch": 2}
    content["training"] |= {"epochs": 3, "early_stopping": 2}
    path.write_text(yaml.safe_dump(content))
    return path


def train(recipe: Path, out: Path, *launcher: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *launcher, "edgeflow.cli", "train", str(recipe), "-o", str(out)]
    return subprocess.run(
        [*command, "--device", "cpu", "--json"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(out / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_processes_end_with_the_flow_of_one(recipe: Path, tmp_path: Path) -> None:
    one, two = train(recipe, tmp_path / "one"), train(recipe, tmp_path / "two", *LAUNCHER)
    assert (one.returncode, two.returncode) == (0, 0), two.stderr
    checkpoint = tmp_path / "two" / "checkpoint.safetensors"
    assert json.loads(two.stdout) == {"checkpoint": str(checkpoint)}  # said once, not by both
    alone, together = load_file(tmp_path / "one" / "checkpoint.safetensors"), load_file(checkpoint)
    moved = 0.0
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=2e-5, msg=name)
        if name.endswith("gamma"):
            moved = max(moved, float(tensor.abs().max()))
    assert moved > 1e-3  # gamma starts at 0: without training the flows would be equal all the same


def test_batch_that_cannot_be_split_evenly_is_refused(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training.batch: 4 parts .* evenly over 3 processes"):
        run_training(load_recipe(recipe), tmp_path / "out", processes=Processes(count=3))
    assert not (tmp_path / "out").exists()


def test_shares_of_all_processes_are_all_pieces() -> None:
    shares = [Processes(rank=rank, count=3).share(range(8)) for rank in range(3)]
    assert sorted(piece for share in shares for piece in share) == list(range(8))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_needs_no_launcher() -> None:
    with joined("cpu") as processes:
        assert processes == ALONE
        assert processes.mean(0.25) == 0.25
        assert processes.agree(3)


@pytest.mark.parametrize(("device", "message"), [("gpu", "allowed: auto, cpu"), ("cuda:99", "number 99")])
def test_device_that_is_not_there_is_refused(device: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message), joined(device):
        raise AssertionError
