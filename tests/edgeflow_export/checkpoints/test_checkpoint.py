"""Checkpoints: the whole model comes back, or the reason is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from edgeflow.errors import CheckpointError, StorageError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from tests.support.tiny import TinyProduct


def altered(
    source: Path,
    target: Path,
    *,
    without: str = "",
    extra: dict[str, torch.Tensor] | None = None,
    header: dict[str, object] | None = None,
) -> Path:
    """A copy of a checkpoint with tensors left out or added, or another header."""
    with safe_open(source, framework="pt") as file:
        metadata = json.loads(file.metadata()["edgeflow"]) | (header or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if without:
        del tensors[without]
    save_file(tensors | (extra or {}), target, metadata={"edgeflow": json.dumps(metadata)})
    return target


def test_saved_model_computes_the_same_after_loading(tiny: TinyProduct, tmp_path: Path) -> None:
    model = load_checkpoint(tiny.checkpoint)
    save_checkpoint(tmp_path / "again.safetensors", model)
    again = load_checkpoint(tmp_path / "again.safetensors")
    images = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(again.module(images), model.module(images), rtol=0, atol=0)
    assert again.recipe == model.recipe
    assert again.views == ("C1", "C2", "C3")
    assert again.statistics is not None
    assert model.statistics is not None
    np.testing.assert_array_equal(again.statistics.mean, model.statistics.mean)
    assert not any(module.training for module in again.module.modules())


def test_missing_and_unused_tensors_are_all_named(tiny: TinyProduct, tmp_path: Path) -> None:
    name = "flow.blocks.0.net1.gamma"
    path = altered(tiny.checkpoint, tmp_path / "c", without=name, extra={"surplus": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="do not fit") as caught:
        load_checkpoint(path)
    assert caught.value.exit_code == 2
    assert caught.value.problems == (f"missing: {name}", "not used: surplus")


def test_tensor_of_another_shape_is_named_with_both_shapes(tiny: TinyProduct, tmp_path: Path) -> None:
    path = altered(tiny.checkpoint, tmp_path / "c", extra={"flow.blocks.0.net1.gamma": torch.zeros(7)})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert caught.value.problems == ("flow.blocks.0.net1.gamma: shape (7,), needed (3,)",)


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="edgeflow train"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04pickle" * 50])
def test_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a safetensors checkpoint"):
        load_checkpoint(path)


def test_safetensors_of_another_program_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="not a checkpoint of this program"):
        load_checkpoint(tmp_path / "c")


def test_recipe_inside_is_validated(tiny: TinyProduct, tmp_path: Path) -> None:
    path = altered(tiny.checkpoint, tmp_path / "c", header={"recipe": {"name": "x", "surprise": 1}})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert any("surprise" in problem for problem in caught.value.problems)


def test_folder_that_cannot_be_made_is_a_storage_error(tiny: TinyProduct, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        save_checkpoint(tmp_path / "file" / "c.safetensors", load_checkpoint(tiny.checkpoint))
