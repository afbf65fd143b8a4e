"""PostgreSQL's errors in words that say what to do."""

from __future__ import annotations

import psycopg
from psycopg import errors

__all__ = ["explained", "first_line"]

_REMEDIES: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.DiskFull, "its disk is full: {said}; make room there"),
    (errors.ReadOnlySqlTransaction, "it is read-only: {said}; connect to the server that takes writes"),
    (errors.InsufficientPrivilege, "{said}; give the user the right"),
    (errors.QueryCanceled, "it is too slow: {said}; see what else runs there"),
    (errors.LockNotAvailable, "too slow, or locked: {said}; see what else runs there"),
    (errors.UndefinedTable, "its tables are not what they should be: {said}; has somebody changed them?"),
    (errors.UndefinedColumn, "its tables are not what they should be: {said}; has somebody changed them?"),
)


def explained(cause: psycopg.Error) -> str:
    """Return the reason why the database takes nothing, and what to do."""
    said = first_line(cause)
    for kind, text in _REMEDIES:
        if isinstance(cause, kind):
            return text.format(said=said)
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return f"{said}; start the server, or check store.connection and store.password_file"
    return said


def first_line(cause: psycopg.Error) -> str:
    """Return the beginning of an error's own text, as one line."""
    lines = str(cause).strip().splitlines()
    return " ".join(line.strip() for line in lines[:2]) or type(cause).__name__
