"""A disk that is full when the box starts: the reserve beside the outbox is what lets it start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, shutil, sys
from pathlib import Path
from edgeflow.contracts.messages import Result, from_json
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits

disk, sample = Path(sys.argv[1]), from_json(Result, Path(sys.argv[2]).read_bytes())

def put(outbox, first, count):
    for number in range(first, first + count):
        outbox.put(sample.model_copy(update={"result_id": f"r-{number}", "seq": number, "verdict": "NG"}))
    assert outbox.flush(20), "not stored"

outbox = Outbox(disk / "outbox.db", Limits(rows=10**6))
put(outbox, 0, 300)
outbox.close()
with (disk / "filler").open("wb", buffering=0) as filler:
    size = 65536
    while size:
        try:
            filler.write(bytes(size))
        except OSError:
            size //= 2
assert shutil.disk_usage(disk).free == 0
again = Outbox(disk / "outbox.db", Limits(rows=10**6))
assert again.count() == 300
put(again, 300, 50)
assert [row.result_id for row in again.pending(0, 1000)] == [f"r-{n}" for n in range(350)]
assert not (disk / "outbox.db.ballast").exists()
again.close()
print("started and stored")
"""


def test_a_box_starts_on_a_full_disk_and_stores_what_it_decides(tmp_path: Path, repository: Path) -> None:
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], check=False).returncode:
        pytest.skip("no namespaces here, so no disk of our own to fill")
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    sample = repository / "tests" / "samples" / "result.json"
    program = f"{sys.executable} {tmp_path}/script.py {disk} {sample}"
    done = subprocess.run(
        [*own, "sh", "-c", f"mount -t tmpfs -o size=24M none {disk} && exec {program}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(repository)},
    )
    assert done.returncode == 0, done.stderr
    assert "started and stored" in done.stdout
