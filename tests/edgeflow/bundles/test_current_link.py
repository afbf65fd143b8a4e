"""The link to a box's bundle names the old one or the new one, whenever the power goes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeflow.bundles.current_link import previous_target, sibling, switch
from edgeflow.errors import UsageError

# Ends itself by SIGKILL just before its n-th step on the file system.
KILLED = """
import os, signal, sys
from pathlib import Path
from edgeflow.bundles.current_link import switch
current, target, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
def step(event, _):
    global left
    if event in ("open", "os.rename", "os.symlink", "os.remove", "os.link"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(step)
switch(current, target)
"""


@pytest.fixture
def current(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / f"{name}.bundle").write_text(name)
    (tmp_path / "current.bundle").symlink_to("one.bundle")
    return tmp_path / "current.bundle"


def test_switching_goes_there_and_back(current: Path) -> None:
    with pytest.raises(UsageError, match="no bundle before"):
        previous_target(current)
    switch(current, sibling(current, "two.bundle"))
    assert current.read_text() == "two"
    switch(current, previous_target(current))
    assert current.read_text() == "one"
    assert previous_target(current).name == "two.bundle"
    assert {path.name for path in current.parent.iterdir()} == {
        "one.bundle", "two.bundle", "current.bundle", "current.previous.bundle", "current.before.bundle",
    }  # fmt: skip


def test_killed_at_every_step_the_link_names_one_of_both_and_the_next_switch_works(current: Path) -> None:
    for name in ("two.bundle", "one.bundle"):
        switch(current, current.with_name(name))
    kills = 0
    for left in range(1, 100):
        before = current.read_text()
        target = current.with_name("two.bundle" if before == "one" else "one.bundle")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(current), str(target), str(left)],
            capture_output=True,
            check=False,
        )
        assert current.read_text() in (before, target.stem)
        other = "two" if current.read_text() == "one" else "one"
        assert previous_target(current).read_text() == other, "the one before is still known"
        if done.returncode == 0:
            assert current.read_text() == target.stem
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
    assert kills >= 6  # two links at least: removed, made, renamed


@pytest.mark.parametrize(
    "name", ["../one.bundle", "/etc/passwd", "", ".", "..", "a/b", "no.bundle", "current.bundle", "one\n"]
)
def test_only_the_name_of_a_bundle_beside_it_is_taken(current: Path, name: str) -> None:
    with pytest.raises(UsageError, match="bundle"):
        sibling(current, name)


def test_a_file_instead_of_a_link_is_not_replaced(current: Path) -> None:
    file = current.with_name("one.bundle")
    for act in (
        lambda: switch(file, current),
        lambda: sibling(file, "two.bundle"),
        lambda: previous_target(file),
    ):
        with pytest.raises(UsageError, match="not a link"):
            act()
    assert file.read_text() == "one"
