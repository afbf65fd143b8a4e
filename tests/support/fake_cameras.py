"""Real GigE Vision cameras for tests; where they cannot be, CI fails and other places skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from simulators import gige_cameras as fake_gige
from simulators.gige_cameras import FakeCamera

__all__ = ["FakeCamera", "fake_cameras", "need"]

HINT = "run, as root: sh tools/system_packages.sh cameras"


def need(condition: object, what: str) -> None:
    """Fail in CI, skip elsewhere, where something is not installed."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what}; {HINT}")
    pytest.skip(f"{what}; {HINT}")


@contextmanager
def fake_cameras(count: int, *, lost_per_mille: int = 0) -> Iterator[list[FakeCamera]]:
    """Cameras with serials FAKE2, FAKE3, … at 127.0.0.2, 127.0.0.3, …"""
    with ExitStack() as stack:
        try:
            cameras = stack.enter_context(fake_gige.fake_cameras(count, lost_per_mille=lost_per_mille))
        except fake_gige.NotPossibleError as cause:
            need(None, str(cause))
        yield cameras
