"""Record file of an evidence folder: its files, the box that wrote it, and when."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from edgeflow.contracts.datasets.part_label import KeptWhy
from edgeflow.contracts.messages import Result

__all__ = ["RECORD_FILE", "RESULT_FILE", "EvidenceRecord", "folder_name", "read_record", "record_text"]

RECORD_FILE = "evidence.json"
RESULT_FILE = "result.json"
_SCHEMA = "edgeflow/evidence/1"
_RESULT_SCHEMA = "edgeflow/result/"
_MOST_BYTES = 4_000_000
_FILE_NAME = re.compile(r"(?!\.{1,2}$)[^/\x00]{1,255}")


@dataclass(frozen=True, kw_only=True)
class EvidenceRecord:
    """Record of one part's folder.

    Attributes:
        files: name → bytes, of every file that the box wrote beside this record.
        run_s: running time of the box (see :mod:`edgeflow.run_time`) when it was written; None for a folder
            of an earlier edgeflow, which wrote no such record.
        kept: why it was kept; None where the record does not say.
    """

    result_id: str
    files: Mapping[str, int]
    run_s: float | None = None
    kept: KeptWhy | None = None


def folder_name(result_id: str) -> str:
    """Return a result id as the name of a folder; what a file name cannot hold becomes ``_``."""
    return re.sub(r"[^A-Za-z0-9_.-]|^\.+", "_", result_id)


def record_text(result: Result, files: Mapping[str, int], run_s: float, kept: KeptWhy = "verdict") -> str:
    """Return the record as it is written; ``kept`` says why the part is kept."""
    document = {
        "schema": _SCHEMA,
        "result_id": result.result_id,
        "part_id": result.part_id,
        "site": result.site,
        "line": result.line,
        "station": result.station,
        "box": result.box,
        "decided_at": result.decided_at,
        "run_s": round(run_s, 3),
        "kept": kept,
        "files": dict(files),
    }
    if result.product is not None:
        document["product"] = result.product
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def read_record(folder: Path, name: str | None = None) -> EvidenceRecord | None:
    """Read the record of a folder; None where it has none of this program, or that of another folder.

    Args:
        name: that the folder should have, where it has another one for the moment.
    """
    found = _record(_document(folder / RECORD_FILE)) or _earlier_record(_document(folder / RESULT_FILE))
    if found is None or folder_name(found.result_id) != (name or folder.name):
        return None
    return found


def _record(document: Mapping[str, Any]) -> EvidenceRecord | None:
    result_id, files, run_s = (document.get(name) for name in ("result_id", "files", "run_s"))
    if document.get("schema") != _SCHEMA or not isinstance(result_id, str) or not isinstance(files, dict):
        return None
    if not isinstance(run_s, (int, float)) or not math.isfinite(run_s):
        return None
    sizes = {name: size for name, size in files.items() if _FILE_NAME.fullmatch(name) and type(size) is int}
    kept = document.get("kept")
    return EvidenceRecord(
        result_id=result_id,
        files={**sizes, RECORD_FILE: 0},
        run_s=float(run_s),
        kept=kept if kept in get_args(KeptWhy) else None,
    )


def _earlier_record(document: Mapping[str, Any]) -> EvidenceRecord | None:
    """Return the record of an earlier edgeflow's folder: the views of the result name the other files."""
    result_id, views = document.get("result_id"), document.get("views")
    if not str(document.get("schema")).startswith(_RESULT_SCHEMA) or not isinstance(result_id, str):
        return None
    ids = [str(view.get("id")) for view in views if isinstance(view, dict)] if isinstance(views, list) else []
    names = [f"{view}{end}" for view in ids for end in (".png", "_heat.png", "_map.npy")]
    sizes = {name: 0 for name in (*names, RESULT_FILE) if _FILE_NAME.fullmatch(name)}
    return EvidenceRecord(result_id=result_id, files=sizes)


def _document(path: Path) -> Mapping[str, Any]:
    """Read a small JSON object; empty where the file is a link, missing, too large or something else."""
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return {}
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
