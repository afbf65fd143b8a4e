"""Progress of an inspection: whoever shows it wraps what is gone through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["SILENT", "Progress"]

T = TypeVar("T")


class Progress(Protocol):
    """Passes on what it is given, and may show how much has been passed on."""

    def __call__(self, items: Iterable[T], /, what: str, total: int) -> Iterable[T]:
        """The items, one after another.

        Args:
            what: is done with them, in one or two words.
            total: number of items.
        """


def _silent(items: Iterable[T], /, what: str, total: int) -> Iterator[T]:  # noqa: ARG001 - the protocol's
    yield from items


SILENT: Progress = _silent
