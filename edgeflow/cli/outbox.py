"""What ``edgeflow outbox`` does: a look at the file beside its writer, and delivery by hand."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from edgeflow.cli.output import print_json
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.delivery.outbox import open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.delivery.store.aside import list_aside as read_aside
from edgeflow.delivery.store.aside import restore_rows
from edgeflow.delivery.store.database_file import claim, is_up_to_date, mapped, open_file, read_only
from edgeflow.delivery.store.records import DROPPED
from edgeflow.errors import HardwareError, StorageError, UsageError
from edgeflow.mqtt.link import MqttLink
from edgeflow.run_time import parse_run_time, read_boot

__all__ = ["export", "flush", "list_aside", "restore", "status"]

_LOOK_S = 0.2


def status(box: Path, *, json_output: bool) -> None:
    """Print what waits.

    Raises:
        StorageError: the outbox cannot be read.
    """
    path = load_config(box).outbox.path
    found = _summary(path)
    if json_output:
        print_json(found)
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    parts = ", ".join(f"{count} {verdict}" for verdict, count in found["waiting"].items()) or "nothing"
    console.print(f"{path}: {parts} waiting ({found['mb']:g} MB)")
    if found["oldest_age_s"] is not None:
        console.print(f"the oldest waits since {found['oldest_age_s']:.0f} s")
    for drop in found["drops"]:
        span = f"{drop['count']} results from {drop['from']} to {drop['to']}"
        console.print(f"given up: {span} ({drop['why']}, {drop['at']})")
    if found["aside"]:
        console.print(
            f"set aside: {found['aside']} results that cannot be delivered; see 'edgeflow outbox aside'"
        )
    for kept in found["damaged"]:
        console.print(f"set aside as damaged: {kept}")


def flush(box: Path, *, timeout_s: float, json_output: bool) -> None:
    """Wait until the outbox is empty; deliver from here where no box runs.

    Raises:
        HardwareError: results still wait after the timeout.
    """
    config = load_config(box)
    path = config.outbox.path
    before = sum(_summary(path)["waiting"].values())
    try:
        left = _deliver(config, timeout_s)
    except StorageError as error:
        if "another process" not in error.message:
            raise
        left = _wait_for_the_box(path, timeout_s)
    if json_output:
        print_json({"delivered": before - left, "waiting": left})
    else:
        print(f"{max(0, before - left)} results delivered, {left} wait")
    if left:
        raise HardwareError(
            f"outbox {path}: {left} results were not confirmed within {timeout_s:g} s; check the broker, and "
            f"that somebody confirms (outbox.confirm: {config.outbox.confirm})"
        )


def export(box: Path, *, output: Path | None, aside: bool, json_output: bool) -> None:
    """Write waiting results, one JSON document a line, oldest first."""
    path = load_config(box).outbox.path
    count = 0
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        for payload in _payloads(path, aside=aside):
            target.write(payload + b"\n")
            count += 1
    if output:
        if json_output:
            print_json({"exported": count, "file": str(output)})
        else:
            print(f"{count} results written to {output}")


def list_aside(box: Path, *, json_output: bool) -> None:
    """Print what is kept but not sent.

    Raises:
        StorageError: the outbox cannot be read.
    """
    path = load_config(box).outbox.path
    found = []
    if path.exists():
        with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
            found = read_aside(connection)
    if json_output:
        print_json([vars(each) for each in found])
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for each in found:
        console.print(f"{each.id}: {each.result_id}, {each.size} bytes, since {each.since}: {each.why}")
    if not found:
        console.print("nothing is set aside")


def restore(box: Path, *, ids: tuple[int, ...], everything: bool, json_output: bool) -> None:
    """Let results be sent again; a running box notices within seconds.

    Raises:
        UsageError: neither ids nor all, or an id that is not set aside.
        StorageError: the outbox cannot be written.
    """
    path = load_config(box).outbox.path
    if everything == bool(ids):
        raise UsageError("outbox restore: give the ids that 'edgeflow outbox aside' lists, or --all")
    count = _restore(path, None if everything else ids) if path.exists() else 0
    if json_output:
        print_json({"restored": count})
    else:
        print(f"{count} results are sent again")
    if not everything and count < len(set(ids)):
        raise UsageError(f"outbox {path}: {len(set(ids)) - count} of these ids are not set aside")


def _restore(path: Path, ids: tuple[int, ...] | None) -> int:
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


def _summary(path: Path) -> dict[str, Any]:
    """What the file says, read beside its writer."""
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
        found["aside"] = len(read_aside(connection))
        kept = connection.execute("SELECT value FROM meta WHERE key = 'run_time'").fetchone()
    now_s = parse_run_time(kept[0] if kept else None, read_boot()).run_s
    found["waiting"] = {verdict: count for verdict, count, _, _ in rows}
    found["mb"] = round(sum(size for _, _, size, _ in rows) / 1e6, 3)
    oldest_s = min((oldest for _, _, _, oldest in rows), default=None)
    found["oldest_age_s"] = None if oldest_s is None else round(max(0.0, now_s - oldest_s), 1)
    found["drops"] = [dict(zip(("from", "to", "count", "why", "at"), drop, strict=True)) for drop in drops]
    return found


def _payloads(path: Path, *, aside: bool) -> Iterator[bytes]:
    if not path.exists():
        return
    with mapped(path, "read"), contextlib.closing(_reader(path)) as connection:
        state = "IS NOT NULL" if aside else "IS NULL"
        query = f"SELECT payload FROM results WHERE verdict != ? AND aside {state} ORDER BY id"  # noqa: S608
        for (payload,) in connection.execute(query, (DROPPED,)):
            yield bytes(payload)


def _deliver(config: BoxConfig, timeout_s: float) -> int:
    """Send from here, as a box without cameras would."""
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


def _wait_for_the_box(path: Path, timeout_s: float) -> int:
    deadline_s = time.monotonic() + timeout_s
    while True:
        left: int = sum(_summary(path)["waiting"].values())
        if not left or time.monotonic() >= deadline_s:
            return left
        time.sleep(_LOOK_S)
