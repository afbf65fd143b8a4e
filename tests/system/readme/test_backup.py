"""The lines of the page on backups, run on a box's folders: what was recorded and labelled comes back."""

from __future__ import annotations

import getpass
import grp
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from edgeflow.config.box import BoxConfig, load_config
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.labelling import label_part
from edgeflow.history.reader import HistoryReader
from edgeflow.run_time import read_boot
from simulators.results import simulated_entries
from simulators.small_box import write_box

pytestmark = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs sqlite3")
PARTS = 40
PLACES = ("/var/lib/edgeflow", "/etc/edgeflow", str(Path("/", "mnt", "backup")))


def lines(repository: Path, section: str, begins: tuple[str, ...]) -> list[str]:
    """Commands of a section of the page; those for services and packages are left out."""
    page = (repository / "docs/how-to/backup.md").read_text("utf-8")
    part = page.split(f"## {section}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^```console\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    return [line for line in "".join(blocks).splitlines() if line.startswith(begins)]


def run(line: str, root: Path) -> str:
    """Run a line of the page below a folder, as this user."""
    for place in PLACES:
        line = line.replace(place, f"{root}{place}")
    group = grp.getgrgid(os.getgid()).gr_name
    line = line.replace("-o edgeflow -g edgeflow", f"-o {getpass.getuser()} -g {group}")
    line = re.sub(r"^edgeflow ", f"{sys.executable} -m edgeflow.cli ", line)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


@pytest.fixture
def box(tmp_path: Path) -> BoxConfig:
    """A box in the places of the package."""
    for place in PLACES:
        (tmp_path / place[1:]).mkdir(parents=True)
    written = write_box(tmp_path / "var/lib/edgeflow", 1)
    document = yaml.safe_load(written.read_text())
    document["bundle"] = str(tmp_path / "var/lib/edgeflow/bundles/current.bundle")
    document["outbox"]["path"] = str(tmp_path / "var/lib/edgeflow/outbox.db")
    document["evidence"]["dir"] = str(tmp_path / "var/lib/edgeflow/evidence")
    path = tmp_path / "etc/edgeflow/box.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_config(path)


def test_a_backup_of_a_box_that_runs_is_whole_and_comes_back(
    box: BoxConfig, tmp_path: Path, repository: Path
) -> None:
    boot = read_boot()
    begin = datetime(2026, 11, 28, 12, tzinfo=UTC)
    entries = list(simulated_entries(PARTS + 5, views=2, begin=begin, period=timedelta(seconds=1)))
    store = HistoryStore(box.history_path, boot)  # open meanwhile, as that of a running box
    store.write(entries[:PARTS], [], boot)
    label_part(box.history_path, "P-3", "NG", kind="dent", by="Ann", source="cli")
    shutil.copy(box.history_path, box.outbox.path)  # any database will do: the line is the same
    for line in lines(repository, "What to keep", ("sqlite3 ", "cp ")):
        run(line, tmp_path)
    store.write(entries[PARTS:], [], boot)  # lost with the disk
    store.close()
    assert (tmp_path / "mnt/backup/edgeflow/box.yaml").is_file()
    assert (tmp_path / "mnt/backup/bundles/current.bundle").is_symlink()
    box.history_path.write_bytes(b"damaged")
    shown = [
        run(line, tmp_path) for line in lines(repository, "Restore", ("rm ", "install ", "edgeflow results"))
    ]
    assert f"{PARTS} results" in shown[-1]
    with HistoryReader(box.history_path) as reader:
        record = reader.part("P-3")
    assert record is not None
    assert [(label.label, label.by) for label in record.labels] == [("NG", "Ann")]
