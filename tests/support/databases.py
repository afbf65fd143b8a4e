"""A real PostgreSQL for tests; without it tests fail in CI, and are skipped elsewhere."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.postgresql import Postgresql, postgresql_programs

__all__ = ["postgresql_server"]


def postgresql_server() -> Iterator[Postgresql]:
    """A running server in a short folder, since a socket's path is short."""
    if postgresql_programs() is None:
        hint = "no PostgreSQL here; install it: sh tools/system_packages.sh database"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = Postgresql(folder / "s")
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)
