"""Settings of a session with PostgreSQL, by which no statement waits for ever."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import psycopg

__all__ = ["first_row", "prepare_session"]

logger = logging.getLogger(__name__)

_SESSION = {
    "statement_timeout": "30s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "client_encoding": "UTF8",
}


def prepare_session(connection: psycopg.Connection[tuple[Any, ...]], schema: str, where: str) -> None:
    """Give a new connection its settings; warn where the server may lose what it confirmed.

    Args:
        where: the server and its database, for the log.
    """
    for name, value in _SESSION.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    connection.execute("SELECT set_config('search_path', %s, false)", (schema,))
    if first_row(connection, "SHOW synchronous_commit")[0] == "off":  # an acknowledged result may be lost
        connection.execute("SET synchronous_commit TO on")
    if first_row(connection, "SHOW fsync")[0] == "off":
        logger.warning("PostgreSQL (%s): fsync is off: a power cut loses results", where)


def first_row(connection: psycopg.Connection[Any], query: Any, values: Sequence[Any] = ()) -> tuple[Any, ...]:
    """Return the first row of a query's answer.

    Raises:
        psycopg.DatabaseError: there is none.
    """
    found = connection.execute(query, values or None).fetchone()
    if found is None:
        raise psycopg.DatabaseError("the database answers with nothing")
    row: tuple[Any, ...] = found
    return row
