"""State file of the drift monitor: written by the running box, read by page and shift report."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeflow.files import replace_atomically
from edgeflow.monitoring.drift.chart import DriftChart, Sum
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.reference import Reference
from edgeflow.monitoring.drift.view import ViewDrift, ViewScore

__all__ = ["read_state", "write_state"]

logger = logging.getLogger(__name__)

_SCHEMA = "edgeflow/drift/1"


def write_state(path: Path, state: DriftState) -> None:
    """Write the state; the file before stays where that fails.

    Raises:
        OSError: it cannot be written.
    """
    head = {"schema": _SCHEMA, "bundle": state.bundle, "graph": state.graph, "bound": state.bound}
    # View by view: the line's thread cannot run while JSON of one is made.
    views = ", ".join(f"{json.dumps(name)}: {json.dumps(_document(v))}" for name, v in state.views.items())
    with replace_atomically(path) as file:
        file.write(f'{json.dumps(head)[:-1]}, "views": {{{views}}}}}'.encode())


def read_state(path: Path) -> DriftState | None:
    """Return the state of a file; None where there is none that this version can read."""
    try:
        document = json.loads(path.read_bytes())
        return _parsed(document) if document["schema"] == _SCHEMA else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as cause:
        logger.warning("drift of scores %s: cannot be read (%s); it is learned anew", path, cause)
        return None


def _document(view: ViewDrift) -> dict[str, Any]:
    reference = view.reference
    return {
        "learned": view.learned,
        "reference": None
        if reference is None
        else {"scores": reference.scores, "correlation": reference.correlation},
        "unmasked": view.unmasked,
        "offset": view.offset,
        "chart": asdict(view.chart),
    }


def _parsed(document: Mapping[str, Any]) -> DriftState:
    return DriftState(
        bundle=str(document["bundle"]),
        graph=str(document["graph"]),
        bound=float(document["bound"]),
        views={str(name): _view(view) for name, view in document["views"].items()},
    )


def _view(document: Mapping[str, Any]) -> ViewDrift:
    chart, reference = document["chart"], document["reference"]
    return ViewDrift(
        learned=tuple(ViewScore(*score) for score in document["learned"]),
        reference=None
        if reference is None
        else Reference(
            scores=tuple(map(float, reference["scores"])), correlation=float(reference["correlation"])
        ),
        unmasked=bool(document["unmasked"]),
        offset=float(document["offset"]),
        chart=DriftChart(**{**chart, "up": Sum(**chart["up"]), "down": Sum(**chart["down"])}),
    )
