"""A finding of a check: the thing that was examined, and its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeflow.errors import EdgeflowError

__all__ = ["Finding", "Report", "State", "failed", "failures", "listed", "ok", "warning"]

State = Literal["ok", "warning", "failed"]

_MOST_PER_CHECK = 20  # findings; a recording with a thousand broken parts needs no more


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at; ``text`` says what was found and, if it is not well, what to do.

    Attributes:
        grave: a warning that parts may be judged wrongly; the box runs all the same.
    """

    name: str
    state: State
    text: str
    grave: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """All findings, in the order of the box file."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if the box can run; warnings allow it."""
        return all(finding.state != "failed" for finding in self.findings)


def ok(name: str, text: str) -> Finding:
    """A finding without a problem."""
    return Finding(name=name, state="ok", text=text)


def warning(name: str, text: str, *, grave: bool = False) -> Finding:
    """A finding that does not stop the box."""
    return Finding(name=name, state="warning", text=text, grave=grave)


def failed(name: str, text: str) -> Finding:
    """A finding that stops the box."""
    return Finding(name=name, state="failed", text=text)


def failures(name: str, error: EdgeflowError) -> list[Finding]:
    """A finding for each problem of an error."""
    return listed(list(error.problems) or [error.message], name, failed)


def listed(problems: Sequence[str], name: str, made: Callable[[str, str], Finding]) -> list[Finding]:
    """A finding for each problem, and one that says how many more there are where they are many."""
    more = len(problems) - _MOST_PER_CHECK
    texts = [*problems[:_MOST_PER_CHECK], *([f"and {more} more problems"] if more > 0 else [])]
    return [made(name, text) for text in texts]
