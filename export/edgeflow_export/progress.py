"""One look for all progress bars."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["announce", "progress_bar"]


def progress_bar(*, enabled: bool) -> Progress:
    """A progress display on standard error; it shows nothing where not enabled.

    Tasks may carry a field ``note``, shown at the end of their line.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        disable=not enabled,
    )


def announce(message: str, *, enabled: bool) -> None:
    """One line on standard error, where progress is shown."""
    if enabled:
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
