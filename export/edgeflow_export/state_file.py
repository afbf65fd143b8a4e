"""State files of interrupted work: written whole or not at all, tied to the work they belong to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgeflow.errors import CheckpointError, StorageError

__all__ = ["read_state", "write_state"]


def write_state(path: Path, fingerprint: str, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values under a temporary name, then rename.

    Args:
        fingerprint: of the work, to be recognised when it is taken up again.

    Raises:
        StorageError: the folder cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"fingerprint": fingerprint, "state": dict(state)}, partial)
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except (OSError, RuntimeError) as cause:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: state cannot be written: {cause}; check space and rights") from cause


def read_state(path: Path, *fingerprints: str) -> dict[str, Any] | None:
    """The state of interrupted work; None where there is none.

    Args:
        fingerprints: of the work, as this version and as earlier ones write it.

    Raises:
        CheckpointError: unreadable, or of another recipe or other data.
    """
    if not path.is_file():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, state = content["fingerprint"], dict(content["state"])
    except Exception as cause:  # torn bytes make the reader stumble anywhere
        raise CheckpointError(
            f"{path}: interrupted training cannot be taken up: {cause}; start anew with --restart"
        ) from cause
    if found not in fingerprints:
        raise CheckpointError(
            f"{path}: interrupted training of another recipe or other data; start anew with --restart, "
            "or choose another output folder"
        )
    return state
