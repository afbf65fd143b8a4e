"""Errors that edgeflow raises on purpose, with their exit codes.

::

    EdgeflowError              what, where, what to do next
    ├── ThreadError         1  a part of a running box died
    ├── UsageError          2  something that the user gave cannot be used
    │   ├── ConfigError        a box file or a recipe; carries every problem found
    │   ├── DataError          images, parts, data sets
    │   └── CheckpointError    a checkpoint that does not fit
    ├── ParityError         3  a graph does not compute what the trained model computes
    ├── AccuracyError       4  quantization changes verdicts beyond the budget
    ├── IntegrityError      5  a bundle that is incomplete, altered or too new
    └── HardwareError       6  what the machine has to provide
        ├── CameraError        a camera that cannot be opened, read or trusted
        ├── DeviceError        an inference back end or device that is not there
        └── StorageError       a disk or database that cannot be written
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AccuracyError",
    "CameraError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "EdgeflowError",
    "HardwareError",
    "IntegrityError",
    "ParityError",
    "StorageError",
    "ThreadError",
    "UsageError",
    "failure_text",
]


class EdgeflowError(Exception):
    """Base of all errors a user can act on.

    Args:
        message: what is wrong, where, and what to do next.
        problems: every single problem, where several were found at once.
    """

    exit_code = 1

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  - {problem}" for problem in self.problems)])


class ThreadError(EdgeflowError):
    """A thread of a running box died, so that the box cannot go on."""


class UsageError(EdgeflowError):
    """Something that the user gave cannot be used."""

    exit_code = 2


class ConfigError(UsageError):
    """A box file or a recipe is wrong; ``problems`` holds everything found."""


class DataError(UsageError):
    """Images, parts or data sets are missing, unreadable or contradictory."""


class CheckpointError(UsageError):
    """A checkpoint is not what its slot needs."""


class ParityError(EdgeflowError):
    """A graph does not compute what the trained model computes."""

    exit_code = 3


class AccuracyError(EdgeflowError):
    """Quantization changes scores or verdicts beyond the budget."""

    exit_code = 4


class IntegrityError(EdgeflowError):
    """A bundle is incomplete, altered or of a newer format."""

    exit_code = 5


class HardwareError(EdgeflowError):
    """Something that the machine has to provide is not there."""

    exit_code = 6


class CameraError(HardwareError):
    """A camera cannot be opened, read or trusted."""


class DeviceError(HardwareError):
    """An inference back end or device is not there or fails."""


class StorageError(HardwareError):
    """A disk or database cannot be read or written."""


def failure_text(error: BaseException) -> str:
    """Return one sentence for people: the error's own, or the name and text of a foreign error."""
    return error.message if isinstance(error, EdgeflowError) else f"{type(error).__name__}: {error}"
