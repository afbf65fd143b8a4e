"""Foreign checkpoint files: read without executing anything, recognised, refused where they do not fit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgeflow.errors import CheckpointError
from edgeflow_export import weight_files as published
from edgeflow_export.weight_files import identify, read_published, require_kind

KINDS = {"mvanet": "mvanet", "efficientnet_b5": "efficientnet_pytorch", "multiflow_small_cs_top": "multiflow"}


class Harmful:
    """Unpickling it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", KINDS)
def test_published_names_tell_whose_checkpoint_it_is(published: Path, name: str) -> None:
    names = set(json.loads((published / f"{name}_keys.json").read_text("utf-8")))
    assert identify(names) == KINDS[name]


def test_other_names_are_of_timm_or_unknown() -> None:
    assert identify({"conv_stem.weight", "blocks.0.0.conv_dw.weight"}) == "timm"
    assert identify({"layer1.0.conv1.weight"}) == "unknown"
    with pytest.raises(CheckpointError, match=r"no known kind \(its first tensor: layer1"):
        require_kind({"layer1.weight": torch.zeros(1)}, "mvanet")


def test_both_file_kinds_give_their_tensors(tmp_path: Path) -> None:
    state = {"a.weight": torch.arange(6.0).view(2, 3), "a.count": torch.tensor(3)}
    torch.save(state, tmp_path / "net.pth")
    save_file(state, tmp_path / "net.safetensors")
    for file in ("net.pth", "net.safetensors"):
        read = read_published(tmp_path / file)
        assert set(read) == set(state)
        assert all(torch.equal(read[name], state[name]) for name in state)


def test_file_that_executes_code_is_refused_and_nothing_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    torch.save({"a": Harmful(trace)}, tmp_path / "harmful.pth")
    (tmp_path / "harmful.pkl").write_bytes(pickle.dumps(Harmful(trace), protocol=2))
    for file in ("harmful.pth", "harmful.pkl"):
        with pytest.raises(CheckpointError, match=rf"{file}: .*execute code"):
            read_published(tmp_path / file)
    assert not trace.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net.{suffix}"
    save = torch.save if suffix == "pth" else save_file
    save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        read_published(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_published(tmp_path / "none.pth")


def test_training_state_is_refused_by_the_names_it_holds(tmp_path: Path) -> None:
    two = {"epoch": 3, "model": {"a": torch.zeros(1)}, "model_ema": {"a": torch.ones(1)}}
    torch.save(two, tmp_path / "training.pth")
    with pytest.raises(CheckpointError, match="not a plain state dict") as caught:
        read_published(tmp_path / "training.pth")
    assert caught.value.problems == ("no tensor: epoch", "no tensor: model", "no tensor: model_ema")


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "model_state", "weights"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model.", "_orig_mod."])
def test_one_state_dict_inside_a_training_state_is_read(tmp_path: Path, wrapper: str, prefix: str) -> None:
    state = {f"{prefix}{name}": torch.ones(1) for name in ("a.weight", "b.weight")}
    torch.save({"epoch": 3, wrapper: state}, tmp_path / "training.pth")
    assert set(read_published(tmp_path / "training.pth")) == {"a.weight", "b.weight"}


def test_a_state_dict_inside_two_training_states_is_read(tmp_path: Path) -> None:
    torch.save({"model": {"epoch": 1, "state_dict": {"a": torch.ones(1)}}}, tmp_path / "a.pth")
    assert set(read_published(tmp_path / "a.pth")) == {"a"}


def test_a_prefix_that_only_some_names_have_stays(tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "a.pth")
    assert set(read_published(tmp_path / "a.pth")) == {"module.a", "b"}


@pytest.mark.parametrize("version", ["2.9.1", "1.13.0+cu117"])
def test_torch_with_unsafe_reading_is_refused(version: str) -> None:
    with pytest.raises(CheckpointError, match=r"install torch >= 2\.10"):
        published._require_safe_torch(version)
    published._require_safe_torch("2.10.0+cpu")
