"""Losses and times of every epoch: a CSV file beside the checkpoint and, where wanted, TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.errors import StorageError, UsageError

__all__ = ["HISTORY_NAME", "Epoch", "TensorBoard", "write_history"]

HISTORY_NAME = "history.csv"


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One pass over the training parts.

    Attributes:
        loss: mean over the batches.
        held_out_loss: of the held-out normal parts, without noise.
        seconds: of training and judging; nan where an earlier version did not note it.
    """

    number: int
    loss: float
    held_out_loss: float
    seconds: float


def write_history(path: Path, epochs: Iterable[Epoch]) -> None:
    """Write the CSV file whole.

    Raises:
        StorageError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("epoch", "loss", "held_out_loss", "seconds"))
    for epoch in epochs:
        figures = (epoch.loss, epoch.held_out_loss, round(epoch.seconds, 3))
        writer.writerow((epoch.number, *("" if math.isnan(figure) else figure for figure in figures)))
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text.getvalue(), "utf-8")
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause


class TensorBoard:
    """Curves of losses for TensorBoard, which is a package of its own.

    Args:
        folder: for its event files.

    Raises:
        UsageError: the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - only where asked for
        except ImportError as cause:
            raise UsageError(
                "--tensorboard needs a package that is not installed; run: pip install tensorboard"
            ) from cause
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, epochs: Sequence[Epoch]) -> None:
        """Add epochs; those that are there already are drawn over."""
        for epoch in epochs:
            self._writer.add_scalar("loss", epoch.loss, epoch.number)
            if not math.isnan(epoch.held_out_loss):
                self._writer.add_scalar("held_out_loss", epoch.held_out_loss, epoch.number)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self._writer.close()
