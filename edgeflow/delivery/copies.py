"""A stored record as it is sent: with which copy of it this is."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["copy_of", "with_gate_told"]

_AS_STORED = b',"replayed":false,"attempt":1}'  # the last fields of every record that is delivered
_NOT_KNOWN = b',"gate_told":null,'  # in a text of the record, the quotation marks would have a backslash


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


def with_gate_told(payload: bytes, told: bool | None) -> bytes:
    """The payload with what is known of its decision by now; what it says already stands."""
    if told is None:
        return payload
    return payload.replace(_NOT_KNOWN, f',"gate_told":{str(told).lower()},'.encode(), 1)
