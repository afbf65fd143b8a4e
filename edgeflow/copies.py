"""A stored record as it is sent: with which copy of it this is."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["copy_of"]

_AS_STORED = b',"replayed":false,"attempt":1}'  # the last fields of every record that is delivered


def copy_of(payload: bytes, record: dict[str, Any], *, replayed: bool, attempt: int) -> bytes:
    """The payload for one sending.

    Args:
        payload: as stored; only its end is changed, which costs less than writing the record anew.
        record: the same, read; for what an earlier edgeflow stored with its fields in another order.
    """
    if payload.endswith(_AS_STORED):
        copy = f',"replayed":{"true" if replayed else "false"},"attempt":{attempt}}}'
        return payload.removesuffix(_AS_STORED) + copy.encode()
    record = record | {"replayed": replayed, "attempt": attempt}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
