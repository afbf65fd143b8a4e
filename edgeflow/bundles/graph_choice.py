"""The graph that somebody chose for a bundle on this box, by measuring; kept by the bundle's hash."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from edgeflow.bundles.version_record import Sha256
from edgeflow.contracts.documents.document import Document
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically

__all__ = ["CHOICES_NAME", "GraphChoices", "keep_choice", "read_choices"]

CHOICES_NAME = "graph_choice.json"
"""The file lies beside the outbox, as the record of versions does."""
_MAX_BYTES = 1024 * 1024
_MOST = 64


class GraphChoices(Document):
    """Bundle's hash → the chosen graph's id, the latest choice last."""

    schema_: Literal["edgeflow/graph-choice/1"] = Field(default="edgeflow/graph-choice/1", alias="schema")
    bundles: dict[Sha256, str] = Field(default_factory=dict)


def read_choices(path: Path) -> GraphChoices:
    """Read what was chosen on this box; a box where nothing was chosen has no file.

    Raises:
        StorageError: unreadable or damaged.
    """
    try:
        with path.open("rb") as file:
            return GraphChoices.model_validate_json(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return GraphChoices()
    except (OSError, ValidationError) as cause:
        raise StorageError(
            f"{path}: the choice of a graph cannot be read; remove the file, and choose again with 'edgeflow "
            "bench BUNDLE --choose BOX'"
        ) from cause


def keep_choice(path: Path, sha256: str, graph: str | None) -> None:
    """Keep the choice for one bundle; of more than 64 bundles the oldest is forgotten.

    Args:
        graph: id; None forgets the choice, so that the bundle's own order holds.

    Raises:
        StorageError: the file cannot be read or written.
    """
    before = read_choices(path)
    others = {key: name for key, name in before.bundles.items() if key != sha256}
    kept = {**others, sha256: graph} if graph is not None else others
    after = GraphChoices(bundles=dict(list(kept.items())[-_MOST:]))
    if after == before:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_atomically(path) as file:
            file.write(after.model_dump_json(by_alias=True, indent=1).encode())
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause
