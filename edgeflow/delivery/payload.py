"""Bytes of a stored record as they are sent: marked as replayed or not, with the number of the attempt."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["mark_replayed"]

_AS_STORED = b',"replayed":false,"attempt":1}'  # the last fields of every record that is delivered


def mark_replayed(payload: bytes, record: dict[str, Any], *, replayed: bool, attempt: int) -> bytes:
    """Return the payload of one attempt.

    Args:
        payload: as stored; only its end is changed, which costs less than writing the record anew.
        record: ``payload`` parsed; used where an earlier edgeflow stored the fields in another order.
        replayed: True where the result is older than the connection, or was sent before.
        attempt: counts from 1.
    """
    if payload.endswith(_AS_STORED):
        copy = f',"replayed":{"true" if replayed else "false"},"attempt":{attempt}}}'
        return payload.removesuffix(_AS_STORED) + copy.encode()
    record = record | {"replayed": replayed, "attempt": attempt}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
