"""PostgreSQL on a disk that is really full takes nothing, and goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simulators.postgresql import postgresql_programs

SCRIPT = """
import shutil, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edgeflow.collector.records import Received, read_row
from edgeflow.collector.settings import PostgresqlConfig
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.store import StoreUnavailableError
from edgeflow.contracts.messages import to_json
from simulators.postgresql import Postgresql
from simulators.results import simulated_result

disk = Path(sys.argv[1])
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
server = Postgresql(disk / "s", "max_wal_size = 32MB\\nmin_wal_size = 32MB")
server.start()
try:
    config = PostgresqlConfig(kind="postgresql", connection=server.connection)
    store = PostgresqlStore(config, name="c1", keep=None)
    store.maintain(AT)
    filler = disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(disk).free - 9_000_000))
    batches = 0
    while True:
        results = [simulated_result(2000 * batches + n, AT, {"C1": 0.5}) for n in range(2000)]
        rows = [read_row(Received(root="r", kind="result", payload=to_json(result))) for result in results]
        try:
            assert store.write(rows, AT).new == 2000
            batches += 1
        except StoreUnavailableError as full:
            assert "its disk is full" in str(full), full
            break
    filler.unlink()
    assert store.write(rows, AT).new == 2000
    assert store.summary().results == 2000 * (batches + 1)
    print("full and written")
finally:
    server.kill()
"""


def test_a_full_database_loses_nothing_and_goes_on_when_there_is_room(repository: Path) -> None:
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no namespaces here, so no disk of our own to fill")
    if postgresql_programs() is None:
        pytest.skip("no PostgreSQL here; install it: sh tools/system_packages.sh database")
    with tempfile.TemporaryDirectory(prefix="pg") as disk:
        program = [sys.executable, "-c", SCRIPT, disk]
        done = subprocess.run(
            [*own, "sh", "-c", f'mount -t tmpfs -o size=110M none {disk} && exec "$@"', "sh", *program],
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env={**os.environ, "PYTHONPATH": f"{repository}{os.pathsep}{repository / 'tools'}"},
        )
    assert done.returncode == 0, done.stderr
    assert "full and written" in done.stdout
