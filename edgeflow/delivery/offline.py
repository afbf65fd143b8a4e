"""An outbox without its box: counted, exported, restored and delivered by another process."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeflow.config.box import BoxConfig
from edgeflow.delivery.outbox import open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.delivery.store.aside import list_aside, restore_rows
from edgeflow.delivery.store.database_file import claim, is_up_to_date, mapped, open_file, read_only
from edgeflow.delivery.store.records import DROPPED, Aside
from edgeflow.mqtt.link import MqttLink
from edgeflow.run_time import parse_run_time, read_boot

__all__ = [
    "count_undelivered",
    "deliver",
    "read_set_aside",
    "restore_results",
    "stored_payloads",
    "summarise",
    "wait_until_empty",
]

_LOOK_S = 0.2


def read_set_aside(path: Path) -> list[Aside]:
    """Read the results that are kept but not sent, oldest first.

    Raises:
        StorageError: the outbox cannot be read.
    """
    if not path.exists():
        return []
    with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
        return list_aside(connection)


def restore_results(path: Path, ids: tuple[int, ...] | None) -> int:
    """Mark results that were set aside as waiting again, and return how many; a running box notices them.

    Args:
        ids: None for all of them; unknown ids are ignored.

    Raises:
        StorageError: the outbox cannot be written.
    """
    if not path.exists():
        return 0
    _bring_up_to_date(path)
    with mapped(path, "written"):
        connection = open_file(path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            count = restore_rows(connection, ids)
            connection.execute("COMMIT")
        finally:
            connection.close()
    return count


def summarise(path: Path) -> dict[str, Any]:
    """Count and date the stored results; the box that writes the file may run meanwhile.

    Raises:
        StorageError: the outbox cannot be read.
    """
    damaged = sorted(p.name for p in path.parent.glob(f"{path.name}.damaged-*") if p.suffix != "-shm")
    found: dict[str, Any] = {
        "path": str(path), "waiting": {}, "mb": 0.0, "oldest_age_s": None, "drops": [], "aside": 0,
        "damaged": [name for name in damaged if not name.endswith(("-wal", "-shm"))],
    }  # fmt: skip
    if not path.exists():
        return found
    with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
        query = (
            "SELECT verdict, COUNT(*), SUM(LENGTH(payload)), MIN(run_s) FROM results WHERE aside IS NULL"
            " GROUP BY verdict"
        )
        rows = connection.execute(query).fetchall()
        drops = connection.execute("SELECT first, last, count, why, at FROM drops ORDER BY id").fetchall()
        found["aside"] = len(list_aside(connection))
        kept = connection.execute("SELECT value FROM meta WHERE key = 'run_time'").fetchone()
    now_s = parse_run_time(kept[0] if kept else None, read_boot()).run_s
    found["waiting"] = {verdict: count for verdict, count, _, _ in rows}
    found["mb"] = round(sum(size for _, _, size, _ in rows) / 1e6, 3)
    oldest_s = min((oldest for _, _, _, oldest in rows), default=None)
    found["oldest_age_s"] = None if oldest_s is None else round(max(0.0, now_s - oldest_s), 1)
    found["drops"] = [dict(zip(("from", "to", "count", "why", "at"), drop, strict=True)) for drop in drops]
    return found


def count_undelivered(path: Path) -> int:
    """Count what is to be delivered: the rows that wait, and drops that have no record yet as one.

    Raises:
        StorageError: the outbox cannot be read.
    """
    if not path.exists():
        return 0
    with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
        query = (
            "SELECT (SELECT COUNT(*) FROM results WHERE aside IS NULL)"
            " + EXISTS (SELECT 1 FROM drops WHERE open)"
        )
        (count,) = connection.execute(query).fetchone()
    return int(count)


def stored_payloads(path: Path, *, aside: bool) -> Iterator[bytes]:
    """Yield the stored results as JSON, oldest first: those that wait, or those that are set aside.

    Raises:
        StorageError: the outbox cannot be read.
    """
    if not path.exists():
        return
    with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
        state = "IS NOT NULL" if aside else "IS NULL"
        query = f"SELECT payload FROM results WHERE verdict != ? AND aside {state} ORDER BY id"  # noqa: S608
        for (payload,) in connection.execute(query, (DROPPED,)):
            yield bytes(payload)


def deliver(config: BoxConfig, timeout_s: float) -> int:
    """Send the stored results from this process for at most ``timeout_s``; return how many still wait.

    Raises:
        StorageError: another process holds the outbox, or it cannot be written.
    """
    outbox = open_outbox(config.outbox, root=config.topic_root)
    try:
        link = MqttLink(config, f"flush-{uuid.uuid4().hex[:8]}")
        delivery = ResultSender(outbox, link, config.outbox.confirm)
        link.start()
        delivery.start()
        left = delivery.close(timeout_s)
        link.stop()
        outbox.flush()
    finally:
        outbox.close()
    return left


def wait_until_empty(path: Path, timeout_s: float) -> int:
    """Wait while a running box empties its outbox; return how many results still wait after ``timeout_s``."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        left = count_undelivered(path)
        if not left or time.monotonic() >= deadline_s:
            return left
        time.sleep(_LOOK_S)


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that reads, also a file that an earlier edgeflow left."""
    _bring_up_to_date(path)
    return read_only(path)


def _bring_up_to_date(path: Path) -> None:
    if is_up_to_date(path):
        return
    lock = claim(path)  # a running box has done it already, unless it is an earlier edgeflow
    try:
        open_file(path).close()
    finally:
        os.close(lock)
