"""JSON on standard output, one document a line."""

from __future__ import annotations

import json
import sys

__all__ = ["print_json"]


def print_json(data: object) -> None:
    """One JSON document on one line; a value that JSON does not have (NaN) is a programming error."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()
