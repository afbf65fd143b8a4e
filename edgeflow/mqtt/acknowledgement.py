"""Acknowledgements of a consumer: the result ids in its message; a wrong entry is ignored alone."""

from __future__ import annotations

import json

from edgeflow.contracts.messages import Ack, from_json
from edgeflow.errors import DataError

__all__ = ["confirmed_ids"]

_ENTRIES_PER_ACK = 1000


def confirmed_ids(payload: bytes) -> tuple[tuple[str, ...], str]:
    """Return the ids in a message on ``result/ack``, and its problem; empty where there is none.

    A consumer that confirms more results at once than the schema allows, or a name that is none among them,
    would otherwise get the same results again and again, and confirm them in the same way.

    Raises:
        DataError: it is no such message.
    """
    try:
        return from_json(Ack, payload).result_ids, ""
    except DataError as problem:
        ids = _readable_ids(payload)
        if not ids:
            raise
        return ids, "; ".join([problem.message, *problem.problems[:3]])


def _readable_ids(payload: bytes) -> tuple[str, ...]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return ()
    listed = document.get("result_ids") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        return ()
    names = [name for name in listed if isinstance(name, str) and name.isprintable()]
    found: list[str] = []
    for start in range(0, len(names), _ENTRIES_PER_ACK):
        chunk = names[start : start + _ENTRIES_PER_ACK]
        try:  # the rest of the message has to be right
            found += from_json(Ack, json.dumps({**document, "result_ids": chunk}).encode()).result_ids
        except DataError:
            return ()
    return tuple(found)
