"""The record that a training keeps of its epochs."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from edgeflow.errors import StorageError, UsageError
from edgeflow_export.training.history import Epoch, TensorBoard, write_history

EPOCHS = [
    Epoch(number=1, loss=1.5, held_out_loss=math.nan, seconds=math.nan),
    Epoch(number=2, loss=1.25, held_out_loss=2.5, seconds=0.12345),
]


def test_history_is_a_table_with_gaps_where_nothing_was_noted(tmp_path: Path) -> None:
    write_history(tmp_path / "run" / "history.csv", EPOCHS)
    text = (tmp_path / "run" / "history.csv").read_text("utf-8")
    assert text == "epoch,loss,held_out_loss,seconds\n1,1.5,,\n2,1.25,2.5,0.123\n"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["history.csv"]


def test_history_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError, match=r"history.csv: cannot be written"):
        write_history(tmp_path / "run" / "history.csv", EPOCHS)


def test_curves_are_written_for_tensorboard_or_the_missing_package_is_named(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorboard") is None:
        with pytest.raises(UsageError, match="pip install tensorboard"):
            TensorBoard(tmp_path)
        return
    board = TensorBoard(tmp_path)
    board.write(EPOCHS)
    board.close()
    assert [path for path in tmp_path.iterdir() if path.stat().st_size > 100]
