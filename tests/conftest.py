"""Where things are, and the fixtures that all tests share."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

pytest_plugins = ["tests.support.tiny"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def published(repository: Path) -> Path:
    """What the published implementations compute, with the names of their checkpoints' tensors."""
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
