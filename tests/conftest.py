"""Where things are, and the fixtures that all tests share."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.tiny"]

if "PYTEST_XDIST_WORKER" in os.environ:  # before any library starts its threads
    _WORKERS = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _WORKERS)))

# The same examples in every run, however slow the machine is: a test that fails once fails again.
settings.register_profile(
    "repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


SYSTEM = Path(__file__).parent / "system"
"""Its ``conftest.py`` marks its tests."""

LONGEST_FIRST = (
    "system/workstation/test_official",
    "system/box/test_fault",
    "system",
    "tools",
    "edgeflow_export",
)
"""Folders and files in the order in which they begin; a worker must not be left alone with a long one."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import none of the files that hold no test of ``-m alone``: importing all takes most of a minute."""
    if config.option.markexpr != "alone" or collection_path.suffix != ".py":
        return None
    if SYSTEM in collection_path.parents or b"pytest.mark.alone" in collection_path.read_bytes():
        return None
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; keep a file's tests on one worker: they share what is costly to make."""
    items.sort(key=lambda item: _turn(item.path))
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path)))


def _turn(path: Path) -> int:
    """Place of a file in the order of ``LONGEST_FIRST``."""
    place = path.relative_to(Path(__file__).parent).as_posix()
    return next((n for n, start in enumerate(LONGEST_FIRST) if place.startswith(start)), len(LONGEST_FIRST))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def published(repository: Path) -> Path:
    """Outputs of the published implementations, with the names of their checkpoints' tensors."""
    return repository / "tests" / "golden" / "published"


@pytest.fixture(scope="session")
def shared(repository: Path) -> Path:
    """The folder of reference material beside the repository; a test that needs it skips without it."""
    folder = repository.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture(autouse=True)
def _log_as_python_leaves_it() -> None:
    """Libraries that one test loads may quieten all logging; no other test may depend on that."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
