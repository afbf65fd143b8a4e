"""One look for all progress: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["announce", "progress_bar"]

LINE_EVERY_S = 30.0


class _Lines(Progress):
    """Progress without a terminal: a line for every half minute, since a bar would show only its end."""

    def __init__(self, *columns: ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._said_s = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        task, now_s = self.tasks[self.task_ids.index(task_id)], time.monotonic()
        if not self.disable and not task.finished and now_s - self._said_s >= LINE_EVERY_S:
            self._said_s = now_s
            left = f", {task.time_remaining:.0f} s to go" if task.time_remaining else ""
            line = f"{task.description} {task.completed:.0f} of {task.total or 0:.0f}{left}"
            note = f" {task.fields['note']}" if task.fields["note"] else ""
            self.console.print(line + note, highlight=False, markup=False, soft_wrap=True)


def progress_bar(*, enabled: bool) -> Progress:
    """A progress display on standard error; it shows nothing where not enabled.

    Tasks may carry a field ``note``, shown at the end of their line.
    """
    console = Console(stderr=True)
    kind = Progress if console.is_terminal else _Lines
    return kind(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not enabled,
    )


def announce(message: str, *, enabled: bool) -> None:
    """One line on standard error, where progress is shown."""
    if enabled:
        Console(stderr=True).print(message, highlight=False, soft_wrap=True, markup=False)
